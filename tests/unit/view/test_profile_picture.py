"""What the picker draws of a profile: memory against the card, the last grid, its best figures."""

from __future__ import annotations

import msgspec
import pytest

from tests.view.shell import LAST, MIXTRAL, entry
from tui.preflight import Machine, VramPlan, preflight
from tui.view.screens.profile_picture import grid_lines, profile_picture, vram_lines
from tui.view.widgets.lines import Ink, text_of, width_of

GB = 1_000_000_000


def plan(weights: int, allowed: int, used: int | None, total: int = 40) -> VramPlan:
    return VramPlan(weights * GB, allowed * GB, total * GB, None if used is None else used * GB, 1)


@pytest.mark.parametrize(
    ("told", "over", "said"),
    [
        (plan(12, 38, 0), 0, "free 2.0"),
        (plan(12, 38, 1), 0, "others 1.0"),
        (plan(12, 38, 30), 28, "28.0 GB too much"),
        (plan(50, 38, None), 12, "12.0 GB too much"),
    ],
)
def test_memory_is_laid_against_what_others_leave_free(told: VramPlan, over: int, said: str) -> None:
    assert told.over_bytes == over * GB
    assert said in text_of(vram_lines(told, 90))
    for width in (20, 40, 90):
        assert all(width_of(line) <= max(width, 30) for line in vram_lines(told, width))


def test_a_profile_is_planned_against_the_smallest_of_its_cards_and_the_fullest() -> None:
    profile = entry(MIXTRAL).profile
    assert profile is not None
    cards = Machine(
        gpu_names=("A100", "A100"), gpu_vram_bytes=(40 * GB, 39 * GB), gpu_used_bytes=(GB, 7 * GB), path="/nowhere"
    )
    found = preflight(profile, cards).vram
    assert found is not None
    assert (found.total_bytes, found.used_bytes, found.gpus) == (39 * GB, 7 * GB, 2)
    assert found.allowed_bytes == pytest.approx(0.95 * 39 * GB)
    assert found.over_bytes == pytest.approx(0.95 * 39 * GB + 7 * GB - 39 * GB)
    assert preflight(profile, Machine(path="/nowhere")).vram is None


def test_the_last_grid_shows_its_scale_its_failures_and_its_best_cell() -> None:
    lines = grid_lines(LAST, 80, 8)
    drawn = text_of(lines)
    assert drawn.count("★") == 2 and "★ 32 users × 296 tok" in drawn
    assert "512 tok/s" in drawn and "0.42" in drawn
    failed = [text for line in lines for text, ink in line if ink is Ink.HEAT_FAILED]
    assert failed == ["✕ "] * sum(cell.outcome.value == "oom-kv" for cell in LAST.grid) and failed
    assert "SIMULATED" in text_of(grid_lines(msgspec.structs.replace(LAST, simulated=True), 80, 8))


def test_a_picture_keeps_to_its_room_and_has_the_least_and_the_most_users() -> None:
    for rows in range(9):
        assert len(profile_picture(plan(12, 38, 1), LAST, 60, rows)) <= rows
    lines = text_of(grid_lines(LAST, 60, 2)).splitlines()
    assert [line[20:].split()[0] for line in lines] == ["1", "64"]
    assert profile_picture(None, None, 60, 10) == []
