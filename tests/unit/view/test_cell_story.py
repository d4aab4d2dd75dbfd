"""What is told of one cell beside its figures."""

from __future__ import annotations

from typing import Any

import pytest

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.view.panes.cell_story import server_story


def cell(**figures: Any) -> CellResult:
    return CellResult(users=8, prompt_tokens=64, output_tokens=10, mode="burst", outcome=Outcome.OK, **figures)


@pytest.mark.parametrize(
    ("figures", "queueing", "told"),
    [
        ({}, True, ""),
        ({"ttft_mean_s": 0.412}, False, ""),
        ({"server_waiting_max": 0.0}, False, ""),
        (
            {"ttft_mean_s": 0.412, "server_ttft_mean_s": 0.32},
            False,
            "TTFT mean 412 ms, by the server 320 ms: +92 ms",
        ),
        (
            {"ttft_mean_s": 0.0102, "server_ttft_mean_s": 0.011},
            False,
            "TTFT mean 10 ms, by the server 11 ms: −0.8 ms",
        ),
        ({"server_waiting_max": 7.0}, True, "had to queue by the size of the KV cache: up to 7 seen waiting"),
        ({"server_waiting_max": 0.0}, True, "had to queue by the size of the KV cache: none seen waiting"),
        (
            {"server_waiting_max": 0.0, "server_queue_mean_s": 0.18, "preemptions": 3.0},
            True,
            "had to queue by the size of the KV cache: waited 180 ms on average, none seen waiting, 3 preempted",
        ),
        ({"server_queue_mean_s": 0.18}, True, "had to queue by the size of the KV cache: waited 180 ms on average"),
        ({"server_queue_mean_s": 0.01, "server_waiting_max": 0.0, "preemptions": 0.0}, False, ""),
        ({"server_waiting_max": 0.0, "preemptions": 1.0}, False, "none seen waiting, 1 preempted"),
        ({"server_waiting_max": 7.0}, False, "up to 7 seen waiting"),
        (
            {"itl_p50_s": 0.02, "server_itl_mean_s": 0.021},
            False,
            "ITL p50 20 ms, by the server 21 ms on average",
        ),
        ({"server_prefix_hit_share": 0.25}, False, "25 % of the prompts came from the prefix cache"),
        ({"server_prefix_hit_share": 0.0}, False, ""),
        (
            {"server_waiting_max": 2.0, "energy_per_token_j": 0.523},
            False,
            "up to 2 seen waiting · 0.52 J per output token",
        ),
    ],
)
def test_server_and_client_are_told_side_by_side(figures: dict[str, float], queueing: bool, told: str) -> None:
    assert server_story(cell(**figures), queueing=queueing) == told
