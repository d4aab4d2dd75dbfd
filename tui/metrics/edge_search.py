"""The largest number of users that a server carries, found in the fewest cells. Pure.

From `start` on the users are doubled while a cell holds, then the bracket between the last that held and the first that
did not is halved until it is as narrow as asked. The two cells at the edge are measured again: what contradicts itself
is measured a third time, and the majority counts. Failures are taken for monotone (what fails fails with more users,
too), so that the smallest number that failed is the upper end of the bracket, whatever was seen beyond it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import floor

MOST_MEASURES = 3
"""Of one number of users: an odd number decides."""


@dataclass(slots=True)
class _Tally:
    held: int = 0
    failed: int = 0
    final: bool = False
    """One more measure would only cost another server."""

    @property
    def measures(self) -> int:
        return self.held + self.failed


@dataclass(frozen=True, slots=True)
class FoundEdge:
    """Where the edge lies, as far as it is known."""

    users: int
    """The most that held, by the majority of each number's measures; 0 = none did."""
    least: int
    """So many held each time, and so did all fewer that were asked."""
    most: int | None
    """Nothing beyond held, not once; None = nothing failed."""
    fails_at: int | None
    """The fewest that did not hold; None = all did that were asked."""


class EdgeSearch:
    """Says what to measure next, and what is known by then."""

    def __init__(self, *, start: int = 1, largest: int, precision: float = 0.0, repeats: int = 1) -> None:
        """`largest`: nothing beyond is asked; `precision`: how wide the bracket may be, as a share of the edge;
        `repeats`: how often the cells at the edge are measured again, 0 to 2."""
        self._start = max(1, min(start, largest))
        self._largest = largest
        self._precision = precision
        self._repeats = min(repeats, MOST_MEASURES - 1)
        self._tallies: defaultdict[int, _Tally] = defaultdict(_Tally)
        self._implied: set[int] = set()
        """Numbers that cannot hold since they did not with shorter prompts; a measure of their own takes them out."""

    def take(self, users: int, *, held: bool, final: bool = False) -> None:
        """Take a measure of so many users; `final`: it is not to be repeated, as when the server died of it."""
        tally = self._tallies[users]
        tally.held += held
        tally.failed += not held
        tally.final = tally.final or final
        self._implied.discard(users)

    def cap(self, users: int) -> None:
        """Ask no more than so many from now on: nothing can be learned beyond."""
        self._largest = min(self._largest, users)

    def imply_failure(self, users: int) -> None:
        """Take it that so many cannot hold, without a measure."""
        if users not in self._tallies and users <= self._largest:
            self._implied.add(users)

    @property
    def next(self) -> int | None:
        """Return how many users to measure next; None when the edge is known."""
        for users, tally in self._tallies.items():
            if tally.held == tally.failed and not tally.final and tally.measures < MOST_MEASURES:
                return users
        low, high = self._bracket()
        if high is None:
            if low >= self._largest:
                return None
            return min(self._largest, max(self._start, 2 * low))
        if high - low > max(1, floor(self._precision * low)):
            # The first cell is the start, unless less is known to fail; a bracket from nothing halves down.
            return self._start if not self._tallies and self._start < high else (low + high) // 2
        if high in self._implied:
            return high  # shown, not only concluded: it says what gives out
        return next((users for users in (high, low) if self._is_to_be_repeated(users)), None)

    def found(self) -> FoundEdge:
        """Return what is known."""
        low, high = self._bracket()
        failed = [users for users, tally in self._tallies.items() if tally.failed] + list(self._implied)
        held = [users for users, tally in self._tallies.items() if tally.held]
        least = max((users for users in held if users < min(failed, default=users + 1)), default=0)
        most_held = max(held, default=0)
        surely = min((users for users in failed if users > most_held), default=most_held + 1)
        return FoundEdge(low, least, surely - 1 if failed else None, high)

    def _is_to_be_repeated(self, users: int) -> bool:
        tally = self._tallies.get(users)
        return tally is not None and not tally.final and self._settled(tally) < 1 + self._repeats

    def _settled(self, tally: _Tally) -> int:
        """Return how many measures there are, where more could change the majority; else all that there may be."""
        return tally.measures if abs(tally.held - tally.failed) == tally.measures else MOST_MEASURES

    def _bracket(self) -> tuple[int, int | None]:
        """Return the most that held below all that failed, and the fewest that failed."""
        failed = [users for users, tally in self._tallies.items() if tally.failed >= max(1, tally.held)]
        high = min([*failed, *self._implied], default=None)
        held = (users for users, tally in self._tallies.items() if tally.held > tally.failed)
        return max((users for users in held if high is None or users < high), default=0), high
