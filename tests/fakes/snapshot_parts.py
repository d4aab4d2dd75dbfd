"""The parts that canned snapshots are made of: cells, series, cards, requests, a log. Deterministic."""

from __future__ import annotations

import math

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.gpu_trend import GpuTrend
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.snapshot import (
    LatencyPoint,
    RequestRow,
)

GB = 10**9
STARTED_NS = 5_000 * NS_PER_S
USERS = [1, 2, 4, 8, 16, 32, 64, 128]
PROMPTS = [31, 63, 119, 296, 480, 822, 2193]
RESOLVE_S: dict[int, list[float | None]] = {
    1: [3.1, 3.2, 3.6, 3.4, 3.5, 3.5, 4.1],
    2: [3.3, 3.3, 3.5, 3.5, 3.8, 3.8, 4.7],
    4: [3.5, 3.6, 3.5, 4.3, 4.1, 4.6, 6.2],
    8: [3.8, 3.8, 4.0, 4.3, 4.9, 5.7, 9.3],
    16: [4.3, 4.6, 4.9, 6.0, 6.7, 8.5, 15.5],
    32: [6.0, 6.4, 7.6, 8.7, 10.9, 14.2, None],
    64: [10.0, 10.5, 11.6, 15.5, None, None, None],
    128: [18.5, 19.6, 21.5, None, None, None, None],
}
"""The published table of Mixtral 8x7B AWQ on two A100 40 GB; None = out of memory there."""

HOSTILE = [
    "[/]",
    "[/foo] [@click=app.quit]click[/]",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 bell\x07",
    "CUDA error: [/usr/lib/x] out of memory",
    "🚀" * 20,
    "日本語のモデル名" * 6,
    "e\u0301\u0301 \u202edesrever\u202c \u200b",
    "x" * 500,
    "two\nlines\r\nand\ta tab",
]


def wave(index: int, period: float = 17.0) -> float:
    return math.sin(index * 2 * math.pi / period)


def cell(users: int, prompt_tokens: int, outcome: Outcome = Outcome.OK, *, simulated: bool = False) -> CellResult:
    """Return one cell with the figures that its outcome allows."""
    resolve_s = RESOLVE_S[users][PROMPTS.index(prompt_tokens)] if outcome is Outcome.OK else None
    reference_s = RESOLVE_S[users][PROMPTS.index(prompt_tokens)]
    evidence = {
        Outcome.OOM_RUNTIME: "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.20 GiB.",
        Outcome.OOM_KV: "ValueError: the KV cache holds 188,640 tokens, the cell needs 280,704",
        Outcome.TOO_LONG: "HTTP 400: maximum context length is 2048 tokens",
        Outcome.ENGINE_DEAD: "EngineDeadError: exit code 1 within the cell",
        Outcome.IMPLIED: "64 × 480 failed for lack of memory",
        Outcome.TIMEOUT: "14 of 32 requests took longer than 300 s",
    }.get(outcome, "")
    if resolve_s is None:
        return CellResult(
            users=users,
            prompt_tokens=prompt_tokens,
            output_tokens=100,
            mode="burst",
            outcome=outcome,
            evidence=evidence,
            requests_failed=0 if outcome in (Outcome.IMPLIED, Outcome.RUNNING) else users,
            reference_s=reference_s,
            simulated=simulated,
        )
    return CellResult(
        users=users,
        prompt_tokens=prompt_tokens,
        output_tokens=100,
        mode="burst",
        outcome=outcome,
        duration_s=resolve_s * 1.1,
        time_to_resolve_s=resolve_s,
        tokens_per_s_total=users * 100 / resolve_s,
        tokens_per_s_per_user=100 / resolve_s,
        ttft_p50_s=resolve_s * 0.08,
        ttft_p90_s=resolve_s * 0.12 if users >= 64 else None,
        tpot_p50_s=resolve_s * 0.0092,
        itl_p50_s=resolve_s * 0.0091,
        itl_p99_s=resolve_s * 0.02,
        e2e_p50_s=resolve_s,
        e2e_p90_s=resolve_s * 1.04 if users >= 64 else None,
        requests_ok=users,
        delivered_concurrency=users * 0.98,
        kv_cache_usage_max=min(1.0, users * (prompt_tokens + 100) / 188_640),
        reference_s=None if reference_s is None else reference_s * 1.07,
        simulated=simulated,
    )


