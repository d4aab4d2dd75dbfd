"""Canned snapshots for view tests: deterministic, one for each situation that a screen must show well."""

from __future__ import annotations

import msgspec

from tests.fakes.snapshot_parts import (
    HOSTILE,
    PROMPTS,
    STARTED_NS,
    USERS,
    cell,
    cells,
    distributions,
    failed_requests,
    failures_of_the_table,
    gpu,
    gpu_trends,
    latency_points,
    log,
    requests,
    series,
    wave,
)
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.boundary import Edge
from tui.metrics.conditions import Conditions
from tui.metrics.limits import Limit, Verdict
from tui.metrics.occupancy import Occupancy
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.snapshot import (
    FailureReport,
    Figures,
    GridStatus,
    LatencyPoint,
    LoadStatus,
    Phase,
    RequestRow,
    ServerStatus,
    Snapshot,
    StageProgress,
    SweepStatus,
)
from tui.metrics.trend import Trend


def _base(now_ns: int, *, simulated: bool) -> Snapshot:
    return Snapshot(
        at_ns=now_ns,
        started_at_ns=STARTED_NS,
        started_at="2026-11-20T18:04:00+00:00",
        session_id="2026-11-20-1804",
        session_file="/home/op/.local/share/vramp/sessions/2026-11-20-1804.vramp",
        simulated=simulated,
        profile_name="mixtral-8x7b-awq",
        profile_title="Mixtral 8x7B AWQ 4-bit on 2 x A100 40 GB",
        engine="simulated" if simulated else "vllm",
        gpu_summary="2 × A100 40 GB",
        command_line="vllm serve casperhansen/mixtral-instruct-awq --tensor-parallel-size 2 --quantization awq",
        server=ServerStatus(
            phase=Phase.READY,
            stages=[
                StageProgress(name="start", state="done", seconds=6.1),
                StageProgress(name="weights", state="done", seconds=31.2),
                StageProgress(name="compile", state="done", seconds=27.0),
                StageProgress(name="KV cache", state="done", seconds=4.4),
                StageProgress(name="ready", state="done", seconds=11.3),
            ],
            base_url="http://127.0.0.1:40123",
            pid=41_337,
            version="0.32.0",
            model="casperhansen/mixtral-instruct-awq",
            max_model_len=4096,
            kv_cache_tokens=188_640,
            max_concurrency=46.05,
            launches=1,
        ),
        grid=GridStatus(users=USERS, prompt_tokens=PROMPTS),
        load=LoadStatus(prompt_tokens=31, output_tokens=100, workers=2, stamps="kernel"),
    )


def fresh(*, simulated: bool = True) -> Snapshot:
    """Return a session whose server is ready and that nobody has used yet."""
    now_ns = STARTED_NS + 81 * NS_PER_S
    base = _base(now_ns, simulated=simulated)
    return msgspec.structs.replace(
        base,
        gpus=[gpu(index, now_ns=now_ns, simulated=simulated) for index in range(2)],
        gpu_sample_s=0.0021,
        log=log(now_ns=now_ns)[:4],
    )


def launching() -> Snapshot:
    """Return a session whose server is still loading its weights."""
    stages = [
        StageProgress(name="start", state="done", seconds=6.1),
        StageProgress(name="weights", state="current", seconds=12.0, progress=0.4),
        StageProgress(name="compile", state="pending"),
        StageProgress(name="KV cache", state="pending"),
        StageProgress(name="ready", state="pending"),
    ]
    base = _base(STARTED_NS + 18 * NS_PER_S, simulated=False)
    return msgspec.structs.replace(base, server=ServerStatus(phase=Phase.LAUNCHING, stages=stages, launches=1))


