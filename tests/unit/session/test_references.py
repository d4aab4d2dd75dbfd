"""What lies beside a grid: published tables, earlier sessions, and what is said where they do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.session import made
from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.metrics.reference import parts_from, ratio
from tui.profile.schema import Profile
from tui.session.grid_table import grid_table
from tui.session.judged import session_beside
from tui.session.references import beside_of, key_of


def profile(reference: dict[str, str] | None = None, **load: Any) -> Profile:
    asked = {"users": [1, 2], "prompt_tokens": [31, 63], "mode": "burst"} | load
    tables: dict[str, Any] = {"name": "demo", "engine": "simulated", "server": {"model": "m"}, "load": asked}
    return Profile.model_validate(tables | ({"reference": reference} if reference else {}))


@pytest.fixture
def session(tmp_path: Path) -> Path:
    cells = [
        made.cell(1, 31, ttft_p50_s=0.2),
        made.cell(2, 31, outcome=Outcome.OOM_RUNTIME, time_to_resolve_s=None),
        made.cell(1, 63, outcome=Outcome.CLIENT_LIMIT),
    ]
    return made.session(tmp_path / "2026-11-20-180400-demo-ab12.vramp", cells=cells)


def test_a_published_table_lies_beside_and_says_how_it_differs() -> None:
    found = beside_of(profile({"table": "mistral-7b"})).reference
    assert found is not None and found.published and found.problem == ""
    assert found.words == "the published table mistral-7b"
    assert found.differs == ["measured there, simulated here"]
    seconds = {(cell.users, cell.prompt_tokens): cell.time_to_resolve_s for cell in found.cells}
    assert (len(seconds), seconds[1, 31]) == (56, 1.8)
    failing = beside_of(profile({"table": "mixtral-8x7b-awq"})).reference
    assert failing is not None and sum(not cell.ok for cell in failing.cells) == 8


def test_other_conditions_and_other_sizes_are_told() -> None:
    other = profile({"table": "mistral-7b"}, mode="steady", output_tokens=50, users=[1, 3])
    found = beside_of(other).reference
    assert found is not None
    assert found.differs[1:] == [
        "mode burst there, steady here",
        "output tokens 100 there, 50 here",
        "2 of the 4 cells here are known there",
    ]
    strange = beside_of(profile({"table": "mistral-7b"}, users=[3], prompt_tokens=[7])).reference
    assert strange is not None and strange.differs[-1].startswith("the one cell here is not known there")


def test_an_earlier_session_lies_beside(session: Path) -> None:
    found = beside_of(profile({"session": str(session)}), "1 × L4").reference
    assert found is not None and found.simulated and not found.published
    assert found.words == "session 2026-11-20-180400-demo-ab12 (SIMULATED)"
    assert found.differs == ["2 of the 4 cells here are known there"]
    known = {(cell.users, cell.prompt_tokens): cell for cell in found.cells}
    assert (known[1, 31].ok, known[1, 31].ttft_p50_s) == (True, 0.2)
    assert (known[2, 31].ok, known[2, 31].time_to_resolve_s) == (False, None)
    assert (1, 63) not in known, "a client at its limit says nothing of the server"


@pytest.mark.parametrize("reference", [{"table": "nothing"}, {"session": "/nowhere/x.vramp"}])
def test_what_cannot_be_read_is_a_sentence_and_no_error(reference: dict[str, str]) -> None:
    found = beside_of(profile(reference)).reference
    assert found is not None and found.cells == []
    assert found.problem.startswith("nothing is laid beside: ")


def test_names_are_tables_or_sessions(session: Path) -> None:
    assert key_of("mistral-7b") == {"table": "mistral-7b"}
    assert key_of(str(session)) == {"session": str(session)}
    with pytest.raises(SessionError, match="the published tables are codestral"):
        key_of("mistral-7")


def test_how_cells_part() -> None:
    found = beside_of(profile({"table": "mixtral-8x7b-awq"})).reference
    assert found is not None
    ok = next(cell for cell in found.cells if cell.ok)
    failed = next(cell for cell in found.cells if not cell.ok)
    measured, dead = made.cell(), made.cell(outcome=Outcome.OOM_KV)
    assert [parts_from(measured, ok), parts_from(dead, failed)] == ["", ""]
    assert [parts_from(measured, failed), parts_from(dead, ok)] == ["measured", "failed"]
    assert parts_from(made.cell(outcome=Outcome.CLIENT_LIMIT), ok) == parts_from(None, ok) == ""
    assert (ratio(3.0, 2.0), ratio(None, 2.0), ratio(1.0, 0.0)) == (1.5, None, None)


def test_the_table_of_a_run_says_how_it_is_to_what_lies_beside() -> None:
    wanted = profile({"table": "mixtral-8x7b-awq"})
    meta = made.meta(profile_json=wanted.model_dump_json())
    beside = session_beside(meta)
    assert beside.reference is not None
    there = {(cell.users, cell.prompt_tokens): cell for cell in beside.reference.cells}
    failed = next(place for place, cell in there.items() if not cell.ok)
    seconds = there[1, 31].time_to_resolve_s
    assert seconds is not None
    cells = [
        made.cell(1, 31, time_to_resolve_s=2 * seconds),
        made.cell(*failed, time_to_resolve_s=9.0),
        made.cell(2, 31, outcome=Outcome.OOM_KV, time_to_resolve_s=None),
    ]
    text = grid_table(meta, cells, beside)
    said = "Beside the published table mixtral-8x7b-awq: 2.00 times as long to resolve in the median of 1 cell"
    assert f"{said} (2.00 to 2.00)" in text
    assert "Conditions differ: measured there, simulated here" in text
    assert "Failed here, measured there: 2 × 31" in text
    assert f"Measured here, failed there: {failed[0]} × {failed[1]}" in text
    assert "no cell was answered both" in grid_table(meta, [], beside)
    lost = session_beside(made.meta(profile_json=profile({"table": "none"}).model_dump_json()))
    assert "Nothing is laid beside: found no published table" in grid_table(meta, cells, lost)
