"""A cell whose limit is to be found, with the figures that the rules of verdicts go by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from tui.metrics.boundary import KvPool
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.metrics.occupancy import Occupancy

QUEUE_SHARE = 0.1
"""A queue matters when requests spend this share of their time in it: a cell is known no better (metrics/steady)."""
MOST = 0.5
"""Of readings: what is so in more than half of them is no chance."""
FEWEST_READINGS = 3
"""Fewer say nothing of how many requests ran on average, nor of whether their number stands still."""


@dataclass(frozen=True, slots=True)
class AtServer:
    """How many requests a server had on average."""

    running: float
    waiting: float
    readings: int = 0
    """Of its gauges, by which it is known; 0 = by its times."""


@dataclass(frozen=True, slots=True)
class Case:
    """A cell, and the one of fewest users among those of the same mode and prompt size; None where there is none."""

    cell: CellResult
    fewest: CellResult | None = None

    @property
    def seen(self) -> Occupancy:
        """What the server said."""
        return self.cell.occupancy or Occupancy()

    @property
    def conditions(self) -> Conditions:
        """Under what conditions."""
        return self.cell.conditions or Conditions()

    @property
    def queue_share(self) -> float | None:
        """Of the time of its requests, how much they spent in the server's queue: by its times or its gauges.

        Its times tell of requests that ended, so that a queue that only grows is seen by the gauges alone. But users
        who ask all at once wait for one step together, and a single reading may fall into it.
        """
        cell, seen = self.cell, self.seen
        shares = []
        if cell.server_queue_mean_s is not None and cell.time_to_resolve_s:
            shares.append(cell.server_queue_mean_s / cell.time_to_resolve_s)
        lasting = seen.readings >= FEWEST_READINGS and seen.waiting_readings >= MOST * seen.readings
        if seen.waiting_mean is not None and seen.running_mean is not None and (lasting or not shares):
            inside = seen.waiting_mean + seen.running_mean
            shares.append(seen.waiting_mean / inside if inside else 0.0)
        return max(shares, default=None)

    @property
    def at_server(self) -> AtServer | None:
        """How many requests the server had on average: by its times, which tell of each request, else by its gauges.

        Gauges that were read a few times only tell nothing.
        """
        cell, seen = self.cell, self.seen
        waited_s, prefill_s, decode_s = cell.server_queue_mean_s, seen.prefill_mean_s, seen.decode_mean_s
        if waited_s is not None and prefill_s is not None and decode_s is not None and cell.time_to_resolve_s:
            for_each_s = (cell.delivered_concurrency or 0.0) / cell.time_to_resolve_s
            return AtServer((prefill_s + decode_s) * for_each_s, waited_s * for_each_s)
        if seen.running_mean is None or seen.waiting_mean is None or seen.readings < FEWEST_READINGS:
            return None
        return AtServer(seen.running_mean, seen.waiting_mean, seen.readings)

    @property
    def late_s(self) -> float | None:
        """How much later a first token comes than the server says, s."""
        if self.cell.ttft_mean_s is None or self.cell.server_ttft_mean_s is None:
            return None
        return self.cell.ttft_mean_s - self.cell.server_ttft_mean_s

    @property
    def queued(self) -> bool:
        """Whether the server's queue held requests up."""
        return (self.queue_share or 0.0) >= QUEUE_SHARE

    @property
    def kv_capacity(self) -> int | None:
        """How many requests of this size the KV cache holds at once, in whole blocks; None where that is not known."""
        known = self.conditions
        pool = KvPool(
            tokens=known.kv_pool_tokens,
            blocks=known.kv_pool_blocks,
            block_size=known.block_size,
            state_blocks=known.state_blocks,
        )
        return pool.requests_of(self.cell.prompt_tokens + self.cell.output_tokens)

    @property
    def stalled_s(self) -> float | None:
        """By how much an answer took longer than its gaps of median length, s: other prompts held it up.

        Where most gaps have a prompt in them, the median has grown with them, and this is too little.
        """
        cell, decode_s = self.cell, self.seen.decode_mean_s
        if decode_s is None or cell.itl_p50_s is None or cell.output_tokens < 2:
            return None
        return max(0.0, decode_s - cell.itl_p50_s * (cell.output_tokens - 1))

    @property
    def prompts_share(self) -> float | None:
        """Which share of the server's time prompts take at most; None where that is not known.

        What one takes alone (in the batch, less a step of decoding), times their number, is too much: short ones are
        computed together in one step, whose fixed cost is then there once. What a request of the cell itself spent
        while prompts were computed, its own and others', is another bound; the lower one counts. Both are by the
        server's own times: on its way to the batch a request takes time that does not hold up the others.
        """
        alone_s, seen, cell, stalled_s = self._prompt_alone_s, self.seen, self.cell, self.stalled_s
        if alone_s is None or stalled_s is None or seen.prefill_mean_s is None or seen.decode_mean_s is None:
            return None
        before_s = (cell.server_queue_mean_s or 0.0) + seen.prefill_mean_s
        total_s = before_s + seen.decode_mean_s
        if not total_s or not cell.duration_s:
            return None
        return min(alone_s * cell.requests_ok / cell.duration_s, (before_s + stalled_s) / total_s)

    @property
    def _prompt_alone_s(self) -> float | None:
        alone = self.fewest.occupancy if self.fewest is not None and self.fewest.users == 1 else None
        if alone is None or alone.prefill_mean_s is None or alone.decode_mean_s is None or self.cell.output_tokens < 2:
            return None
        return max(0.0, alone.prefill_mean_s - alone.decode_mean_s / (self.cell.output_tokens - 1))
