"""VRAM divided, energy per token, and the grid's first cells, each against the card and the server."""

from __future__ import annotations

import csv

import pytest

from tests.e2e.conftest import World
from tests.gpu.card import Card, Record
from tests.gpu.conftest import KV_BYTES_PER_TOKEN, MISTRAL_BYTES, exported, run, server_table, write_profile

SAME = 0.02
DURATION_S = 10.0


def test_memory_and_energy_are_what_the_card_and_the_server_say(world: World, card: Card) -> None:
    load = {"users": [32], "prompt_tokens": [296], "mode": "steady", "warm_up_s": 2.0, "duration_s": DURATION_S}
    with Record(card) as record:
        (cell,) = run(world, write_profile(world, "figures", server_table(), **load))
    assert cell["outcome"] == "ok"

    with (world.root / "out" / "gpus.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["vram_weights_bytes"]]
    assert rows, "the split was never told"
    last = {name: int(rows[-1][f"vram_{name}_bytes"]) for name in ("weights", "kv_cache", "other", "server", "used")}
    assert last["weights"] + last["kv_cache"] + last["other"] == last["server"] <= last["used"]
    assert last["weights"] == pytest.approx(MISTRAL_BYTES, rel=SAME)
    tokens = exported(world)["server"]["kv_cache_tokens"]
    assert last["kv_cache"] == pytest.approx(tokens * KV_BYTES_PER_TOKEN, rel=SAME)
    assert last["server"] == pytest.approx(max(sum(look.processes.values()) for look in record.looks), rel=SAME)

    began_ns = cell["started_at_ns"] + int(cell["warm_up_s"] * 1e9)
    taken_j = record.energy_j(began_ns, began_ns + int(cell["duration_s"] * 1e9))
    assert cell["energy_j"] == pytest.approx(taken_j, rel=0.03)
    produced = cell["tokens_per_s_total"] * cell["duration_s"]
    assert cell["energy_per_token_j"] == pytest.approx(cell["energy_j"] / produced)
    assert produced == pytest.approx(cell["server_output_tokens"], rel=SAME)
    assert cell["client_cpu_share"] < 0.8
