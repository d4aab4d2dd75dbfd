"""Weights and KV cache as a log tells them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.engines.base import LogFact
from tui.engines.vllm.launch import VllmLaunch
from tui.server.memory_told import MemoryTold

LOGS = Path(__file__).parents[2] / "corpus" / "vllm" / "logs"


def told_by(log: str) -> MemoryTold:
    told = MemoryTold()
    for line in (LOGS / log).read_text().splitlines():
        if fact := VllmLaunch().read_log_line(line):
            told.note(fact)
    return told


def test_a_real_start_tells_both_within_what_its_model_and_its_tokens_weigh() -> None:
    told = told_by("h200-good.log")
    assert told.weights_bytes == pytest.approx(14.483e9, rel=0.005)  # Mistral 7B: 7.24e9 parameters of two bytes
    assert told.kv_cache_bytes == pytest.approx(934_048 * 2 * 32 * 8 * 128 * 2, rel=0.005)
    by_bytes = told_by("h200-oom-runtime.log")
    assert by_bytes.kv_cache_bytes == pytest.approx(124.2 * 2**30)


def test_workers_that_tell_different_figures_tell_nothing() -> None:
    told = MemoryTold()
    for gib in (10.00, 10.1):
        told.note(LogFact(weights_bytes=round(gib * 2**30), kv_cache_bytes=2**30))
    assert told.weights_bytes == round(10.1 * 2**30)
    told.note(LogFact(weights_bytes=5 * 2**30))
    assert told.weights_bytes is None
    assert told.kv_cache_bytes == 2**30


def test_a_machine_is_told_of_by_its_own_workers_alone() -> None:
    told = MemoryTold()
    told.note(LogFact(weights_bytes=10, kv_cache_bytes=20))
    told.note(LogFact(weights_bytes=12, kv_cache_bytes=20, address="10.0.0.2"))
    assert (told.at([""]), told.at(["10.0.0.2"]), told.at(["10.0.0.3"])) == ((10, 20), (12, 20), (None, None))
    told.note(LogFact(weights_bytes=6, address="10.0.0.2"))
    assert told.at(["10.0.0.2"]) == (None, 20) and told.at([]) == (None, None)


def test_nothing_told_is_nothing() -> None:
    told = told_by("good.log")
    assert told.weights_bytes is None or told.weights_bytes > 0
    assert MemoryTold().kv_cache_bytes is None
