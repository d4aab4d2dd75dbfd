"""Which of a server's processes are on this host, by real processes of a raylet that is played."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fakes.raylet import Raylet, raylet
from tui.gpu import workers as module
from tui.gpu.workers import Workers
from tui.metrics.reading import GpuReading

HERE, AWAY = "127.0.0.1", "192.0.2.77"
NOT_APART = [GpuReading(at_ns=0, index=0, name="A")]


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Raylet]:
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    with raylet(tmp_path) as running:
        yield running


def end(pid: int) -> None:
    process = psutil.Process(pid)
    process.kill()
    by = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < by
        time.sleep(0.01)


def test_those_of_this_host_are_found_with_all_that_they_started(ray: Raylet) -> None:
    workers = Workers()
    assert (workers.pids(), workers.nodes) == (frozenset(), None)
    workers.tell({HERE: ray.workers, AWAY: [1, 2]})
    assert workers.pids() == {*ray.workers, *ray.children}
    assert workers.nodes == [HERE] and not workers.lost
    # Nobody's memory is known where the driver names none of them.
    assert "names none of the server's processes" in workers.note(NOT_APART)
    assert workers.note([GpuReading(at_ns=0, index=0, name="A", vram_server_bytes=0)]) == ""


def test_those_of_another_host_are_none_of_this_one(ray: Raylet) -> None:
    workers = Workers()
    workers.tell({AWAY: ray.workers})
    assert (workers.pids(), workers.nodes, workers.note(NOT_APART)) == (frozenset(), [], "")


def test_a_number_that_somebody_else_has_here_is_not_believed(ray: Raylet) -> None:
    # As where Ray runs in a container: the numbers are of its own.
    workers = Workers()
    workers.tell({HERE: [ray.workers[0], os.getpid()]})
    assert workers.pids() == frozenset()
    assert workers.note(NOT_APART).endswith("1 of the 2 processes that Ray tells of are not seen (in a container?)")
    assert not workers.lost


def test_one_that_is_gone_is_lost_until_it_is_told_who_there_is(ray: Raylet) -> None:
    workers = Workers()
    workers.tell({HERE: ray.workers})
    assert workers.pids()
    end(ray.workers[0])
    for _ in range(2):
        # What the rest hold is not what the server holds.
        assert workers.pids() == frozenset() and workers.lost
    workers.tell({HERE: ray.workers[1:]})
    assert workers.pids() == {ray.workers[1], ray.children[1]} and not workers.lost
    workers.tell({})
    assert (workers.pids(), workers.nodes) == (frozenset(), None)


def test_a_number_that_was_used_again_is_another_process(ray: Raylet, monkeypatch: pytest.MonkeyPatch) -> None:
    workers = Workers()
    workers.tell({HERE: ray.workers})
    assert workers.pids()
    began = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: began(process) + 1)
    assert workers.pids() == frozenset() and workers.lost


def test_processes_are_not_gone_through_again_at_once(ray: Raylet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_S", 1000.0)
    workers = Workers()
    workers.tell({HERE: ray.workers})
    found = workers.pids()
    end(ray.children[0])
    assert workers.pids() == found
    workers.tell({HERE: ray.workers[1:]})
    assert workers.pids() == {ray.workers[1], ray.children[1]}
