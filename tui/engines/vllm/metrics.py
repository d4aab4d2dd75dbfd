"""vLLM's Prometheus text as `ServerMetrics`. Names of 0.32, older ones as fallbacks."""

from __future__ import annotations

import math
from typing import Any

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
    "prefill_sum_s": ("vllm:request_prefill_time_seconds_sum",),
    "prefill_count": ("vllm:request_prefill_time_seconds_count",),
    "decode_sum_s": ("vllm:request_decode_time_seconds_sum",),
    "decode_count": ("vllm:request_decode_time_seconds_count",),
    "refused_total": ("vllm:admission_rejections_total",),
}
# What the information metric tells of arguments, by its labels: the flag of each.
_ARGUMENTS = {
    "gpu_memory_utilization": "gpu-memory-utilization",
    "kv_cache_memory_bytes": "kv-cache-memory-bytes",
    "cache_dtype": "kv-cache-dtype",
    "num_gpu_blocks_override": "num-gpu-blocks-override",
    "enable_prefix_caching": "enable-prefix-caching",
    "block_size": "block-size",
}
_NULL_BLOCKS = 1
"""Of each engine's cache stand for nothing (vllm/v1/core/block_pool.py), and belong to no request."""
_KV_CACHE_USAGE = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_CACHE_CONFIG = "vllm:cache_config_info"

_WANTED = frozenset([name for names in _SUMS.values() for name in names] + [*_KV_CACHE_USAGE, _CACHE_CONFIG])


def read_metrics(text: str) -> ServerMetrics:
    """Return the server's own figures; what is absent, unreadable or not finite is None. Never raises."""
    samples = samples_of(text, _WANTED)
    usages = [value for name in _KV_CACHE_USAGE for _labels, value in samples.get(name, ())]
    config = samples.get(_CACHE_CONFIG, [])
    tokens, block_size = _kv_cache_tokens(config), _block_size(config)
    groups, states = _groups(config, tokens, block_size)
    sums: dict[str, Any] = {field: total(samples, names) for field, names in _SUMS.items()}
    return ServerMetrics(
        **sums,
        # Of several engines the fullest one is the one that queues first.
        kv_cache_usage=min(max(usages), 1.0) if usages else None,
        kv_cache_tokens=tokens,
        kv_cache_blocks=_usable_blocks(config, tokens, block_size, groups),
        block_size=block_size,
        state_blocks=states,
        arguments=_arguments(config),
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


def _block_size(samples: Samples) -> int | None:
    """Return how many tokens a block of attention has; None where engines differ. A hybrid model's is a larger one."""
    sizes = set()
    for labels, _value in samples:
        told = labels.get("effective_attention_block_size", ""), labels.get("block_size", "")
        sizes.add(next((int(size) for size in told if size.isdecimal() and int(size) > 0), None))
    return sizes.pop() if len(sizes) == 1 else None


def _groups(samples: Samples, tokens: int | None, block_size: int | None) -> tuple[int, int]:
    """Return for how many groups of layers a request has a block of the same tokens, and how many it has for states.

    vLLM tells how many requests of the greatest length fit, as blocks / blocks of such a request, and the tokens of
    them all (vllm/v1/core/kv_cache_utils.py, get_kv_cache_capacity). In a model with Mamba layers what such a request
    has beyond whole groups of attention is for states. Elsewhere it may be for a sliding window, of which a short
    request has less: that is not told, and left out.
    """
    blocks = _whole(samples, "num_gpu_blocks")
    if not tokens or not block_size or not blocks:
        return 1, 0
    hybrid = bool(samples) and all(labels.get("mamba_block_size", "None") != "None" for labels, _value in samples)
    fitting = [_positive(labels.get("kv_cache_max_concurrency", "")) for labels, _value in samples]
    if not hybrid or None in fitting:
        return max(1, round(blocks * block_size / tokens)), 0
    in_all = sum(requests for requests in fitting if requests is not None)
    longest = math.ceil(tokens / in_all - 1e-6)
    groups, states = divmod(round(blocks / in_all), -(-longest // block_size))
    return max(1, groups), -(-states // max(1, groups))


def _whole(samples: Samples, label: str) -> int | None:
    """Return the sum of a label that is a whole number in each engine; None where it is not."""
    told = [labels.get(label, "") for labels, _value in samples]
    return sum(map(int, told)) if all(text.isdecimal() for text in told) else None


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _usable_blocks(samples: Samples, tokens: int | None, block_size: int | None, groups: int) -> int | None:
    """Return how many blocks requests can have of all engines; None where it is not told.

    A block of each group of layers that has the same tokens counts as one block.
    """
    if not tokens or not block_size:
        return None
    blocks = _whole(samples, "num_gpu_blocks")
    if blocks is None:
        return max(0, tokens // block_size - _NULL_BLOCKS * len(samples))
    return max(0, (blocks - _NULL_BLOCKS * len(samples)) // groups)


def _arguments(samples: Samples) -> dict[str, str]:
    """Return the arguments that the first engine tells."""
    labels = samples[0][0] if samples else {}
    return {flag: labels[name] for name, flag in _ARGUMENTS.items() if labels.get(name, "None") != "None"}
