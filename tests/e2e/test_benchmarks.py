"""The programs of benchmarks/ that stand on the bench's own parts, small: what breaks one is to be seen at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def _said(program: str, *words: str) -> str:
    command = [sys.executable, str(BENCHMARKS / program), *words]
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_reports_of_many_hosts_are_merged() -> None:
    said = _said("merge_at_scale.py", "--users", "400", "--hosts", "2", "--workers", "2", "--seconds", "1")
    assert said.startswith("400 users in 4 workers on 2 hosts: 8,000 events/s, 80 requests/s"), said


def test_the_way_of_one_token_is_walked() -> None:
    assert _said("drivers/hot_path.py", "2000").endswith(" us/event\n")


@pytest.mark.long
@pytest.mark.parametrize("judging", [["--seconds", "3"], ["--seconds", "10", "--turns", "1"]], ids=["cost", "turns"])
def test_a_bench_carries_played_workers(judging: list[str]) -> None:
    said = _said("bench_cost.py", "--hosts", "2", "--users", "40", "--workers", "2", *judging)
    assert "events/s in 2 workers: the bench" in said