def failed() -> Snapshot:
    """Return a session whose server could not be started."""
    stages = [
        StageProgress(name="start", state="done", seconds=6.1),
        StageProgress(name="weights", state="done", seconds=31.2),
        StageProgress(name="KV cache", state="failed", seconds=2.2),
    ]
    failure = FailureReport(
        failure="oom-kv",
        summary="The KV cache does not fit",
        line="ValueError: To serve at least one request with max seq len 32768, 4.00 GiB KV cache is needed",
        advice="lower max-model-len to 16384, or raise gpu-memory-utilization",
        exit_code=1,
        remedy={"max-model-len": "16384"},
    )
    base = _base(STARTED_NS + 40 * NS_PER_S, simulated=False)
    return msgspec.structs.replace(
        base, server=ServerStatus(phase=Phase.FAILED, stages=stages, failure=failure, launches=1)
    )


def _figures(step: int, wobble: float, e2e_p50_s: float) -> Figures:
    """Return the last seconds' figures of a ramp."""
    return Figures(
        tokens_per_s_total=512.0 + 11 * wobble,
        tokens_per_s_per_user=21.3 + 0.4 * wobble,
        ttft_p50_s=0.21 + 0.01 * wobble,
        ttft_p90_s=0.38 + 0.02 * wobble,
        e2e_p50_s=e2e_p50_s + 0.05 * wobble,
        e2e_p90_s=5.1 + 0.1 * wobble,
        tpot_p50_s=0.044,
        itl_p50_s=0.041,
        itl_p99_s=0.072,
        requests_ok=52,
        requests_ok_total=1870 + step,
        requests_failed_total=3,
    )


def mid_ramp(step: int = 0, *, simulated: bool = True) -> Snapshot:
    """Return a run that the operator ramps, 24 of 32 users there; `step` lets time pass, half a second each."""
    now_ns = STARTED_NS + 761 * NS_PER_S + step * NS_PER_S // 2
    base = _base(now_ns, simulated=simulated)
    points = series(120, users=24, now_ns=now_ns - now_ns % NS_PER_S)
    wobble = wave(step, 7)
    kv_cache_usage = 0.43 + 0.03 * wobble
    waiting = float(8 + step % 3)
    server = msgspec.structs.replace(
        base.server, running=24.0, waiting=waiting, kv_cache_usage=kv_cache_usage, preemptions_total=0.0
    )
    ramped = [*cells({}, 31, simulated=simulated), cell(16, 296, Outcome.RUNNING, simulated=simulated)]
    used = [38.2 + 0.1 * wobble, 38.2 - 0.1 * wobble]
    return msgspec.structs.replace(
        base,
        server=server,
        load=LoadStatus(
            users_wanted=32,
            users_active=24,
            in_flight=24,
            prompt_tokens=296,
            output_tokens=100,
            activity="users",
            delivered_concurrency=23.9 + 0.1 * wobble,
            steady_for_s=31.0 + step / 2,
            client_ceiling_share=0.11 + 0.01 * wobble,
            client_lag_p99_s=0.0004,
            workers=2,
            stamps="kernel",
        ),
        figures=_figures(step, wobble, points[-1].e2e_p50_s or 0.0),
        distributions=distributions(),
        series=points,
        trend=Trend().extend(points).points,
        points=latency_points(420, now_ns=now_ns),
        gpus=[gpu(index, now_ns=now_ns, simulated=simulated, used_gb=used[index]) for index in range(2)],
        gpu_trends=gpu_trends(2),
        gpu_sample_s=0.0021,
        grid=GridStatus(users=USERS, prompt_tokens=PROMPTS, cells=ramped, current_users=16, current_prompt_tokens=296),
        requests=requests(60, now_ns=now_ns),
        requests_failed=failed_requests(now_ns=now_ns),
        log=log(now_ns=now_ns),
    )


def sweeping() -> Snapshot:
    """Return a sweep in the middle of the grid."""
    base = mid_ramp()
    return msgspec.structs.replace(
        base,
        load=msgspec.structs.replace(base.load, activity="sweep", users_wanted=16, users_active=16),
        sweep=SweepStatus(running=True, cells_done=31, cells_total=56, cell_progress=0.4, remaining_s=412.0),
    )


