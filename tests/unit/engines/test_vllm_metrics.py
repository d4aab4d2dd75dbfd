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


def test_what_is_not_a_number_is_missing() -> None:
    assert read_metrics("vllm:num_requests_running NaN\nvllm:num_requests_waiting{x= 3\n") == ServerMetrics()


@given(st.text() | st.text().map(lambda text: "vllm:num_requests_running" + text))
def test_never_raises(text: str) -> None:
    assert isinstance(read_metrics(text), ServerMetrics)