def cells(failures: dict[tuple[int, int], Outcome], measured: int, *, simulated: bool) -> list[CellResult]:
    made: list[CellResult] = []
    walk = [(users, prompt) for users in USERS for prompt in PROMPTS][:measured]
    for users, prompt in walk:
        made.append(cell(users, prompt, failures.get((users, prompt), Outcome.OK), simulated=simulated))
    return made


def failures_of_the_table() -> dict[tuple[int, int], Outcome]:
    """Where the published table failed: the first of a row was measured, the rest follows from it."""
    failures: dict[tuple[int, int], Outcome] = {}
    for users in USERS:
        missing = [prompt for prompt, value in zip(PROMPTS, RESOLVE_S[users], strict=True) if value is None]
        for place, prompt in enumerate(missing):
            failures[users, prompt] = Outcome.OOM_RUNTIME if place == 0 else Outcome.IMPLIED
    return failures


def series(seconds: int, *, users: int, now_ns: int, prompt_tokens: int = 296) -> list[SeriesPoint]:
    """Return one point a second of a ramp up to `users`, with a hole where nothing was measured."""
    points: list[SeriesPoint] = []
    for second in range(seconds):
        active = max(1, round(users * min(1.0, (second + 1) / (seconds * 0.8))))
        at_ns = now_ns - (seconds - 1 - second) * NS_PER_S
        hole = 40 <= second < 44
        total = active * 21.3 * (1 - active / 260) + 9 * wave(second)
        ttft = 0.12 + active * 0.004 + 0.02 * wave(second, 7)
        e2e = 3.2 + active * 0.055 + 0.15 * wave(second, 11)
        points.append(
            SeriesPoint(
                at_ns=at_ns,
                users_wanted=active,
                users_active=active,
                in_flight=active,
                prompt_tokens=prompt_tokens,
                tokens_per_s_total=None if hole else total,
                tokens_per_s_per_user=None if hole else total / active,
                ttft_p50_s=None if hole else ttft,
                ttft_p99_s=None if hole else ttft * 1.9,
                e2e_p50_s=None if hole else e2e,
                e2e_p99_s=None if hole else e2e * 1.25,
                itl_p50_s=0.041,
                itl_p99_s=0.072,
                requests_ok_per_s=active / e2e,
                requests_failed_per_s=0.0,
                server_running=float(active),
                server_waiting=0.0,
                kv_cache_usage=min(1.0, active * 396 / 22_000),
                client_cpu_share=0.11,
                client_lag_p99_s=0.0004,
                vram_used_share=0.955,
            )
        )
    return points


def distributions() -> Distributions:
    """Return those of a steady run: a hump each, the one of the gaps with a tail."""
    ttft_s = sorted(0.21 + 0.05 * wave(index, 5.3) + 0.03 * wave(index, 17.1) for index in range(400))
    itl_s = sorted(0.041 + 0.006 * wave(index, 7.1) + (0.03 if index % 37 == 36 else 0.0) for index in range(2000))
    return Distributions(ttft=Distribution.of_ordered_s(ttft_s), itl=Distribution.of_ordered_s(itl_s))


def latency_points(count: int, *, now_ns: int, span_s: float = 115.0) -> list[LatencyPoint]:
    """Return finished requests spread over the last `span_s` seconds; every 97th failed."""
    points: list[LatencyPoint] = []
    for index in range(count):
        at_ns = now_ns - int((count - 1 - index) * span_s / count * NS_PER_S)
        load = index / count
        ok = index % 97 != 96
        ttft_s = 0.14 + 0.10 * load + 0.03 * wave(index, 5.3)
        e2e_s = 3.4 + 1.3 * load + 0.35 * wave(index, 7.7) + (1.4 if index % 41 == 40 else 0.0)
        points.append(LatencyPoint(at_ns=at_ns, ttft_s=ttft_s if ok else None, e2e_s=e2e_s if ok else None, ok=ok))
    return points


