"""A measured cell as llm-d's benchmark report 0.2.1 (llm-d-benchmark, br_v0_2_1_json_schema.json).

It knows what others have no place for: restarts, the KV cache, what ran and waited, memory of the cards. Each statistic
has its units and a mean; what was not measured is absent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any

import msgspec

from tui.core.clock import NS_PER_S
from tui.metrics.cell import CellResult
from tui.metrics.reading import SeriesPoint
from tui.metrics.snapshot import ServerStatus
from tui.profile.schema import Mode, Profile
from tui.session.formats.cell_requests import CellRequests, Statistic
from tui.session.meta import SessionMeta, wall_time

VERSION = "0.2.1"
_GIB = 2**30
MOST_POINTS = 1_000


def document(
    meta: SessionMeta,
    profile: Profile | None,
    server: ServerStatus | None,
    cell: CellResult,
    requests: CellRequests,
    series: Sequence[SeriesPoint],
) -> dict[str, Any]:
    """Return the report of one cell that was answered; `series` are the seconds of its window."""
    label = meta.engine
    health = {} if server is None else {"component_health": [_health(label, server)]}
    observed = _observed(meta, label, cell, series)
    return {
        "version": VERSION,
        "run": _run(meta, cell),
        "scenario": {"stack": [_component(meta, label, profile, server)], "load": _load(meta, profile, cell)},
        "results": {
            "request_performance": {"aggregate": _performance(cell, requests)},
            **({"observability": {"components": [observed]}} if observed else {}),
            **health,
        },
    }


def _run(meta: SessionMeta, cell: CellResult) -> dict[str, Any]:
    end_ns = cell.started_at_ns + round((cell.duration_s or 0.0) * NS_PER_S)
    time = {"start": wall_time(meta, cell.started_at_ns), "end": wall_time(meta, end_ns)}
    time = {name: text for name, text in time.items() if text}
    simulated = "SIMULATED: the figures come from a model of a server. " if meta.simulated else ""
    return {
        "uid": f"{meta.session_id}-{cell.tag}",
        "eid": meta.session_id,
        "time": {**time, "duration": f"PT{cell.duration_s or 0.0:.3f}S"},
        "description": f"{simulated}{cell.users} users, {cell.prompt_tokens} prompt tokens, mode {cell.mode}",
        "keywords": ["vramp", *(["simulated"] if meta.simulated else [])],
    }


def _component(meta: SessionMeta, label: str, profile: Profile | None, server: ServerStatus | None) -> dict[str, Any]:
    arguments = {} if profile is None or profile.server is None else dict(profile.server.args)
    arguments |= {} if server is None else server.settings.arguments
    version = (server.version if server is not None else "") or "unknown"
    standardized: dict[str, Any] = {"kind": "generic", "tool": meta.engine, "tool_version": version}
    if profile is not None and profile.server is not None and (count := profile.gpu_count):
        parallel = {short: str(arguments.get(f"{name}-parallel-size", "")) for short, name in _PARALLEL.items()}
        standardized = {
            **standardized,
            "kind": "inference_engine",
            "role": "replica",
            "replicas": 1,
            "model": {"name": profile.server.model},
            "accelerator": {
                "model": meta.gpu_summary or "unknown",
                "count": count,
                "parallelism": {short: int(size) for short, size in parallel.items() if size.isdigit()},
            },
        }
    return {
        "metadata": {"label": label, "cfg_id": _hashed(arguments)},
        "standardized": standardized,
        "native": {"args": arguments},
    }


_PARALLEL = {"tp": "tensor", "pp": "pipeline", "dp": "data"}


def _load(meta: SessionMeta, profile: Profile | None, cell: CellResult) -> dict[str, Any]:
    standardized: dict[str, Any] = {
        "tool": "vramp",
        "tool_version": meta.vramp_version,
        "source": "random",
        "input_seq_len": {"distribution": "fixed", "value": cell.prompt_tokens},
        "output_seq_len": {"distribution": "fixed", "value": cell.output_tokens},
    }
    if cell.mode == Mode.RATE:
        if cell.rate is not None and cell.rate.asked_per_s:
            standardized["rate_qps"] = cell.rate.asked_per_s
    else:
        standardized["concurrency"] = cell.users
    config = {"mode": str(cell.mode), "users": cell.users}
    if profile is not None:
        config |= profile.load.model_dump(mode="json", exclude={"users", "prompt_tokens"})
    return {
        "metadata": {"cfg_id": _hashed(config)},
        "standardized": standardized,
        "native": {"config": config},
    }


def _performance(cell: CellResult, requests: CellRequests) -> dict[str, Any]:
    latency = {
        "time_to_first_token": _statistic(Statistic.of(requests.ttft), "s"),
        "time_per_output_token": _statistic(Statistic.of(requests.tpot), "s/token"),
        "inter_token_latency": _statistic(requests.itl, "s/token"),
        "request_latency": _statistic(Statistic.of(requests.e2e), "s"),
        "normalized_time_per_output_token": _statistic(
            Statistic.of([e2e / n for e2e, n in zip(requests.e2e, requests.output_lens, strict=True) if n]), "s/token"
        ),
    }
    duration_s, ok = cell.duration_s or 0.0, len(requests.e2e)
    rates = {}
    if duration_s > 0:
        total_in, total_out = sum(requests.input_lens), sum(requests.output_lens)
        output = cell.tokens_per_s_total or total_out / duration_s
        rates = {
            "input_token_rate": _mean(total_in / duration_s, "tokens/s"),
            "output_token_rate": _mean(output, "tokens/s"),
            "total_token_rate": _mean(total_in / duration_s + output, "tokens/s"),
            "request_rate": _mean(ok / duration_s, "queries/s"),
        }
    return {
        "requests": {
            "total": ok + requests.failed,
            "failures": requests.failed,
            "input_length": _statistic(Statistic.of([float(n) for n in requests.input_lens]), "count"),
            "output_length": _statistic(Statistic.of([float(n) for n in requests.output_lens]), "count"),
        },
        "latency": {name: found for name, found in latency.items() if found is not None},
        "throughput": rates,
    }


def _observed(meta: SessionMeta, label: str, cell: CellResult, series: Sequence[SeriesPoint]) -> dict[str, Any]:
    every = -(-len(series) // MOST_POINTS) or 1
    columns = {
        ("kv_cache_usage", "kv_cache_usage"): (
            "percent",
            [(p.at_ns, None if p.kv_cache_usage is None else p.kv_cache_usage * 100.0) for p in series],
        ),
        ("running_requests", "num_requests_running"): ("count", [(p.at_ns, p.server_running) for p in series]),
        ("waiting_requests", "num_requests_waiting"): ("count", [(p.at_ns, p.server_waiting) for p in series]),
    }
    aggregate: dict[str, Any] = {}
    over_time: dict[str, Any] = {}
    for (name, name_over_time), (units, points) in columns.items():
        values = [value for _, value in points if value is not None]
        if not values:
            continue
        aggregate[name] = {"units": units, "mean": fmean(values), "min": min(values), "max": max(values)}
        told = [
            {"ts": ts, "mean": value}
            for at_ns, value in points[::every]
            if value is not None and (ts := wall_time(meta, at_ns))
        ]
        if told:
            over_time[name_over_time] = {"units": units, "series": told}
    if cell.preemptions is not None:
        aggregate["preemptions"] = _mean(cell.preemptions, "count")
    if cell.vram_used_max_bytes is not None:
        most = cell.vram_used_max_bytes / _GIB
        aggregate["gpu_memory_usage"] = {"units": "GiB", "mean": most, "max": most}
    if not aggregate:
        return {}
    return {"component_label": label, "aggregate": aggregate, **({"time_series": over_time} if over_time else {})}


def _health(label: str, server: ServerStatus) -> dict[str, Any]:
    restarts = max(0, server.launches - 1)
    return {"component_label": label, "total_restarts": restarts, "failed_replicas": int(restarts > 0)}


def _statistic(found: Statistic | None, units: str) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"units": units, "mean": found.mean, "stddev": found.std, **{f"p{q}": at for q, at in found.at.items()}}


def _mean(value: float, units: str) -> dict[str, Any]:
    return {"units": units, "mean": value}


def _hashed(config: Iterable[Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(config, order="deterministic")).hexdigest()[:16]