def oom_grid() -> Snapshot:
    """Return a grid with all kinds of failures: measured, implied, too long, timed out, queueing."""
    failures = failures_of_the_table()
    failures[1, 2193] = Outcome.TOO_LONG
    failures[16, 2193] = Outcome.TIMEOUT
    failures[32, 822] = Outcome.OOM_KV
    failures[128, 31] = Outcome.ENGINE_DEAD
    base = mid_ramp()
    grid = GridStatus(
        users=USERS,
        prompt_tokens=PROMPTS,
        cells=cells(failures, 50, simulated=True),
        queueing=[(64, 480), (64, 822), (64, 2193), (128, 296)],
    )
    return msgspec.structs.replace(base, grid=grid)


def full_grid(*, simulated: bool = False) -> Snapshot:
    """Return a finished sweep with the published figures beside the measured ones."""
    base = mid_ramp(simulated=simulated)
    grid = GridStatus(users=USERS, prompt_tokens=PROMPTS, cells=cells(failures_of_the_table(), 56, simulated=simulated))
    return msgspec.structs.replace(
        base,
        load=msgspec.structs.replace(base.load, activity="idle", users_wanted=0, users_active=0, steady_for_s=None),
        grid=grid,
        sweep=SweepStatus(cells_done=56, cells_total=56, finished=True),
    )


def well_known_cell() -> Snapshot:
    """Return a finished sweep in which all is known of 16 users at 296 tokens that can be known of a cell."""
    base = full_grid(simulated=True)
    known = msgspec.structs.replace(
        cell(16, 296, simulated=True),
        distributions=distributions(),
        ttft_p90_s=0.52,
        ttft_p99_s=0.71,
        ttft_mean_s=0.5,
        server_ttft_mean_s=0.47,
        itl_p50_s=0.041,
        itl_p90_s=0.048,
        server_itl_mean_s=0.04,
        e2e_p90_s=6.2,
        energy_per_token_j=0.83,
        vram_used_max_bytes=38_200_000_000,
        verdict=Verdict(
            limit=Limit.KV_CACHE,
            sentence="The KV cache was full while requests waited for a place in it",
            evidence=["waited 2.00 s on average", "KV cache 99% at most (full)"],
        ),
        delivered_concurrency_max=16,
        occupancy=Occupancy(readings=9, running_mean=5.0, running_max=6.0, waiting_mean=11.0),
        conditions=Conditions(
            launch=2,
            version="0.32.0",
            driver="580.159",
            kv_pool_tokens=9_600,
            kv_pool_blocks=600,
            block_size=16,
            differences=["gpu-memory-utilization: the profile says 0.95, the server runs 0.90"],
        ),
    )
    filled = [known if (one.users, one.prompt_tokens) == (16, 296) else one for one in base.grid.cells]
    edges = [
        Edge(prompt_tokens=296, predicted=24, measured=8, beyond=16),
        Edge(prompt_tokens=480, predicted=16, measured=32, beyond=64),
        Edge(prompt_tokens=2193, predicted=4, measured=16, beyond=32),
    ]
    rows = [msgspec.structs.replace(row, users=16) for row in base.requests]
    grid = msgspec.structs.replace(base.grid, cells=filled, edges=edges)
    return msgspec.structs.replace(base, grid=grid, requests=rows)


def no_gpu() -> Snapshot:
    """Return a run on a machine without a driver."""
    note = "No NVIDIA driver on this machine (libnvidia-ml.so.1 is missing): no VRAM, power or temperature."
    return msgspec.structs.replace(
        mid_ramp(simulated=False), gpus=[], gpu_trends=[], gpu_note=note, gpu_sample_s=None, gpu_summary=""
    )


