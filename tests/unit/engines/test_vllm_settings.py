"""How a vLLM says that it is set up: by the line of its arguments, and by the labels of its information metric."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines.vllm.log import read_log_line
from tui.engines.vllm.metrics import read_metrics
from tui.engines.vllm.told_arguments import LONGEST, MOST, arguments_in

CORPUS = Path(__file__).parents[2] / "corpus" / "vllm"


def told(log: str) -> dict[str, str]:
    for line in (CORPUS / "logs" / log).read_text(errors="replace").splitlines():
        fact = read_log_line(line)
        if fact is not None and fact.arguments:
            return dict(fact.arguments)
    return {}


def test_the_arguments_of_a_real_log() -> None:
    arguments = told("good.log")
    assert arguments["max-model-len"] == "4096"
    assert arguments["kv-cache-memory-bytes"] == "67108864"
    assert arguments["served-model-name"] == "['tiny']"
    nested = told("h200-good.log")
    assert (nested["max-num-seqs"], nested["enable-prefix-caching"]) == ("256", "False")
    configuration = nested["compilation-config"]
    assert configuration.startswith("{'mode': <CompilationMode.NONE: 0>") and configuration.endswith("[]}")


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("'a': 1, 'b': 'x, y: z'}", {"a": "1", "b": "x, y: z"}),
        ("'a': 'it\\'s', 'b': 2}", {"a": "it\\'s", "b": "2"}),
        ("'api_key': ['sk-1'], 'hf_token': 'hf_A', 'max_num_seqs': 8}", {"max-num-seqs": "8"}),
        (
            "'kv_transfer_config': {'extra': {'api_key': 'x', 'size': 2}, 'token': 'y'}}",
            {"kv-transfer-config": "{'extra': {'size': 2}}"},
        ),
        ("'a': 1, 'b': [1, 2", {"a": "1"}),  # cut off by the bound of a line
        ("}", {}),
    ],
)
def test_what_is_read_of_them(text: str, arguments: dict[str, str]) -> None:
    assert arguments_in(text) == arguments


@given(st.text(alphabet="ab'\"{}[]<>():, \\", max_size=300))
def test_any_text_is_read_within_bounds(text: str) -> None:
    found = arguments_in(text)
    assert len(found) <= MOST and all(len(value) <= LONGEST for value in found.values())


def test_the_pool_of_a_real_server_in_blocks() -> None:
    metrics = read_metrics((CORPUS / "metrics-idle.txt").read_text())
    # One of its 1,024 blocks stands for nothing.
    assert (metrics.kv_cache_tokens, metrics.kv_cache_blocks, metrics.block_size) == (131_072, 1023, 128)
    assert metrics.arguments["gpu-memory-utilization"] == "0.92"
    assert metrics.arguments["kv-cache-memory-bytes"] == "67108864"


def test_a_request_of_a_hybrid_model_has_a_block_of_each_group() -> None:
    labels = 'block_size="784",kv_cache_size_tokens="221340",num_gpu_blocks="1129",engine="0"'
    metrics = read_metrics(f"vllm:cache_config_info{{{labels}}} 1.0\n")
    assert (metrics.kv_cache_blocks, metrics.block_size) == (282, 784)  # (1129 - 1) // 4 groups


def test_the_times_of_a_request_in_the_batch_are_read() -> None:
    metrics = read_metrics((CORPUS / "metrics-after-load.txt").read_text())
    assert metrics.prefill_count and metrics.decode_count == metrics.prefill_count
    assert metrics.decode_sum_s and metrics.prefill_sum_s and metrics.decode_sum_s > metrics.prefill_sum_s
