"""Readings over time, as the session keeps them and the snapshot shows them. Missing is None, never 0."""

from __future__ import annotations

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


class GpuReading(msgspec.Struct, frozen=True, kw_only=True):
    """One GPU at one moment."""

    at_ns: int
    index: int
    name: str
    simulated: bool = False
    lost: bool = False
    vram_total_bytes: int | None = None
    vram_used_bytes: int | None = None
    """Includes what the driver reserves."""
    vram_reserved_bytes: int | None = None
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
    throttle: str = ""
    """Why the clocks are held down, in words; empty = they are not."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened, for the log pane and the session."""

    at_ns: int
    source: str
    """server (its log), engine (what we read from it), load, cell, sweep, gpu, session, bench."""
    text: str
    level: str = "info"
    """info, warning, error."""