def eight_gpus() -> Snapshot:
    """Return a run on eight cards, one of them lost and one throttled."""
    base = mid_ramp(simulated=False)
    cards = [gpu(index, now_ns=base.at_ns, used_gb=70.1 - index, total_gb=85.9) for index in range(8)]
    cards[3] = GpuReading(at_ns=base.at_ns, index=3, name="NVIDIA H100 80GB HBM3", lost=True)
    cards[5] = msgspec.structs.replace(cards[5], throttle="power cap")
    return msgspec.structs.replace(base, gpus=cards, gpu_trends=gpu_trends(8), gpu_summary="8 × H100 80 GB")


def gpu_hosts(hosts: int, each: int) -> Snapshot:
    """Return a run of one simulated server on so many hosts with so many cards each."""
    base = mid_ramp()
    cards = [
        msgspec.structs.replace(gpu(index, now_ns=base.at_ns, simulated=True), host=f"node{host}")
        for host in range(1, hosts + 1)
        for index in range(each)
    ]
    trends = [
        msgspec.structs.replace(trend, index=0, host=f"node{host}") for host, trend in enumerate(gpu_trends(hosts), 1)
    ]
    return msgspec.structs.replace(
        base, gpus=cards, gpu_trends=trends, gpu_summary=f"{hosts * each} × A100 40 GB on {hosts} nodes"
    )


def hostile() -> Snapshot:
    """Return a run in which every text from outside tries to break the screen."""
    base = mid_ramp()
    long = " ".join(HOSTILE)
    rows = [
        RequestRow(
            request_id=index,
            at_ns=base.at_ns,
            outcome=Outcome.MALFORMED,
            users=10**7,
            prompt_tokens=10**9,
            ttft_s=1e9,
            e2e_s=1e12,
            error=text,
        )
        for index, text in enumerate(HOSTILE)
    ]
    broken = [msgspec.structs.replace(cell(1, 31, Outcome.ENGINE_DEAD), evidence=long)]
    return msgspec.structs.replace(
        base,
        session_id=HOSTILE[0],
        profile_name=HOSTILE[1],
        profile_title=long,
        engine=HOSTILE[2],
        gpu_summary=HOSTILE[5],
        command_line=long,
        server=msgspec.structs.replace(
            base.server, model=long, version=HOSTILE[1], base_url=HOSTILE[2], missing=list(HOSTILE)
        ),
        gpus=[
            msgspec.structs.replace(gpu(index, now_ns=base.at_ns), name=text, throttle=text)
            for index, text in enumerate(HOSTILE[:4])
        ],
        gpu_note=long,
        grid=GridStatus(mode=HOSTILE[1], users=USERS, prompt_tokens=PROMPTS, cells=broken),
        requests=rows,
        requests_failed=rows,
        log=[Event(at_ns=base.at_ns, source=text, text=text, level=text) for text in HOSTILE],
        notice=long,
    )


def everything_none() -> Snapshot:
    """Return a session of which nothing is known yet."""
    return Snapshot(
        at_ns=STARTED_NS,
        started_at_ns=STARTED_NS,
        started_at="",
        session_id="",
        session_file="",
        simulated=False,
        profile_name="",
        profile_title="",
        engine="",
        server=ServerStatus(phase=Phase.LAUNCHING),
        gpus=[GpuReading(at_ns=STARTED_NS, index=0, name="")],
        series=[SeriesPoint(at_ns=STARTED_NS, users_wanted=0, users_active=0, in_flight=0, prompt_tokens=0)] * 3,
        points=[LatencyPoint(at_ns=STARTED_NS, ttft_s=None, e2e_s=None, ok=False)],
        requests=[RequestRow(request_id=0, at_ns=STARTED_NS, outcome=Outcome.CANCELLED, users=0, prompt_tokens=0)],
    )


ALL = {
    "fresh": fresh,
    "launching": launching,
    "failed": failed,
    "mid-ramp": mid_ramp,
    "sweeping": sweeping,
    "oom-grid": oom_grid,
    "full-grid": full_grid,
    "no-gpu": no_gpu,
    "eight-gpus": eight_gpus,
    "hostile": hostile,
    "everything-none": everything_none,
}
