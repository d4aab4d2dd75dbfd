"""One thread that reads the GPUs once a second. A call into the driver that hangs holds this thread and nothing else.

The thread is a daemon: Python cannot interrupt a call that hangs, and leaving must not wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tui.core.clock import NS_PER_S, now_ns
from tui.core.safe_text import safe_line
from tui.gpu.backend import GpuBackend, GpuUnavailable
from tui.metrics.reading import GpuReading

STALE_AFTER_S = 3.0
RETRY_S = 10.0
STOP_TIMEOUT_S = 2.0

OnSample = Callable[[list[GpuReading], float], None]
"""Takes one round of readings and what the round cost, s. Called in the sampler's thread."""


class GpuSampler:
    """Calls `on_sample` once per period, from `start` to `stop`, and `on_event` with what the cards report.

    Both are called in the sampler's thread, in which the backend is made and used.
    """

    def __init__(
        self,
        backend_factory: Callable[[], GpuBackend],
        on_sample: OnSample,
        pids: Callable[[], frozenset[int]],
        period_s: float = 1.0,
        *,
        on_event: Callable[[str], None] = lambda text: None,
        stale_after_s: float = STALE_AFTER_S,
        retry_s: float = RETRY_S,
    ) -> None:
        self._factory = backend_factory
        self._on_sample = on_sample
        self._pids = pids
        self._period_s = period_s
        self._on_event = on_event
        self._stale_after_s = stale_after_s
        self._retry_s = retry_s
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        # Written by the thread, read by others: single values, each replaced as a whole.
        self._note = ""
        self.driver_version = ""
        """Of the driver that gives the readings; empty = not known yet."""
        self._round_began_ns: int | None = None

    @property
    def unavailable(self) -> str:
        """Why there are no readings, why the last are old, or what they lack; empty = all is well. Cheap."""
        began_ns = self._round_began_ns
        if began_ns is not None and self._thread is not None:
            age_s = (now_ns() - began_ns) / NS_PER_S
            if age_s > self._stale_after_s:
                return f"the NVIDIA driver has not answered for {age_s:.0f} s: what is shown is that old"
        return self._note

    def start(self) -> None:
        """Begin; does nothing when it runs."""
        if self._thread is None:
            # A new one each time, so that a thread that hung while it was stopped does not come to life again.
            self._stopping = threading.Event()
            self._thread = threading.Thread(target=self._run, args=(self._stopping,), name="gpu-sampler", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End and let go of the driver; waits for a reading under way, but not for one that hangs."""
        thread, self._thread = self._thread, None
        self._stopping.set()
        if thread is not None:
            thread.join(STOP_TIMEOUT_S)

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            try:
                self._sample_while_it_lasts(stopping)
            except GpuUnavailable as reason:
                self._note = str(reason)
            except Exception as error:  # a mistake of ours or a driver's must be seen, not end the thread unseen
                self._note = f"GPU readings failed: {type(error).__name__}: {safe_line(str(error), limit=200)}"
            self._round_began_ns = None
            # A driver may be loaded, or come back after a reset, while a session goes on.
            stopping.wait(self._retry_s)

    def _sample_while_it_lasts(self, stopping: threading.Event) -> None:
        self._round_began_ns = now_ns()
        backend = self._factory()
        self.driver_version = backend.driver_version
        try:
            due_s = time.monotonic()
            while not stopping.is_set():
                self._round_began_ns = began_ns = now_ns()
                readings, events = backend.sample(self._pids()), backend.events()
                cost_s = (now_ns() - began_ns) / NS_PER_S
                self._round_began_ns = None
                self._note = backend.note if readings else "no NVIDIA GPU here"
                if not stopping.is_set():
                    self._on_sample(readings, cost_s)
                    for event in events:
                        self._on_event(event)
                # After a call that hung, the rounds that were missed are not made up for.
                due_s = max(due_s + self._period_s, time.monotonic())
                stopping.wait(due_s - time.monotonic())
        finally:
            backend.close()
