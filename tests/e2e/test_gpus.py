"""A whole run beside eight cards, which a library of the tests' own plays: the real pynvml asks it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import IO

import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import simulated
from tests.fakes.nvml.build import build, compiler
from tui.session.reader import SessionReader

pytestmark = pytest.mark.skipif(
    compiler() is None, reason="no C compiler (cc, gcc or clang) to build the fake libnvidia-ml"
)
CARDS = 8
CARD_W = 287.5
LOST = 3


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def wait_for(stream: IO[str], text: str) -> None:
    for line in stream:
        if text in line:
            return
    raise AssertionError(f"ended without saying {text!r}")


def attached(url: str, *more: str) -> tuple[str, ...]:
    return (
        *("run", "demo", "--attach", url, "--prompt-tokens", "30", "--output-tokens", "20"),
        *("--mode", "steady", "--warm-up", "0.1", "--json", "--out", "out", *more),
    )


def test_readings_become_energy_per_token_errors_are_told_and_a_card_that_is_lost_or_hangs_holds_nothing_up(
    world: World,
) -> None:
    situation = world.root / "situation"
    situation.write_text("xid")
    world.env |= {"LD_LIBRARY_PATH": str(build(world.root)), "FAKE_NVML": str(situation)}
    with simulated(world) as server:
        run = world.start(*attached(server.url, "--users", "1,2,3", "--duration", "4"))
        assert run.stderr is not None
        wait_for(run.stderr, "1/3 cells")
        situation.write_text("lost")
        wait_for(run.stderr, "2/3 cells")
        situation.write_text("hang")
        stdout, stderr = run.communicate(timeout=90)
    assert run.returncode == 0, stderr
    first, _, last = json.loads(stdout)["cells"]
    assert [cell["outcome"] for cell in json.loads(stdout)["cells"]] == ["ok", "ok", "ok"]

    (kept, *_) = rows_of(world.root / "out" / "cells.csv")
    tokens = float(kept["tokens_per_s_total"]) * float(kept["duration_s"])
    assert float(kept["energy_j"]) == pytest.approx(CARDS * CARD_W * float(kept["duration_s"]), rel=0.1)
    assert float(kept["energy_per_token_j"]) == pytest.approx(float(kept["energy_j"]) / tokens)
    assert first["energy_per_token_j"] == pytest.approx(float(kept["energy_per_token_j"]))
    # A sum that lacks a card is not the energy of the cell.
    assert last["energy_j"] is None and last["energy_per_token_j"] is None

    readings = rows_of(world.root / "out" / "gpus.csv")
    after = [row for row in readings if row["index"] == str(LOST) and row["lost"] == "true"]
    assert after and all(row["vram_used_bytes"] == row["energy_j"] == "" for row in after)
    others = [row for row in readings if row["at"] >= after[0]["at"] and row["index"] != str(LOST)]
    assert others and all(row["lost"] == "false" and float(row["power_w"]) == CARD_W for row in others)

    with SessionReader(world.session_files[0]) as session:
        told = [event.text for event in session.events() if event.source == "gpu"]
    assert "GPU 2: Xid 79: the GPU has fallen off the bus" in told
    assert told.count(f"GPU {LOST} is lost: the driver does not reach it") == 1


def test_slices_are_kept_beside_their_card(world: World) -> None:
    situation = world.root / "situation"
    situation.write_text("mig")
    world.env |= {"LD_LIBRARY_PATH": str(build(world.root)), "FAKE_NVML": str(situation)}
    with simulated(world) as server:
        done = world.run(*attached(server.url, "--users", "1", "--duration", "3"))
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    # The cards' counters alone; and of memory, the fullest of what programs run on.
    assert cell["energy_j"] == pytest.approx(CARDS * CARD_W * cell["duration_s"], rel=0.1)
    assert cell["vram_used_max_bytes"] == 33 * 2**30 - 2**29
    readings = rows_of(world.root / "out" / "gpus.csv")
    assert {(row["index"], row["mig_index"], row["mig_uuid"]) for row in readings if row["index"] in "01"} == {
        ("0", "", ""),
        ("0", "0", "MIG-00"),
        ("0", "2", "MIG-02"),
        ("1", "", ""),
    }
    assert "GPU 1 in MIG mode without slices" in (world.root / "out" / "session.toml").read_text()
