"""What llm-d's benchmark report 0.2.1 allows: all of br_v0_2_1_json_schema.json, in a short hand of our own.

And what its readers check beyond that: which units a figure may have, and that a concurrency is a whole number.

A table's keys: "name!" must be there, "name=" may be absent, "name" may be absent or null. Nothing else may be there,
but for tables with "...". A set holds the values of an enum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class AtLeast:
    """A number of that kind, `least` or more; `above`: more."""

    kind: type
    least: float = 0
    above: bool = False


class Moment:
    """ISO 8601, a date and a time."""


COUNT, SIZE = AtLeast(int), AtLeast(int, 1)
QUANTITY, PORTION, RATIO, TIME = {"count", "pixels"}, {"percent", "fraction"}, {"ratio"}, {"ms", "s"}
MEMORY = {"bytes", "MB", "GB", "TB", "MiB", "GiB", "TiB"}
PER_TOKEN, TOKENS, QUERIES, POWER = {"ms/token", "s/token"}, {"tokens/s"}, {"queries/s"}, {"Watts"}
MEDIA = {"images/s", "videos/s", "audios/s"}
BANDWIDTH = {"Mbit/s", "Gbit/s", "Tbit/s", "GiB/s", "MB/s", "GB/s", "TB/s"}
UNITS = QUANTITY | PORTION | RATIO | TIME | MEMORY | PER_TOKEN | TOKENS | QUERIES | POWER | MEDIA | BANDWIDTH
_PERCENTILES = [f"p{q}" for q in ("0p1", "1", "5", "10", "25", "50", "75", "90", "95", "99", "99p9")]
_OF_MANY: dict[str, Any] = {
    **dict.fromkeys(["mode", "min", "max", *_PERCENTILES], float),
    "stddev": AtLeast(float),
}
POINT = {"ts!": Moment, "value": (str, int, float, bool), "mean": float, **_OF_MANY}


def statistic(units: set[str]) -> dict[str, Any]:
    """Return the table of a figure in one of these units."""
    return {"units!": units, "mean!": float, **_OF_MANY, "...": object}


def series(units: set[str]) -> dict[str, Any]:
    """Return the table of points over time."""
    return {"units!": units, "series!": [POINT]}


LENGTH = {
    "distribution!": {"fixed", "gaussian", "uniform", "other"},
    "value!": AtLeast(float),
    "std_dev": AtLeast(float),
    "min": COUNT,
    "max": SIZE,
}
_NATIVE = {"args": dict, "envars": dict, "config": object}
_GENERIC = {"kind!": {"generic"}, "tool!": str, "tool_version!": str, "...": object}
_ENGINE = {
    "kind!": {"inference_engine"},
    "tool!": str,
    "tool_version!": str,
    "role!": {"replica", "prefill", "decode"},
    "replicas!": SIZE,
    "model!": {"name!": str},
    "accelerator!": {
        "model!": str,
        "count!": COUNT,
        "parallelism!": {**dict.fromkeys(["tp=", "dp=", "dp_local=", "workers="], COUNT), "ep=": SIZE, "pp=": SIZE},
    },
}
COMPONENTS = {"generic": _GENERIC, "inference_engine": _ENGINE}
"""By their kind."""
_LOAD = {
    "tool!": str,
    "tool_version!": str,
    "parallelism=": SIZE,
    "source!": {"random", "sampled", "unknown"},
    "stage=": COUNT,
    "input_seq_len!": LENGTH,
    "output_seq_len": LENGTH,
    "prefix": {"prefix_len!": LENGTH, "num_groups!": SIZE, "num_users_per_group!": SIZE, "num_prefixes!": SIZE},
    "multi_turn": {"enabled=": bool, "max_turns": LENGTH},
    "rate_qps": AtLeast(float, above=True),
    "concurrency": SIZE,
}
_LATENCIES = {
    **dict.fromkeys(["time_to_first_token", "request_latency"], TIME),
    **dict.fromkeys(["normalized_time_per_output_token", "time_per_output_token", "inter_token_latency"], PER_TOKEN),
}
_RATES = {
    **dict.fromkeys(["input_token_rate", "output_token_rate", "total_token_rate"], TOKENS),
    "request_rate": QUERIES,
}
_MEDIA_RATES = dict.fromkeys(["image_rate", "video_rate", "audio_rate"], MEDIA)
_IMAGE = {"count": QUANTITY, "filesize": MEMORY, "pixels": QUANTITY, "aspect_ratio": RATIO}
_HARDWARE = {
    **dict.fromkeys(["kv_cache_usage", "gpu_cache_usage", "cpu_cache_usage"], PORTION),
    **dict.fromkeys(["gpu_memory_usage", "cpu_memory_usage", "storage_usage"], MEMORY),
    **dict.fromkeys(["gpu_utilization", "cpu_utilization"], PORTION),
    "power_consumption": POWER,
}
_COUNTED = {
    "cache_hit_rate": PORTION,
    **dict.fromkeys(["running_requests", "waiting_requests", "swapped_requests", "preemptions"], QUANTITY),
}
_OVER_TIME = {
    **dict.fromkeys(["num_requests_running", "num_requests_waiting", "num_preemptions"], QUANTITY),
    **dict.fromkeys(["prefix_cache_queries", "prefix_cache_hits"], QUANTITY),
    **dict.fromkeys(["external_prefix_cache_queries", "external_prefix_cache_hits"], QUANTITY),
    **dict.fromkeys(["prefix_cache_hit_rate", "external_prefix_cache_hit_rate"], PORTION),
    **dict.fromkeys(["prompt_tokens", "generation_tokens", "pool_avg_queue_size"], QUANTITY),
    **dict.fromkeys(["pool_avg_running_requests", "pool_ready_pods"], QUANTITY),
    "pool_avg_kv_cache_utilization": PORTION,
}
_OF_SESSIONS = {
    "session_rate": QUERIES,
    "session_duration": TIME,
    **dict.fromkeys(["events_per_session", "events_cancelled_per_session"], QUANTITY),
    **dict.fromkeys(["input_tokens_per_session", "output_tokens_per_session"], QUANTITY),
}


def _statistics(units: Mapping[str, set[str]]) -> dict[str, Any]:
    return {name: statistic(each) for name, each in units.items()}


def _all_series(units: Mapping[str, set[str]]) -> dict[str, Any]:
    return {name: series(each) for name, each in units.items()}


_REQUESTS = {
    "total!": COUNT,
    "failures": COUNT,
    "incomplete": COUNT,
    **_statistics({"input_length": QUANTITY, "output_length": QUANTITY, "request_size": MEMORY}),
    "multimodal": {
        "image": _statistics(_IMAGE),
        "video": _statistics({**_IMAGE, "frames": QUANTITY}),
        "audio": _statistics({"count": QUANTITY, "filesize": MEMORY, "duration": TIME}),
    },
}
_PERFORMANCE = {
    "aggregate": {
        "requests": _REQUESTS,
        "latency": _statistics(_LATENCIES),
        "throughput": _statistics({**_RATES, **_MEDIA_RATES}),
    },
    "time_series": {
        "latency": _all_series(_LATENCIES),
        "throughput": {"units=": UNITS, **_all_series(_RATES)},
    },
}
_SESSIONS = {
    "total!": COUNT,
    **dict.fromkeys(["succeeded", "failed", "total_events", "total_events_completed", "total_events_cancelled"], COUNT),
    **_statistics(_OF_SESSIONS),
}
_CONTROLLER = {
    **dict.fromkeys(["kind!", "name!"], str),
    **dict.fromkeys(["model", "role"], str),
    **dict.fromkeys(["desired_replicas!", "available_replicas!", "ready_replicas!"], COUNT),
    "updated_replicas": COUNT,
}
_OBSERVED = {
    "components": [
        {
            "component_label!": str,
            **dict.fromkeys(["replica_id", "raw_data_path", "graph_path"], str),
            "aggregate": _statistics({**_HARDWARE, **_COUNTED}),
            "time_series": _all_series({**_HARDWARE, **_OVER_TIME}),
        }
    ],
    "drop_rate": statistic(PORTION),
    "pod_startup_times": {
        "collected_at": Moment,
        "pods": [
            {
                "name!": str,
                **dict.fromkeys(["model", "role", "node"], str),
                **dict.fromkeys(["creation_timestamp", "ready_timestamp"], Moment),
                "startup_seconds": AtLeast(float),
            }
        ],
        "aggregate": statistic(UNITS),
        "graph_path": str,
    },
    "replica_status": {
        "namespace": str,
        "timestamp": Moment,
        "controllers": [_CONTROLLER],
        "time_series": [{"timestamp": Moment, "namespace": str, "controllers": [_CONTROLLER]}],
        "aggregate_ready_replicas": statistic(UNITS),
        "graph_path": str,
    },
    "...": object,
}
_HEALTH = {
    "component_label!": str,
    "total_restarts": COUNT,
    "failed_replicas": COUNT,
    "replica_health": [{"replica_id!": str, "restarts": COUNT, "healthy": bool, "logs": str}],
}
REPORT: dict[str, Any] = {
    "version=": str,
    "run!": {
        "uid!": str,
        **dict.fromkeys(["eid", "cid", "pid", "user", "description"], str),
        "time": {"start": Moment, "end": Moment, "duration": str},
        "keywords": [str],
    },
    "scenario": {
        "stack": [
            {
                "metadata!": {"schema_version=": str, "label!": str, "cfg_id!": str, "description": str},
                "standardized!": COMPONENTS,
                "native!": _NATIVE,
            }
        ],
        "load": {
            "metadata!": {
                "schema_version=": str,
                **dict.fromkeys(["cfg_id", "description", "treatment", "treatment_group"], str),
                "concurrent_with": [str],
            },
            "standardized!": _LOAD,
            "native!": _NATIVE,
        },
    },
    "results!": {
        "request_performance": _PERFORMANCE,
        "session_performance": {"sessions": _SESSIONS},
        "observability": _OBSERVED,
        "profiling": object,
        "component_health": [_HEALTH],
    },
}


def check(value: Any, schema: Any, place: str = "report") -> None:
    """Raise AssertionError, with the place, for what the schema does not allow."""
    if schema is COMPONENTS:
        assert isinstance(value, dict) and value.get("kind") in COMPONENTS, place
        check(value, COMPONENTS[value["kind"]], place)
    elif isinstance(schema, Mapping):
        _check_table(value, schema, place)
    elif isinstance(schema, list):
        assert isinstance(value, list), place
        for number, inner in enumerate(value):
            check(inner, schema[0], f"{place}[{number}]")
    elif isinstance(schema, set):
        assert isinstance(value, str) and value in schema, (place, value)
    elif isinstance(schema, AtLeast):
        check(value, schema.kind, place)
        assert value > schema.least if schema.above else value >= schema.least, (place, value)
    elif schema is Moment:
        assert isinstance(value, str) and _is_moment(value), (place, value)
    elif schema is not object:
        kinds = (int, float) if schema is float else schema
        assert isinstance(value, kinds), (place, value)
        assert schema is bool or isinstance(schema, tuple) or not isinstance(value, bool), (place, value)


def _is_moment(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_table(value: Any, schema: Mapping[str, Any], place: str) -> None:
    assert isinstance(value, dict), place
    keys = {key.rstrip("!="): inner for key, inner in schema.items()}
    absent = {key[:-1] for key in schema if key.endswith("!")} - value.keys()
    unknown = set() if "..." in schema else value.keys() - keys.keys()
    assert not absent and not unknown, (place, sorted(absent), sorted(unknown))
    never_null = {key[:-1] for key in schema if key.endswith(("!", "="))}
    for key, inner in value.items():
        if inner is not None or key in never_null:
            check(inner, keys.get(key, object), f"{place}.{key}")
