"""Where a server runs with other arguments than its profile gives, as servers print them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.engines.vllm.log import read_log_line
from tui.metrics.arguments import MOST_SAID, differences

LOGS = Path(__file__).parents[2] / "corpus" / "vllm" / "logs"
CONFIGURATION = '{"mode":0,"cudagraph_mode":"FULL_DECODE_ONLY","cudagraph_capture_sizes":[1,2,4,8,16,32,64,128]}'


@pytest.fixture(scope="module")
def told_on_a_card() -> dict[str, str]:
    """What vLLM 0.26.0 told of itself when it was given `CONFIGURATION`."""
    lines = (LOGS / "h200-good.log").read_text().splitlines()
    return next(dict(fact.arguments) for line in lines if (fact := read_log_line(line)) and fact.arguments)


def test_an_argument_that_the_server_runs_otherwise_is_told() -> None:
    asked = {
        "gpu_memory_utilization": 0.95,
        "max-num-seqs": 64,
        "--enforce-eager": True,
        "port": 8000,
        "dtype": "auto",
        "kv-cache-memory-bytes": "64M",
    }
    told = {
        "gpu-memory-utilization": "0.90",
        "max-num-seqs": "64.0",
        "enforce-eager": "True",
        "port": "9",
        "kv-cache-memory-bytes": "67108864",
    }
    assert differences(asked, told) == ["gpu-memory-utilization: the profile says 0.95, the server runs 0.90"]


def test_what_a_real_server_prints_with_all_its_defaults_is_no_difference(told_on_a_card: dict[str, str]) -> None:
    asked = {
        "load-format": "dummy",
        "attention-backend": "FLASH_ATTN",
        "max-num-seqs": 256,
        "no-enable-prefix-caching": True,
        "compilation-config": CONFIGURATION,
        "compilation-config.mode": "none",
    }
    assert differences(asked, told_on_a_card) == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("compilation-config", '{"mode":3}', "compilation-config.mode: the profile says 3, the server runs NONE"),
        (
            "compilation-config",
            CONFIGURATION.replace("FULL_DECODE_ONLY", "PIECEWISE"),
            "compilation-config.cudagraph_mode: the profile says PIECEWISE, the server runs FULL_DECODE_ONLY",
        ),
        (
            "compilation_config.cudagraph_capture_sizes",
            "[1,2]",
            "compilation-config.cudagraph_capture_sizes: the profile says [1, 2], "
            "the server runs [1, 2, 4, 8, 16, 32, 64, 128]",
        ),
        (
            "compilation-config",
            '{"inductor_compile_config":{"combo_kernels":false}}',
            "compilation-config.inductor_compile_config.combo_kernels: the profile says False, the server runs True",
        ),
        (
            "attention-backend",
            "FLASHINFER",
            "attention-backend: the profile says FLASHINFER, the server runs FLASH_ATTN",
        ),
        ("enable-prefix-caching", True, "enable-prefix-caching: the profile says True, the server runs False"),
    ],
)
def test_what_a_real_server_runs_otherwise_is_told_by_its_key(
    told_on_a_card: dict[str, str], name: str, value: object, said: str
) -> None:
    assert differences({name: value}, told_on_a_card) == [said]


@pytest.mark.parametrize(
    ("asked", "told", "same"),
    [
        ("fp8", "fp8_e4m3", True),
        ("auto", "fp8_e4m3", True),
        ("fp8", "auto", False),
        ("bfloat16", "torch.bfloat16", True),
        ("FLASH_ATTN", "<AttentionBackendEnum.FLASH_ATTN: 'vllm.v1.attention.backends.flash_attn.FlashAttn'>", True),
        ("FLASHINFER", "<AttentionBackendEnum.FLASH_ATTN: 'vllm.v1.attention.backends.flash_attn.FlashAttn'>", False),
        ("2", "<Mode.FULL_DECODE_ONLY: (2, 0)>", True),  # by which of its values is not told
        ('{"method":"ngram","num_speculative_tokens":5}', "{'method': 'ngram', 'num_speculative_tokens': 5}", True),
        ('{"method":"ngram","num_speculative_tokens":5}', "{'method': 'ngram', 'num_speculative_tokens': 7}", False),
        ('{"method":"ngram"}', "SpeculativeConfig(method='eagle3', model=None)", False),
        ('{"model":"a"}', "SpeculativeConfig(method='eagle3', model=None)", True),
        ('{"image":2}', "{'image': ImageDummyOptions(count=2, width=None)}", True),
        ('{"temperature":0.70}', "{'temperature': 0.7, 'top_p': 0.8}", True),
        ("3", "{'mode': <CompilationMode.VLLM_COMPILE: 3>}", True),
        ("log.Middleware", "['log.Middleware']", True),
        ("[4, 2, 1]", "[1, 2, 4]", True),
        ('{"mode":0,"backend":"eager"}', "{'mode': <CompilationMode.NONE: 0>, 'backend': 'indu", True),  # cut off
        ("{not JSON", "{'mode': 1}", True),
        ("64", "None", True),
    ],
)
def test_other_ways_to_print_an_argument(asked: str, told: str, same: bool) -> None:
    assert (differences({"argument": asked}, {"argument": told}) == []) is same


@given(st.text(max_size=60), st.text(alphabet="ab'\"{}[]<>():=., 1\\", max_size=200))
def test_whatever_is_told_is_compared_within_bounds(asked: str, told: str) -> None:
    found = differences({"a": asked, "b.c": asked, "no-d": True}, {"a": told, "b": told, "d": told})
    assert len(found) <= MOST_SAID and all(len(said) < 400 for said in found)