def gpu(
    index: int, *, now_ns: int, simulated: bool = False, used_gb: float = 38.2, total_gb: float = 40.0
) -> GpuReading:
    """Return one card; only a simulated one knows how its memory is split."""
    return GpuReading(
        at_ns=now_ns,
        index=index,
        name="NVIDIA A100-PCIE-40GB" if not simulated else "A100 40 GB",
        simulated=simulated,
        vram_total_bytes=int(total_gb * GB),
        vram_used_bytes=int(used_gb * GB),
        vram_free_bytes=int((total_gb - used_gb) * GB),
        vram_reserved_bytes=int(0.6 * GB),
        vram_server_bytes=int((used_gb - 0.5) * GB),
        vram_weights_bytes=int(12.4 * GB) if simulated else None,
        vram_kv_cache_bytes=int(24.9 * GB) if simulated else None,
        vram_other_bytes=int((used_gb - 37.3) * GB) if simulated else None,
        active_share=0.98,
        power_w=287.0 - 6 * index,
        energy_j=182_000.0,
        temperature_c=64.0 - 2 * index,
    )


def gpu_trends(count: int) -> list[GpuTrend]:
    """Return the latest minute of so many cards, busier from second to second."""
    trends = []
    for card in range(count):
        shares = [min(1.0, 0.2 + 0.015 * second + 0.05 * wave(second + card)) for second in range(60)]
        trends.append(GpuTrend(card, [*shares], [60.0 + 230.0 * share for share in shares]))
    return trends


def requests(count: int, *, now_ns: int) -> list[RequestRow]:
    """Return finished requests, latest first."""
    return [
        RequestRow(
            request_id=1893 - index,
            at_ns=now_ns - int(index * 0.21 * NS_PER_S),
            outcome=Outcome.OK,
            users=24,
            prompt_tokens=296,
            output_tokens=100,
            ttft_s=0.2 + 0.02 * wave(index, 5),
            e2e_s=4.6 + 0.1 * wave(index, 9),
            tokens_per_s=100 / (4.6 + 0.1 * wave(index, 9)),
        )
        for index in range(count)
    ]


def failed_requests(*, now_ns: int) -> list[RequestRow]:
    """Return failed requests, latest first."""
    errors = [
        (1877, 64, 480, Outcome.ENGINE_DEAD, "EngineCore encountered an issue: CUDA out of memory."),
        (1402, 32, 2193, Outcome.TIMEOUT, "no token within 300 s"),
        (1183, 32, 2193, Outcome.HTTP_ERROR, "HTTP 500: Internal Server Error"),
    ]
    return [
        RequestRow(
            request_id=number,
            at_ns=now_ns - (200 + 60 * place) * NS_PER_S,
            outcome=outcome,
            users=users,
            prompt_tokens=prompt,
            error=error,
        )
        for place, (number, users, prompt, outcome, error) in enumerate(errors)
    ]


def log(*, now_ns: int) -> list[Event]:
    """Return what happened, oldest first."""
    lines = [
        (700, "server", "info", "Starting vLLM API server 0.32.0 on http://127.0.0.1:40123"),
        (660, "server", "info", "Loading weights took 31.20 seconds"),
        (640, "engine", "info", "KV cache 188,640 tokens, 46 × 4,096"),
        (620, "bench", "info", "server ready after 80 s"),
        (430, "cell", "info", "32 × 822 tokens: 14.2 s to resolve"),
        (231, "cell", "warning", "64 × 480 tokens: oom-runtime, CUDA out of memory"),
        (202, "server", "error", "the engine core died; launching it again"),
        (150, "server", "info", "relaunched, 38.1 GB came back"),
        (20, "load", "info", "24 users, 296 prompt tokens"),
    ]
    return [
        Event(at_ns=now_ns - ago * NS_PER_S, source=source, level=level, text=text)
        for ago, source, level, text in lines
    ]
