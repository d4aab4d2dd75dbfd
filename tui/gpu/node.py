"""Reads the GPUs of another host for a bench: `python -m tui.gpu.node FD`, started by the agent there.

A process of its own, for a driver that hangs must hold neither the agent nor its load workers. Over the inherited
socket FD goes a frame a second; it ends when that ends.
"""

from __future__ import annotations

import socket
import sys
import threading

import msgspec

from tui.core.frames import pack_frame
from tui.gpu.nvml import NvmlBackend
from tui.gpu.sampler import GpuSampler
from tui.metrics.reading import GpuReading

PERIOD_S = 1.0
SAMPLER = ("-m", "tui.gpu.node")


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at once. Moments are of the host's clock: whoever gets it puts its own."""

    readings: list[GpuReading] = []
    cost_s: float = 0.0
    note: str = ""
    """Why there are no readings, or what they lack; empty = all is well."""
    driver: str = ""
    events: list[str] = []
    """What the cards reported by themselves, in words."""


decode_round = msgspec.msgpack.Decoder(Round).decode


class _Teller:
    """Tells a bench, from several threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._events: list[str] = []
        self.sampler: GpuSampler | None = None

    def take(self, readings: list[GpuReading], cost_s: float) -> None:
        # Which processes are the server's is not known here, so that whose memory it is is not told apart.
        unknown = {"vram_server_bytes": None, "vram_neighbours_bytes": None, "vram_neighbours": ""}
        self.tell([msgspec.structs.replace(reading, **unknown) for reading in readings], cost_s)

    def hear(self, text: str) -> None:
        self._events.append(text)

    def tell(self, readings: list[GpuReading], cost_s: float = 0.0) -> None:
        events, self._events = self._events, []
        sampler = self.sampler
        told = Round(
            readings=readings,
            cost_s=cost_s,
            note=sampler.unavailable if sampler is not None else "",
            driver=sampler.driver_version if sampler is not None else "",
            events=events,
        )
        with self._lock:
            try:
                self._sock.sendall(pack_frame(msgspec.msgpack.encode(told)))
            except OSError:  # the agent is gone, which ends this process
                pass


def main() -> None:
    """Tell until the socket ends."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    teller = _Teller(sock)
    sampler = GpuSampler(NvmlBackend, teller.take, frozenset, period_s=PERIOD_S, on_event=teller.hear)
    teller.sampler = sampler
    sampler.start()
    reading = sock.dup()
    reading.settimeout(PERIOD_S)
    while True:
        try:
            if not reading.recv(4096):
                break
        except TimeoutError:
            if sampler.unavailable:  # else there are rounds by themselves
                teller.tell([])
        except OSError:
            break
    sampler.stop()


if __name__ == "__main__":
    main()
