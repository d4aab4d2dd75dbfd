"""What llama-server b11434 tells of its slots and of its KV cache."""

from __future__ import annotations

import json

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


INITIALIZING = "0.00.026.469 I srv    load_model: initializing, n_slots = 4, n_ctx_slot = {}, kv_unified = '{}'"
BEYOND = "0.00.019.965 W llama_context: n_ctx_seq (16384) > n_ctx_train (4096) -- possible training context overflow"


def test_the_size_of_a_kv_cache_is_told_by_its_slots() -> None:
    read = launch_for("llama-cpp").read_log_line
    each = read(INITIALIZING.format(512, "false"))
    shared = read(INITIALIZING.format(512, "true"))
    assert each is not None and shared is not None
    assert (each.kv_cache_tokens, each.max_concurrency, each.max_model_len) == (4 * 512, 4.0, 512)
    assert (shared.kv_cache_tokens, shared.kv_cache_tokens_least, shared.max_model_len) == (None, 512, 512)
    beyond = read(BEYOND)
    assert beyond is not None and beyond.kv_cache_tokens == 16384
