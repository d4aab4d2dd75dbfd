"""Readings over time, as the session keeps them and the snapshot shows them. Missing is None, never 0."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class SeriesPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One second of a run. Latencies are of the requests that finished in it or just before (`window`)."""

    at_ns: int
    users_wanted: int
    users_active: int
    in_flight: int
    prompt_tokens: int
    tokens_per_s_total: float | None = None
    tokens_per_s_per_user: float | None = None
    ttft_p50_s: float | None = None
    ttft_p99_s: float | None = None
    e2e_p50_s: float | None = None
    e2e_p99_s: float | None = None
    itl_p50_s: float | None = None
    itl_p99_s: float | None = None
    requests_ok_per_s: float | None = None
    requests_failed_per_s: float | None = None
    server_running: float | None = None
    server_waiting: float | None = None
    kv_cache_usage: float | None = None
    """0 to 1."""
    preemptions_total: float | None = None
    server_generation_tokens_total: float | None = None
    prefix_cache_hits_total: float | None = None
    server_ttft_mean_s: float | None = None
    server_itl_mean_s: float | None = None
    client_cpu_share: float | None = None
    """Of one core, the busiest load worker's, 0 to 1."""
    client_lag_p99_s: float | None = None
    """From a token's arrival at the kernel to its processing."""
    vram_used_share: float | None = None
    """Of all cards together, 0 to 1."""


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU, or one MIG slice of one, at one moment. Of a slice, only its memory is told apart from its card's."""

    at_ns: int
    index: int
    name: str
    simulated: bool = False
    lost: bool = False
    vram_total_bytes: int | None = None
    vram_used_bytes: int | None = None
    """As nvidia-smi says: without what the driver reserves, where it tells that apart."""
    vram_reserved_bytes: int | None = None
    """By the driver for itself: used + reserved + free = total. Drivers before 510 count it as used."""
    vram_free_bytes: int | None = None
    vram_server_bytes: int | None = None
    """Held by the processes of the server under test."""
    vram_weights_bytes: int | None = None
    vram_kv_cache_bytes: int | None = None
    vram_other_bytes: int | None = None
    active_share: float | None = None
    """Share of time in which one or more kernels ran, 0 to 1; says nothing on how busy the units were."""
    power_w: float | None = None
    energy_j: float | None = None
    """Cumulative, by the card's own counter."""
    temperature_c: float | None = None
    throttle: str | None = None
    """Why the clocks are held down, in words; empty = they are not."""
    clock_mhz: int | None = None
    """Of its multiprocessors."""
    power_limit_w: float | None = None
    """That is enforced."""
    vram_neighbours_bytes: int | None = None
    """Held by other processes than the server's, where the driver tells the server's apart."""
    vram_neighbours: str = ""
    """The names of their programs, the largest first; of many the first few."""
    mig_mode: bool = False
    """Whether this card is cut into slices: what runs, runs on one of them, and on nothing where there is none."""
    mig_index: int | None = None
    """Which slice of the GPU `index` this is; None = the whole card."""
    mig_uuid: str = ""
    """The slice's name in CUDA_VISIBLE_DEVICES."""
    mig_gpu_instance: int | None = None
    mig_compute_instance: int | None = None
    host: str = ""
    """The machine that it is in, by name; empty = the bench's own, or the only one there is."""

    @property
    def card(self) -> tuple[str, int]:
        """Return which card it is, or is of: host and index."""
        return self.host, self.index

    @property
    def place(self) -> str:
        """Return which GPU or slice it is: "0", "0:1", or "node2/0:1"."""
        return place_of(self.index, self.mig_index, self.host)


def place_of(index: int, mig_index: int | None, host: str) -> str:
    """Return which GPU or slice something is of: "0", "0:1", or "node2/0:1"."""
    own = str(index) if mig_index is None else f"{index}:{mig_index}"
    return f"{host}/{own}" if host else own


def devices(readings: Sequence[GpuReading]) -> list[GpuReading]:
    """Return what programs run on, so that no memory counts twice: a card's slices where it has some, else the card."""
    cut = {reading.card for reading in readings if reading.mig_index is not None}
    return [reading for reading in readings if reading.mig_index is not None or reading.card not in cut]


def vram_used_share(readings: Sequence[GpuReading]) -> float | None:
    """Return which share of all VRAM is used, 0 to 1; None where no card tells it."""
    known = [one for one in devices(readings) if one.vram_used_bytes is not None and one.vram_total_bytes]
    if not known:
        return None
    return sum(one.vram_used_bytes or 0 for one in known) / sum(one.vram_total_bytes or 0 for one in known)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, for the log pane and the session."""

    at_ns: int
    source: str
    """server (its log), engine (what we read from it), load, cell, sweep, gpu, session, bench."""
    text: str
    level: str = "info"
    """info, warning, error."""
