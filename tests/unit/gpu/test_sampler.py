from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

import pytest

from tui.gpu.backend import GpuUnavailable
from tui.gpu.sampler import GpuSampler
from tui.metrics.reading import GpuReading

TIMEOUT_S = 30.0
READING = GpuReading(at_ns=1, index=0, name="A100")


class Backend:
    """Does at each sample what it is told next."""

    driver_version = "580.1"

    def __init__(self) -> None:
        self.note = ""
        self.reported: list[str] = []
        self.pids: list[frozenset[int]] = []
        self.act: Callable[[], list[GpuReading]] = lambda: [READING]
        self.closed = threading.Event()

    def sample(self, pids: frozenset[int]) -> list[GpuReading]:
        self.pids.append(pids)
        return self.act()

    def events(self) -> list[str]:
        reported, self.reported = self.reported, []
        return reported

    def close(self) -> None:
        self.closed.set()


class Setup:
    def __init__(self) -> None:
        self.backend = Backend()
        self.samples: queue.Queue[tuple[list[GpuReading], float]] = queue.Queue()
        self.events: queue.Queue[str] = queue.Queue()
        self.make: Callable[[], Backend] = lambda: self.backend
        self.sampler = GpuSampler(
            lambda: self.make(),
            lambda readings, cost_s: self.samples.put((readings, cost_s)),
            lambda: frozenset({7}),
            0.005,
            on_event=lambda text: self.events.put(text),
            stale_after_s=0.05,
            retry_s=0.005,
        )

    def until(self, seen: Callable[[str], bool]) -> str:
        waited = threading.Event()
        for _ in range(round(TIMEOUT_S / 0.01)):
            if seen(self.sampler.unavailable):
                return self.sampler.unavailable
            waited.wait(0.01)
        raise AssertionError(f"still {self.sampler.unavailable!r}")


@pytest.fixture
def setup() -> Iterator[Setup]:
    setup = Setup()
    yield setup
    setup.sampler.stop()


def test_readings_come_until_it_is_stopped(setup: Setup) -> None:
    setup.sampler.start()
    setup.sampler.start()
    for _ in range(3):
        readings, cost_s = setup.samples.get(timeout=TIMEOUT_S)
        assert readings == [READING]
        assert cost_s >= 0
    assert setup.backend.pids[0] == frozenset({7})
    assert setup.sampler.unavailable == ""
    setup.sampler.stop()
    assert setup.backend.closed.is_set()
    assert not any(thread.name == "gpu-sampler" for thread in threading.enumerate())


def test_it_starts_again(setup: Setup) -> None:
    for _ in range(2):
        setup.sampler.start()
        setup.samples.get(timeout=TIMEOUT_S)
        setup.sampler.stop()


def test_a_driver_that_comes_later_is_found(setup: Setup) -> None:
    ready = setup.make

    def refuse() -> Backend:
        raise GpuUnavailable("no driver: install one")

    setup.make = refuse
    setup.sampler.start()
    assert setup.until(bool) == "no driver: install one"
    setup.make = ready
    assert setup.samples.get(timeout=TIMEOUT_S)[0] == [READING]
    setup.until(lambda note: note == "")


def test_a_driver_that_goes_away_is_said_and_closed(setup: Setup) -> None:
    setup.sampler.start()
    setup.samples.get(timeout=TIMEOUT_S)

    def fail() -> list[GpuReading]:
        raise GpuUnavailable("driver gone")

    setup.backend.act = fail
    assert setup.until(bool) == "driver gone"
    assert setup.backend.closed.wait(TIMEOUT_S)


def test_a_mistake_is_said_and_does_not_end_the_readings(setup: Setup) -> None:
    def fail() -> list[GpuReading]:
        raise RuntimeError("\x1b[31mbug")

    setup.backend.act = fail
    setup.sampler.start()
    assert setup.until(bool) == "GPU readings failed: RuntimeError: bug"
    setup.backend.act = lambda: [READING]
    setup.samples.get(timeout=TIMEOUT_S)


def test_what_the_readings_lack_is_passed_on(setup: Setup) -> None:
    setup.backend.note = "GPU 3 lost"
    setup.sampler.start()
    setup.samples.get(timeout=TIMEOUT_S)
    assert setup.sampler.unavailable == "GPU 3 lost"


def test_what_the_cards_report_is_told_once(setup: Setup) -> None:
    setup.backend.reported = ["GPU 0: Xid 31", "GPU 1: Xid 79"]
    setup.sampler.start()
    assert [setup.events.get(timeout=TIMEOUT_S) for _ in range(2)] == ["GPU 0: Xid 31", "GPU 1: Xid 79"]
    for _ in range(3):
        setup.samples.get(timeout=TIMEOUT_S)
    assert setup.events.empty()


def test_no_gpu_is_said(setup: Setup) -> None:
    setup.backend.act = list
    setup.sampler.start()
    assert setup.samples.get(timeout=TIMEOUT_S)[0] == []
    assert setup.sampler.unavailable == "no NVIDIA GPU here"


def test_a_reading_that_hangs_makes_the_last_ones_old_and_holds_nobody(setup: Setup) -> None:
    go_on = threading.Event()

    def hang() -> list[GpuReading]:
        go_on.wait(TIMEOUT_S)
        return [READING]

    setup.backend.act = hang
    setup.sampler.start()
    assert setup.until(bool).startswith("the NVIDIA driver has not answered for")
    go_on.set()
    setup.samples.get(timeout=TIMEOUT_S)
    setup.until(lambda note: note == "")
