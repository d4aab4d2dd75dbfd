"""Under what conditions a cell was measured: which launch of the server, and how server and cards were then. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tui.metrics import hosts as hosts_told
from tui.metrics.hosts import HostReading
from tui.metrics.reading import GpuReading, devices

POOLS_APART = 0.01
"""Two launches whose KV pools differ by more than this do not carry the same users at the edge."""
MOST_SAID = 12
_OTHER_POOL = "its KV pool differs"
_GB = 1e9


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """Of one cell; None and "" where it is not known."""

    launch: int = 0
    """Which launch of the session's server it was, from 1."""
    server_age_s: float | None = None
    """Since the server took requests (or since it was attached to), when the cell began."""
    version: str = ""
    """Of the serving system."""
    driver: str = ""
    """Of the cards."""
    kv_pool_tokens: int | None = None
    kv_pool_blocks: int | None = None
    """That requests can have."""
    block_size: int | None = None
    """Tokens of the KV cache in a block."""
    state_blocks: int = 0
    """Further blocks that a request has whatever its length: the states of the model's Mamba layers."""
    max_num_seqs: int | None = None
    """How many requests it runs at most, by its own word."""
    weights_estimated_bytes: int | None = None
    """Of all weights, by the model's name, before the launch."""
    weights_told_bytes: int | None = None
    """Of one GPU, by the server's log."""
    differences: list[str] = []
    """Where the server runs with another argument than the profile gives, a sentence each."""
    clock_min_mhz: int | None = None
    """The slowest clock of the server's cards in the cell, of all readings."""
    clock_max_mhz: int | None = None
    power_limit_w: float | None = None
    """The lowest of its cards."""
    throttle: str = ""
    """Why clocks were held down in the cell, in words."""
    hosts: list[HostReading] = []
    """Where users asked from, when the cell ended; none where that was the bench's own machine alone."""
    neighbours_bytes: int | None = None
    """The most that others held of the server's cards in the cell; 0 = nobody else was there."""
    control_of: int = 0
    """The launch on which the same cell was measured before, if it is a control; 0 = it is none."""
    over_loopback: bool = False
    """Whether all requests went to an address of the client's own machine, over no network."""
    notes: list[str] = []
    """What sets it apart from other cells of the session, a sentence each: another pool, the drift of a control."""

    @property
    def in_words(self) -> list[str]:
        """Return all of it, a phrase each."""
        said = []
        if self.launch:
            age = "" if self.server_age_s is None else f", {self.server_age_s:,.0f} s after it was ready"
            said.append(f"launch {self.launch}{age}")
        if self.version:
            said.append(f"version {self.version}" + (f", driver {self.driver}" if self.driver else ""))
        if self.kv_pool_tokens is not None:
            blocks = (
                f" in {self.kv_pool_blocks:,} blocks of {self.block_size}" if self.kv_pool_blocks is not None else ""
            )
            states = f", {self.state_blocks} of them for the states of each request" if self.state_blocks else ""
            said.append(f"KV pool {self.kv_pool_tokens:,} tokens{blocks}{states}")
        if self.max_num_seqs is not None:
            said.append(f"runs at most {self.max_num_seqs:,} requests")
        elif self.launch:
            said.append("how many requests it runs at most is not known")
        if self.weights_told_bytes is not None:
            said.append(f"weights {self.weights_told_bytes / _GB:.1f} GB of a GPU{self._estimate}")
        if self.clock_max_mhz is not None:
            low, high = self.clock_min_mhz, self.clock_max_mhz
            said.append(f"clocks {high} MHz" if low == high else f"clocks {low} to {high} MHz")
        if self.power_limit_w is not None:
            said.append(f"power limit {self.power_limit_w:.0f} W")
        if self.hosts:
            said.append(f"asked from {hosts_told.in_words(self.hosts)}")
        if self.throttle:
            said.append(f"held down: {self.throttle}")
        if self.neighbours_bytes:
            said.append(f"others held {self.neighbours_bytes / _GB:.1f} GB of its cards")
        return [*said, *self.differences, *self.notes]

    @property
    def _estimate(self) -> str:
        guess = self.weights_estimated_bytes
        return "" if guess is None else f", {guess / _GB:.1f} GB of all GPUs were estimated"


class CardsWatch:
    """What the server's cards were like while a cell was measured; bounded."""

    def __init__(self) -> None:
        self._clocks: list[int] = []
        self._limit_w: float | None = None
        self._throttle: dict[str, None] = {}
        self._neighbours: int | None = None

    def take(self, readings: Sequence[GpuReading]) -> None:
        """Take a round of readings, be it the same again."""
        its = [each for each in devices(readings) if each.vram_server_bytes]
        held = [each.vram_neighbours_bytes for each in its if each.vram_neighbours_bytes is not None]
        if held:
            self._neighbours = max(self._neighbours or 0, sum(held))
        for card in readings:
            if card.clock_mhz is not None:
                known = [*self._clocks, card.clock_mhz]
                self._clocks = [min(known), max(known)]
            if card.power_limit_w is not None:
                self._limit_w = min(self._limit_w or card.power_limit_w, card.power_limit_w)
            if card.throttle and len(self._throttle) < MOST_SAID:
                self._throttle[card.throttle] = None

    def added_to(self, conditions: Conditions) -> Conditions:
        """Return the conditions with what was seen."""
        return msgspec.structs.replace(
            conditions,
            clock_min_mhz=self._clocks[0] if self._clocks else None,
            clock_max_mhz=self._clocks[1] if self._clocks else None,
            power_limit_w=self._limit_w,
            throttle=", ".join(self._throttle),
            neighbours_bytes=self._neighbours,
        )


def pool_note(present: Conditions, earlier: Iterable[Conditions]) -> str:
    """Return, in words, from which earlier launch the KV pool differs by more than `POOLS_APART`; "" from none."""
    for other in earlier:
        here, there = present.kv_pool_tokens, other.kv_pool_tokens
        if other.launch != present.launch and here is not None and there and abs(here - there) > POOLS_APART * there:
            return f"{_OTHER_POOL} by {(here - there) / there:+.1%} from that of launch {other.launch}"
    return ""


def pool_is_told(conditions: Conditions) -> bool:
    """Say whether the conditions tell already that another launch's KV pool differs."""
    return any(note.startswith(_OTHER_POOL) for note in conditions.notes)
