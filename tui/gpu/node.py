"""Reads the GPUs of another host for a bench: `python -m tui.gpu.node FD`, started by the agent there.

A process of its own, for a driver that hangs must hold neither the agent nor its load workers. Over the inherited
socket FD goes a frame a second, and comes which processes are the server's (`wire`); it ends when that ends.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time

import msgspec

from tui.core.frames import FrameSplitter, pack_frame
from tui.gpu.nvml import NvmlBackend
from tui.gpu.sampler import STALE_AFTER_S, GpuSampler
from tui.gpu.wire import MAX_BYTES, Round, decode_workers
from tui.gpu.workers import Workers
from tui.metrics.reading import GpuReading

PERIOD_S = 1.0
SILENT_S = STALE_AFTER_S + 0.5
"""After so long without a round, why there is none is told in its place."""
READ_BYTES = 65536
SAMPLER = ("-m", "tui.gpu.node")


class _Teller:
    """Tells a bench, from several threads."""

    def __init__(self, sock: socket.socket, workers: Workers) -> None:
        self._sock = sock
        self._workers = workers
        self._lock = threading.Lock()
        self._events: list[str] = []
        self.sampler: GpuSampler | None = None
        self.read_at_s = 0.0

    def hear(self, text: str) -> None:
        self._events.append(text)

    def take(self, readings: list[GpuReading], cost_s: float = 0.0) -> None:
        if readings:
            self.read_at_s = time.monotonic()
        else:
            self._workers.pids()  # by which is known whether this host is one of the server's nodes
        events, self._events = self._events, []
        sampler, workers = self.sampler, self._workers
        notes = [sampler.unavailable if sampler is not None else "", workers.note(readings)]
        told = Round(
            readings=readings,
            cost_s=cost_s,
            note="; ".join(filter(None, notes)),
            driver=sampler.driver_version if sampler is not None else "",
            events=events,
            nodes=workers.nodes,
            lost=workers.lost,
        )
        with self._lock:
            try:
                self._sock.sendall(pack_frame(msgspec.msgpack.encode(told)))
            except OSError:  # the agent is gone, which ends this process
                pass


def main() -> None:
    """Tell until the socket ends."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    workers = Workers()
    teller = _Teller(sock, workers)
    sampler = GpuSampler(NvmlBackend, teller.take, workers.pids, period_s=PERIOD_S, on_event=teller.hear)
    teller.sampler = sampler
    sampler.start()
    said = FrameSplitter(MAX_BYTES)
    while True:
        # Not by the socket's own timeout, which would let what is told be cut short by a full buffer.
        if not select.select([sock], [], [], PERIOD_S)[0]:
            if sampler.unavailable and time.monotonic() - teller.read_at_s > SILENT_S:
                teller.take([])
            continue
        try:
            come = sock.recv(READ_BYTES)
        except OSError:
            break
        if not come:
            break
        for body in said.feed(come):
            workers.tell(decode_workers(body).by_address)
    sampler.stop()


if __name__ == "__main__":
    main()
