"""Recorded Prometheus text of a real vLLM, older names, and rubbish."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines.base import ServerMetrics
from tui.engines.vllm.metrics import read_metrics

CORPUS = Path(__file__).parents[2] / "corpus" / "vllm"


def test_recorded_text() -> None:
    metrics = read_metrics((CORPUS / "metrics-after-load.txt").read_text())
    assert metrics.running == 0.0
    assert metrics.waiting == 0.0
    assert metrics.kv_cache_usage == 0.0
    assert metrics.prompt_tokens_total == 184160.0
    assert metrics.generation_tokens_total == 29340.0
    assert metrics.prefix_cache_hits_total == 0.0
    assert metrics.kv_cache_tokens == 131072
    assert metrics.ttft_count == 351.0
    assert metrics.ttft_sum_s == pytest.approx(351.84756)
    assert metrics.itl_count == 28989.0
    assert metrics.queue_count == 351.0


def test_older_names_and_several_engines() -> None:
    text = """
vllm:num_requests_running{engine="0"} 2
vllm:num_requests_running{engine="1"} 3
vllm:gpu_cache_usage_perc{engine="0"} 0.25
vllm:gpu_cache_usage_perc{engine="1"} 0.75
vllm:time_per_output_token_seconds_sum 4.5
vllm:cache_config_info{block_size="16",num_gpu_blocks="100"} 1.0
"""
    metrics = read_metrics(text)
    assert metrics.running == 5
    assert metrics.kv_cache_usage == 0.75
    assert metrics.itl_sum_s == 4.5
    assert metrics.kv_cache_tokens == 1600
    assert metrics.waiting is None


def cache(**labels: object) -> ServerMetrics:
    told = ",".join(f'{name}="{value}"' for name, value in labels.items())
    return read_metrics(f"vllm:cache_config_info{{{told}}} 1.0\n")


def test_a_plain_model_has_no_blocks_for_states() -> None:
    metrics = read_metrics((CORPUS / "metrics-after-load.txt").read_text())
    assert (metrics.kv_cache_blocks, metrics.block_size, metrics.state_blocks) == (1023, 128, 0)


@pytest.mark.parametrize(
    ("attention", "mamba", "longest"), [(1, 3, 262_144), (1, 6, 32_768), (2, 5, 131_072), (1, 1, 8_192)]
)
def test_a_hybrid_model_s_states_are_blocks_of_each_request(attention: int, mamba: int, longest: int) -> None:
    blocks, size = 4_000, 784
    of_longest = attention * -(-longest // size) + mamba
    fitting = blocks / of_longest
    metrics = cache(
        num_gpu_blocks=blocks,
        block_size=16,
        effective_attention_block_size=size,
        mamba_block_size=longest,
        kv_cache_max_concurrency=fitting,
        kv_cache_size_tokens=int(fitting * longest),
    )
    assert metrics.block_size == size
    assert (metrics.kv_cache_blocks, metrics.state_blocks) == ((blocks - 1) // attention, -(-mamba // attention))


def test_what_goes_for_a_sliding_window_is_not_taken_for_states() -> None:
    # 131,072 tokens in blocks of 16, and 576 blocks for a window.
    fitting = 20_000 / (8_192 + 576)
    metrics = cache(
        num_gpu_blocks=20_000,
        block_size=16,
        mamba_block_size="None",
        kv_cache_max_concurrency=fitting,
        kv_cache_size_tokens=int(fitting * 131_072),
    )
    assert (metrics.kv_cache_blocks, metrics.state_blocks) == (19_999, 0)


@pytest.mark.parametrize("told", ["", "nan", "inf", "-1", "0", "x"])
def test_a_hybrid_model_that_does_not_tell_how_many_fit_has_no_states(told: str) -> None:
    metrics = cache(
        num_gpu_blocks=100,
        block_size=16,
        mamba_block_size=4_096,
        kv_cache_max_concurrency=told,
        kv_cache_size_tokens=1_600,
    )
    assert (metrics.kv_cache_blocks, metrics.state_blocks) == (99, 0)


def test_what_is_not_a_number_is_missing() -> None:
    assert read_metrics("vllm:num_requests_running NaN\nvllm:num_requests_waiting{x= 3\n") == ServerMetrics()


@given(st.text() | st.text().map(lambda text: "vllm:num_requests_running" + text))
def test_never_raises(text: str) -> None:
    assert isinstance(read_metrics(text), ServerMetrics)
