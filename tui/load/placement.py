"""Which user asks from which worker, as it is wanted and as it comes to be."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heapify, heapreplace

from tui.load.wire import ChangeUsers
from tui.load.worker_handle import WorkerHandle


class Placement:
    """The closed-loop users, by number from 0, over the workers there are."""

    def __init__(self, workers: Sequence[WorkerHandle]) -> None:
        """Take the workers, as a list that others keep."""
        self._workers = workers
        self.wanted = 0
        self._placed: dict[int, WorkerHandle] = {}
        self._moving: set[int] = set()
        """Wanted users that are to go on at another worker when the present one says that they have left."""
        self._dropped: set[int] = set()
        """Wanted users that ask no more since their host was lost."""

    def want(self, users: int) -> None:
        """Have so many users from now on, those that were dropped among them; `place` tells the workers."""
        self.wanted = users
        self._dropped.clear()

    def forget_all(self) -> None:
        """Have no users, and take it that all workers were told so."""
        self.want(0)
        self._moving.clear()
        for handle in self._workers:
            handle.listed = set()

    def place(self, *, cut: bool = False) -> None:
        """Give every wanted user a worker and tell each worker its users. One that is leaving stays where it is."""
        if not self._workers:
            return
        theirs: dict[WorkerHandle, set[int]] = {handle: set() for handle in self._workers}
        new = []
        for user in range(self.wanted):
            if user in self._dropped or user in self._moving:
                continue
            listed_by = theirs.get(self._placed[user]) if user in self._placed else None
            if listed_by is None:
                new.append(user)
            else:
                listed_by.add(user)
        # Each goes where the fewest are: a hundred thousand users on hundreds of workers are placed within a moment.
        shares = [(len(theirs[handle]), place) for place, handle in enumerate(self._workers)]
        heapify(shares)
        for user in new:
            share, place = shares[0]
            self._placed[user] = self._workers[place]
            theirs[self._workers[place]].add(user)
            heapreplace(shares, (share + 1, place))
        for handle, listed in theirs.items():
            come, go = sorted(listed - handle.listed), sorted(handle.listed - listed)
            if come or go or cut:
                handle.listed = listed
                handle.send(ChangeUsers(come, go, cut))

    def release(self, handle: WorkerHandle, users: int) -> None:
        """Have so many users of a worker go on elsewhere, each when its request is over."""
        # Told without them, the worker says when each has left; only then does it start elsewhere (`on_left`).
        go = sorted(handle.listed)[len(handle.listed) - users :]
        self._moving.update(go)
        handle.listed = handle.listed.difference(go)
        handle.send(ChangeUsers([], go))

    def even_out(self) -> None:
        """Have users go on at workers that came later, each when its request is over."""
        share = math.ceil(sum(len(handle.listed) for handle in self._workers) / max(1, len(self._workers)))
        for handle in self._workers:
            if len(handle.listed) > share:
                self.release(handle, len(handle.listed) - share)

    def on_left(self, handle: WorkerHandle, users: Iterable[int]) -> None:
        """Take it that users are gone from a worker; those that are wanted start elsewhere."""
        homeless = False
        for user in users:
            self._moving.discard(user)
            # One that is listed again was begun again by the same worker.
            if self._placed.get(user) is handle and user not in handle.listed:
                del self._placed[user]
            homeless |= user < self.wanted and user not in self._placed
        if homeless:
            self.place()

    def on_gone(self, handle: WorkerHandle) -> None:
        """Take it that a worker is gone: its users are nowhere until they are placed."""
        for user in [user for user, where in self._placed.items() if where is handle]:
            del self._placed[user]
            self._moving.discard(user)

    @property
    def homeless(self) -> set[int]:
        """Return the users that are nowhere and are to be placed."""
        return {user for user in range(self.wanted) if user not in self._placed} - self._dropped

    def drop_homeless(self) -> None:
        """Have those that are nowhere ask no more, until `restore` or `want`."""
        self._dropped |= self.homeless

    def restore(self) -> None:
        """Have those that were dropped ask again."""
        self._dropped.clear()
        self.place()
