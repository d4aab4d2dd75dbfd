"""Ending a tree of processes: who is killed, and who is left to end by itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

import psutil
import pytest

from tui.server import tree
from tui.server.tree import end_tree


class Process:
    """As psutil tells of it."""

    def __init__(self, pid: int, *words: str) -> None:
        self.pid = pid
        self.killed = False
        self._words = words

    def cmdline(self) -> list[str]:
        return list(self._words)

    def name(self) -> str:
        return "python"

    def terminate(self) -> None:
        pass

    def kill(self) -> None:
        self.killed = True


def rounds(*each: list[Process]) -> Iterator[list[psutil.Process]]:
    return (cast("list[psutil.Process]", found) for found in each)


@pytest.mark.parametrize("words", [["python", "-c", "from multiprocessing.resource_tracker import main"], []])
def test_what_tidies_up_or_is_ending_already_is_not_killed(words: list[str]) -> None:
    server, tidying = Process(1, "vllm"), Process(2, *words)
    found = rounds([server, tidying], [tidying], [])
    ending = end_tree(lambda: next(found), first=1, deadline=lambda: 0.0, pause=lambda _: None)
    assert (server.killed, tidying.killed) == (True, False)
    assert ending.killed == ["vllm (1)"] and not ending.survivors


def test_what_takes_too_long_to_end_by_itself_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "TIDY_S", 0.05)
    server, ending_one = Process(1, "vllm"), Process(2)
    begun = time.monotonic()

    def find() -> list[psutil.Process]:
        alive = [process for process in (server, ending_one) if not process.killed]
        return cast("list[psutil.Process]", alive)

    ending = end_tree(find, first=1, deadline=lambda: 0.0, pause=lambda _: time.sleep(0.01))
    assert ending_one.killed and time.monotonic() - begun >= 0.05
    assert ending.killed == ["vllm (1)", "python (2)"]
