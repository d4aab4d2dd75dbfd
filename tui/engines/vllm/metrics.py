"""vLLM's Prometheus text as `ServerMetrics`. Names of 0.32, older ones as fallbacks."""

from __future__ import annotations

from tui.engines.base import ServerMetrics
from tui.engines.parts.prometheus import Samples, samples_of, total

# Field → names, the present one first. Counters end in _total; several engines of one server add up.
_SUMS: dict[str, tuple[str, ...]] = {
    "running": ("vllm:num_requests_running",),
    "waiting": ("vllm:num_requests_waiting",),
    "preemptions_total": ("vllm:num_preemptions_total",),
    "prompt_tokens_total": ("vllm:prompt_tokens_total",),
    "generation_tokens_total": ("vllm:generation_tokens_total",),
    "prefix_cache_queries_total": ("vllm:prefix_cache_queries_total", "vllm:gpu_prefix_cache_queries_total"),
    "prefix_cache_hits_total": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    "ttft_sum_s": ("vllm:time_to_first_token_seconds_sum",),
    "ttft_count": ("vllm:time_to_first_token_seconds_count",),
    "itl_sum_s": ("vllm:inter_token_latency_seconds_sum", "vllm:time_per_output_token_seconds_sum"),
    "itl_count": ("vllm:inter_token_latency_seconds_count", "vllm:time_per_output_token_seconds_count"),
    "queue_sum_s": ("vllm:request_queue_time_seconds_sum",),
    "queue_count": ("vllm:request_queue_time_seconds_count",),
}
_EXTRA: dict[str, str] = {
    "prefill_time_sum_s": "vllm:request_prefill_time_seconds_sum",
    "prefill_time_count": "vllm:request_prefill_time_seconds_count",
    "rejections_total": "vllm:admission_rejections_total",
}
_KV_CACHE_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_CACHE_CONFIG = "vllm:cache_config_info"

_WANTED = frozenset(
    [name for names in _SUMS.values() for name in names] + list(_EXTRA.values()) + [*_KV_CACHE_USAGE, _CACHE_CONFIG]
)


def read_metrics(text: str) -> ServerMetrics:
    """Return the server's own figures; what is absent, unreadable or not finite is None. Never raises."""
    samples = samples_of(text, _WANTED)
    usages = [value for name in _KV_CACHE_USAGE for _labels, value in samples.get(name, ())]
    extra = {field: value for field, name in _EXTRA.items() if (value := total(samples, [name])) is not None}
    return ServerMetrics(
        **{field: total(samples, names) for field, names in _SUMS.items()},
        # Of several engines the fullest one is the one that queues first.
        kv_cache_usage=min(max(usages), 1.0) if usages else None,
        kv_cache_tokens=_kv_cache_tokens(samples.get(_CACHE_CONFIG, [])),
        extra=extra,
    )


def _kv_cache_tokens(samples: Samples) -> int | None:
    """Return the size of the KV caches of all engines, by the labels of the information metric."""
    total = 0
    for labels, _value in samples:
        size = labels.get("kv_cache_size_tokens", "")
        if not size.isdecimal():
            # Older releases tell blocks and their size only.
            blocks, block_size = labels.get("num_gpu_blocks", ""), labels.get("block_size", "")
            if not (blocks.isdecimal() and block_size.isdecimal()):
                return None
            size = str(int(blocks) * int(block_size))
        total += int(size)
    return total or None
