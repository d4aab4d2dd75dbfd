"""What a bench and the sampler of another host (`node`) say to each other: a struct in each frame."""

from __future__ import annotations

import msgspec

from tui.metrics.reading import GpuReading

MAX_BYTES = 4 * 1024 * 1024


class ServerWorkers(msgspec.Struct, frozen=True):
    """To the sampler: which processes are the server's, on all of its nodes. Each word takes the place of the last."""

    by_address: dict[str, list[int]] = {}
    """Their numbers, by their nodes' addresses."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What was read at once. Moments are of the host's clock: whoever gets it puts its own."""

    readings: list[GpuReading] = []
    cost_s: float = 0.0
    note: str = ""
    """Why there are no readings, or what they lack; empty = all is well."""
    driver: str = ""
    events: list[str] = []
    """What the cards reported by themselves, in words."""
    nodes: list[str] | None = None
    """Which of the addresses told are this host's; None while none is told."""
    lost: bool = False
    """A process of the server's that was here is gone."""


decode_round = msgspec.msgpack.Decoder(Round).decode
decode_workers = msgspec.msgpack.Decoder(ServerWorkers).decode
