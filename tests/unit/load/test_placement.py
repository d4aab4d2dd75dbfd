"""Whatever becomes of workers and wishes, each user asks from one worker at a time, and all that are wanted do."""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from tui.load.placement import Placement
from tui.load.wire import ChangeUsers
from tui.load.worker_handle import WorkerHandle


class Worker:
    """Does at once what it is told to, but that users leave when the test says so."""

    def __init__(self) -> None:
        self.listed: set[int] = set()
        self.asking: set[int] = set()
        self.leaving: set[int] = set()

    def send(self, command: ChangeUsers) -> None:
        self.leaving |= set(command.go) & self.asking
        self.leaving -= set(command.come)
        self.asking |= set(command.come)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 12)),
        st.tuples(st.just("leave"), st.integers(0, 11)),
        st.tuples(st.just("die"), st.integers(0, 3)),
        st.tuples(st.just("come"), st.just(0)),
        st.tuples(st.just("release"), st.integers(0, 3)),
        st.tuples(st.just("even out"), st.just(0)),
        st.tuples(st.just("lose, and drop"), st.integers(0, 3)),
    ),
    max_size=40,
)


def let_go(users: Placement, workers: list[Worker], only: int | None = None) -> None:
    for worker in workers:
        gone = {user for user in worker.leaving if only is None or user == only}
        worker.leaving -= gone
        worker.asking -= gone
        if gone:
            users.on_left(cast("WorkerHandle", worker), sorted(gone))


@given(STEPS)
def test_each_user_asks_once(steps: list[tuple[str, int]]) -> None:
    workers = [Worker(), Worker()]
    users = Placement(cast("list[WorkerHandle]", workers))
    for step, number in steps:
        match step:
            case "want":
                users.want(number)
                users.place()
            case "leave":
                let_go(users, workers, number)
            case "come":
                workers.append(Worker())
                users.restore()
            case "die" | "lose, and drop" if len(workers) > 1:
                gone = workers.pop(number % len(workers))
                users.on_gone(cast("WorkerHandle", gone))
                if step != "die":
                    users.drop_homeless()
                users.place()
            case "release":
                worker = workers[number % len(workers)]
                users.release(cast("WorkerHandle", worker), len(worker.listed) // 2)
            case "even out":
                users.even_out()
        everywhere = [user for worker in workers for user in worker.asking]
        assert len(everywhere) == len(set(everywhere))
        assert all(worker.listed <= worker.asking for worker in workers)
    users.restore()
    for _ in range(30):
        let_go(users, workers)
    assert sorted(user for worker in workers for user in worker.asking) == list(range(users.wanted))
    users.even_out()
    for user in range(12):
        let_go(users, workers, user)
    shares = [len(worker.asking) for worker in workers]
    assert max(shares) - min(shares) <= max(1, len(workers) - 1)
    assert sum(shares) == users.wanted
