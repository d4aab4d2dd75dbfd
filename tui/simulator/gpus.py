"""Virtual GPUs: what the drivers of one or several nodes would report while the modelled engine runs.

VRAM as vLLM uses it: the weights and the whole KV cache are taken at the start and stay; what moves is the rest
(CUDA context, workspace, activations), which reaches the card's end where the model's memory limit is. Pure: the
time comes from outside.
"""

from __future__ import annotations

import math
from typing import Any

from tui.profile.cards import CARDS
from tui.profile.simulator_table import FailOnPurpose, SimulatorTable

_CONTEXT_BYTES = 512 * 1024 * 1024
_ROOM_TEMPERATURE_C = 33.0
_WARMING_C = 42.0
_WARMING_TIME_S = 25.0


def fitted(table: SimulatorTable, indices: list[int]) -> SimulatorTable:
    """Return the table as its cards can hold it: as vLLM does, the KV cache takes no more than is left.

    Where not even one longest request fits then, or the weights do not, the start fails in that way.
    """
    if table.fail is not None or (over := -VirtualGpus(table, indices).spare_bytes) <= 0:
        return table
    tokens = table.kv_cache_tokens - math.ceil(over * table.nodes * len(indices or [0]) / table.kv_bytes_per_token)
    tokens -= tokens % table.block_size
    if tokens >= table.max_model_len:
        return table.model_copy(update={"kv_cache_tokens": tokens})
    way = FailOnPurpose.KV_TOO_SMALL if tokens > 0 else FailOnPurpose.OOM_WEIGHTS
    return table.model_copy(update={"fail": way, "kv_cache_tokens": max(1, tokens)})


class VirtualGpus:
    """The cards of one simulated server; `indices` are their numbers on each of its nodes."""

    def __init__(self, table: SimulatorTable, indices: list[int]) -> None:
        self._card = CARDS[table.gpu]
        self._indices = indices or [0]
        self._hosts = [f"node{number}" for number in range(1, table.nodes + 1)] if table.nodes > 1 else [""]
        cards = len(self._hosts) * len(self._indices)
        self.weights_bytes = round(table.parameters_billion * 1e9 * table.bits_per_weight / 8 / cards)
        self.kv_cache_bytes = round(table.kv_cache_tokens * table.kv_bytes_per_token / cards)
        self._memory_limit_tokens = table.memory_limit_tokens or 2 * table.kv_cache_tokens
        self._per_request_tokens = table.memory_per_request_tokens
        self._energy_j = 0.0
        self._temperature_c = _ROOM_TEMPERATURE_C
        self._read_at_s: float | None = None
        self._busy_when_read_s = 0.0

    @property
    def name(self) -> str:
        """Return the card's name, as NVML gives it."""
        return self._card.name

    @property
    def total_bytes(self) -> int:
        """Return the VRAM of one card."""
        return self._card.vram_total_bytes

    @property
    def spare_bytes(self) -> int:
        """Return what weights, KV cache and context leave on one card; negative when they do not fit."""
        return self.total_bytes - self.weights_bytes - self.kv_cache_bytes - _CONTEXT_BYTES

    def read(self, now_s: float, *, busy_s: float, tokens_alive: int, requests: int) -> list[dict[str, Any]]:
        """Return one reading per card, node by node; `busy_s`: how long the engine has computed since its start."""
        share = self._active_share(now_s, busy_s)
        load = (tokens_alive + self._per_request_tokens * requests) / self._memory_limit_tokens
        other = _CONTEXT_BYTES + round(max(0, self.spare_bytes) * min(1.0, load))
        power = self._card.idle_power_w + (self._card.full_power_w - self._card.idle_power_w) * share * 0.9
        self._warm(now_s, share, power)
        self._busy_when_read_s = busy_s
        return [
            {
                "index": index,
                "name": f"{self.name} (SIMULATED)",
                "vram_total_bytes": self.total_bytes,
                "vram_weights_bytes": self.weights_bytes,
                "vram_kv_cache_bytes": self.kv_cache_bytes,
                "vram_other_bytes": other,
                "active_share": round(share, 3),
                "power_w": round(power, 1),
                "energy_j": round(self._energy_j, 1),
                "temperature_c": round(self._temperature_c),
                "power_limit_w": self._card.full_power_w,
                "neighbours_bytes": 0,
                "host": host,
            }
            for host in self._hosts
            for index in self._indices
        ]

    def _active_share(self, now_s: float, busy_s: float) -> float:
        if self._read_at_s is None or now_s <= self._read_at_s:
            return 1.0 if busy_s > self._busy_when_read_s else 0.0
        return min(1.0, max(0.0, (busy_s - self._busy_when_read_s) / (now_s - self._read_at_s)))

    def _warm(self, now_s: float, share: float, power_w: float) -> None:
        passed_s = 0.0 if self._read_at_s is None else max(0.0, now_s - self._read_at_s)
        self._energy_j += power_w * passed_s
        goal = _ROOM_TEMPERATURE_C + _WARMING_C * share
        self._temperature_c += (goal - self._temperature_c) * (1 - math.exp(-passed_s / _WARMING_TIME_S))
        self._read_at_s = now_s
