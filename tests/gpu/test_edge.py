"""How many users the KV cache carries: by arithmetic before, and as a real server's queue tells."""

from __future__ import annotations

from tests.e2e.conftest import World
from tests.gpu.card import GIB
from tests.gpu.conftest import KV_BYTES_PER_TOKEN, run, server_table, write_profile

PROMPT_TOKENS, OUTPUT_TOKENS, BLOCK = 2193, 100, 16
KV_BYTES = 4 * GIB
# One block stands for nothing.
FIT = (KV_BYTES // KV_BYTES_PER_TOKEN // BLOCK - 1) // -(-(PROMPT_TOKENS + OUTPUT_TOKENS) // BLOCK)


def test_kv_cache_gives_out_where_it_was_predicted_to(world: World) -> None:
    server = server_table(args={"kv-cache-memory-bytes": KV_BYTES, "block-size": BLOCK})
    load = {"users": [FIT, FIT + 1], "prompt_tokens": [PROMPT_TOKENS], "output_tokens": OUTPUT_TOKENS}
    profile = write_profile(world, "edge", server, **load, mode="steady", warm_up_s=1.0, duration_s=6.0)
    below, above = run(world, profile)
    assert below["outcome"] == above["outcome"] == "ok"
    assert below["verdict"]["limit"] != "kv-cache", below["verdict"]
    assert above["verdict"]["limit"] == "kv-cache", above["verdict"]
