"""What lines of vLLM's log tell; lines of GPU servers are quoted from public issues."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.engines.base import LogFact
from tui.engines.catalogue import shown_log_line
from tui.engines.vllm.log import Stage, message_of, read_log_line

LOGS = Path(__file__).parents[2] / "corpus" / "vllm" / "logs"
ENGINE = "(EngineCore pid=1293) INFO 11-20 18:05:08 "


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        (
            f"{ENGINE}[kv_cache_utils.py:2327] CPU KV cache size: 131,072 tokens, Maximum concurrency for 4,096 tokens"
            " per request: 32.00x",
            LogFact(stage=Stage.KV_CACHE, kv_cache_tokens=131072, max_concurrency=32.0),
        ),
        (
            "INFO 07-01 10:00:00 [kv_cache_utils.py:634] GPU KV cache size: 188,640 tokens",
            LogFact(stage=Stage.KV_CACHE, kv_cache_tokens=188640),
        ),
        (
            "INFO 07-01 10:00:00 [kv_cache_utils.py:637] Maximum concurrency for 131,072 tokens per request: 5.23x",
            LogFact(stage=Stage.KV_CACHE, max_concurrency=5.23),
        ),
        (f"{ENGINE}[model.py:2152] Using max model len 4096", LogFact(stage=Stage.CONFIG, max_model_len=4096)),
        (
            "Loading safetensors checkpoint shards:  25% Completed | 1/4 [00:01<00:03,  1.20s/it]",
            LogFact(stage=Stage.LOADING_WEIGHTS, progress=0.25),
        ),
        (
            "(Worker_TP0 pid=77) INFO 11-20 18:05:08 [gpu_model_runner.py:4879] Model loading took 12.66 GiB memory and"
            " 31.657031 seconds",
            LogFact(stage=Stage.MEMORY_PROFILING, weights_bytes=13593571492),
        ),
        (
            "(Worker_TP0 pid=77) INFO 11-20 18:05:08 [gpu_worker.py:456] Available KV cache memory: 17.36 GiB",
            LogFact(stage=Stage.KV_CACHE, kv_cache_bytes=18640158065),
        ),
        (
            "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  42%|####      | 28/67 [00:02<00:02, 16.5it/s]",
            LogFact(stage=Stage.COMPILE, progress=0.42),
        ),
        (
            "(EngineCore pid=1797) INFO 11-26 03:32:03 [gpu_worker.py:479] Initial free memory 139.29 GiB, reserved 1.0"
            " GiB memory for KV Cache as specified by kv_cache_memory_bytes config and skipped memory profiling.",
            LogFact(stage=Stage.KV_CACHE, kv_cache_bytes=2**30),
        ),
        (f"{ENGINE}[gpu_worker.py:560] Available KV cache memory: -3.41 GiB", LogFact(stage=Stage.KV_CACHE)),
        (f"{ENGINE}[model_runner.py:284] Loading model from scratch...", LogFact(stage=Stage.LOADING_WEIGHTS)),
        (f"{ENGINE}[model_runner.py:305] Model loading took 1.2.3 GiB", None),
        (f"{ENGINE}[flash_attn.py:776] Using FlashAttention version 3", None),
        ("INFO:     Application startup complete.", LogFact(stage=Stage.READY, progress=1.0)),
        ('INFO:     127.0.0.1:40000 - "POST /v1/completions HTTP/1.1" 200 OK', None),
        (f"{ENGINE}[x.py:1] KV cache size: many tokens", None),
        ("(Worker pid=1) ERROR 11-20 18:06:23 [x.py:1] Starting to load model x...", None),
        ("", None),
    ],
)
def test_line(line: str, fact: LogFact | None) -> None:
    assert read_log_line(line) == fact


def test_prefixes_of_old_and_new_releases_are_taken_off() -> None:
    assert message_of("(RayWorker pid=7, ip=10.0.0.1) ERROR 11-20 18:06:23 [x.py:1] oh") == ("ERROR", "oh")
    assert message_of("WARNING 11-20 18:06:23 [x.py:1] hm") == ("WARNING", "hm")
    assert message_of("ValueError: no") == ("", "ValueError: no")


@pytest.mark.parametrize(
    ("log", "has_compiled", "version", "tokens"),
    [
        ("good.log", True, "0.32.0", 131_072),
        ("good-eager.log", False, "0.32.0", 131_072),
        ("h200-good.log", True, "0.26.0", 934_048),
    ],
)
def test_good_start_passes_its_stages(log: str, has_compiled: bool, version: str, tokens: int) -> None:
    facts = [fact for line in (LOGS / log).read_text().splitlines() if (fact := read_log_line(line))]
    stages = [fact.stage for fact in facts if fact.stage]
    assert stages[0] is Stage.CONFIG
    assert stages[-1] is Stage.READY
    assert {Stage.LOADING_WEIGHTS, Stage.KV_CACHE} <= set(stages)
    assert (Stage.COMPILE in stages) is has_compiled
    assert [fact.kv_cache_tokens for fact in facts if fact.kv_cache_tokens] == [tokens]
    assert {fact.version for fact in facts if fact.version} == {version}
    assert {fact.max_model_len for fact in facts if fact.max_model_len} == {4096}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("(APIServer pid=7) INFO 11-20 20:42:18 [loggers.py:259] Engine 000: ok", "Engine 000: ok"),
        ("(EngineCore pid=8) ERROR 11-20 20:42:18 [core.py:1] dead", "EngineCore ERROR dead"),
        ("INFO:     Application startup complete.", "INFO:     Application startup complete."),
        ("", ""),
    ],
)
def test_a_line_is_shown_without_what_all_have_in_common(line: str, shown: str) -> None:
    assert shown_log_line("vllm", line) == shown
    assert shown_log_line("llama-cpp", line) == line  # another system's lines are left alone
    assert shown_log_line("openai", line) == line  # which is not launched
