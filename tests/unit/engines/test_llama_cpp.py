"""What llama-server b11434 tells of its slots and of its KV cache."""

from __future__ import annotations

import json

import pytest

from tui.engines.catalogue import engine_for, launch_for

# As it answered GET /slots, but for the parameters of each task.
SLOTS = [
    {"id": 0, "n_ctx": 2048, "speculative": False, "is_processing": False},
    {
        **{"id": 1, "n_ctx": 2048, "speculative": False, "is_processing": False, "id_task": 1, "n_prompt_tokens": 409},
        **{"n_prompt_tokens_processed": 0, "n_prompt_tokens_cache": 0},
        "next_token": [{"has_next_token": False, "has_new_line": False, "n_remain": -1, "n_decoded": 0}],
    },
    {
        **{"id": 2, "n_ctx": 2048, "speculative": False, "is_processing": True, "id_task": 85, "n_prompt_tokens": 223},
        **{"n_prompt_tokens_processed": 10, "n_prompt_tokens_cache": 0},
        "next_token": [{"has_next_token": True, "has_new_line": True, "n_remain": 187, "n_decoded": 213}],
    },
    {
        **{"id": 3, "n_ctx": 2048, "speculative": False, "is_processing": True, "id_task": 0, "n_prompt_tokens": 307},
        **{"n_prompt_tokens_processed": 10, "n_prompt_tokens_cache": 0},
        "next_token": [{"has_next_token": True, "has_new_line": True, "n_remain": 103, "n_decoded": 297}],
    },
]


def test_slots_that_work_hold_their_prompts_and_their_answers() -> None:
    held = engine_for("llama-cpp").questions.held()
    assert held is not None
    assert held.read(200, json.dumps(SLOTS).encode()) == 223 + 307
    assert held.read(200, json.dumps(SLOTS[:2]).encode()) == 0
    assert held.read(501, b'{"error":{"code":501,"message":"This server does not support slots endpoint."}}') is None


@pytest.mark.parametrize(("unified", "tokens", "at_once"), [("false", 4 * 512, 4.0), ("true", 512, 1.0)])
def test_slots_that_share_one_kv_cache_have_no_more_than_one_of_them(unified: str, tokens: int, at_once: float) -> None:
    line = f"0.00.010.280 I srv    load_model: initializing, n_slots = 4, n_ctx_slot = 512, kv_unified = '{unified}'"
    fact = launch_for("llama-cpp").read_log_line(line)
    assert fact is not None
    assert (fact.kv_cache_tokens, fact.max_concurrency, fact.max_model_len) == (tokens, at_once, 512)
