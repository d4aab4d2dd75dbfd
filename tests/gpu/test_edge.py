"""How many users the KV cache carries: by arithmetic before, and as a real server's queue tells."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import World
from tests.gpu.card import GIB, Card
from tests.gpu.conftest import MISTRAL_BYTES, run, server_table, write_profile

PROMPT_TOKENS, OUTPUT_TOKENS, BLOCK = 1848, 100, 16
KV_BYTES = 6 * GIB
WORK_BYTES = 6 * GIB
"""What a server takes beside weights and KV cache, at most."""
MODELS = {
    # Bytes of the weights, layers.
    "mistral-7b": (MISTRAL_BYTES, 32),
    "codestral-22b": (44.5e9, 56),
    "llama-3-70b-awq": (39.8e9, 80),
}


@pytest.mark.parametrize("model", MODELS)
def test_kv_cache_gives_out_where_it_was_predicted_to(model: str, world: World, card: Card) -> None:
    weights_bytes, layers = MODELS[model]
    needed_bytes = weights_bytes + KV_BYTES + WORK_BYTES
    if needed_bytes > card.memory.free:
        pytest.skip(f"needs {needed_bytes / 1e9:.0f} GB of the card")
    # Keys and values, 8 heads of 128, two bytes each; one block stands for nothing.
    blocks = KV_BYTES // (2 * layers * 8 * 128 * 2) // BLOCK - 1
    fit = blocks // -(-(PROMPT_TOKENS + OUTPUT_TOKENS) // BLOCK)
    share = needed_bytes / card.total_bytes
    args = {"kv-cache-memory-bytes": KV_BYTES, "block-size": BLOCK, "gpu-memory-utilization": round(share, 2)}
    load = {"users": [fit, fit + 2], "prompt_tokens": [PROMPT_TOKENS], "output_tokens": OUTPUT_TOKENS}
    profile = write_profile(
        world, "edge", server_table(model, args), **load, mode="steady", warm_up_s=3.0, duration_s=8.0
    )
    below, above = run(world, profile)
    assert below["outcome"] == above["outcome"] == "ok"
    assert below["verdict"]["limit"] != "kv-cache", below["verdict"]
    assert above["verdict"]["limit"] == "kv-cache", above["verdict"]
