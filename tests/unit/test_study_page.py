"""The pages that lay tables beside one another are in step with them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script(name: str = "study_h200") -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def test_the_tables_of_the_page_are_those_of_the_references() -> None:
    study = script()
    page = study.PAGE.read_text(encoding="utf-8")
    assert study.page_with(page, study.blocks()) == page


def test_users_within_a_limit_are_counted_up_to_the_edge_of_the_grid() -> None:
    study = script()
    own, published = (study.reference_table(name) for name in ("h200-mistral-7b", "mistral-7b"))
    assert study.most_users(own, 31, 0.5) == "0"
    assert study.most_users(own, 31, 0.6) == "32"
    assert study.most_users(own, 31, 1.0) == "≥ 128"
    assert study.most_users(published, 2193, 10.0) == "16"
    failing = study.reference_table("codestral-22b-gptq")
    assert any(study.seconds(failing, *cell) is None for cell in failing)


def test_the_tables_made_again_are_those_that_were_kept() -> None:
    study = script("study")
    page = study.PAGE.read_text(encoding="utf-8")
    assert study.page_with(page, study.blocks()) == page
    assert "SIMULATED" in page
    assert all(f"study/{name}" in page and (study.RESULTS / name).is_file() for name in study.FIGURES)


def test_every_cell_of_every_table_was_made_again_and_fails_where_it_failed() -> None:
    study = script("study")
    assert len(study.tables()) == 8
    assert study.tables()[0] == "mistral-7b"
    for name in study.tables():
        measured, published = study.kept(name), study.published_table(name)
        assert set(measured) == set(published.cells)
        failed = {place for place, cell in published.cells.items() if cell.outcome != "ok"}
        assert {place for place, cell in measured.items() if cell.outcome not in ("ok", "client-limit")} == failed


def test_errors_are_of_cells_answered_both_times() -> None:
    study = script("study")
    published = study.published_table("codestral-22b-gptq")
    failed = next(place for place, cell in published.cells.items() if cell.outcome != "ok")
    there = published.cells[1, 31].seconds
    found = {
        (1, 31): study.Cell(1.1 * there, "ok", 1.0),
        (2, 31): study.Cell(None, "client-limit", 1.0),
        failed: study.Cell(5.0, "ok", 1.0),
    }
    errors = study.errors(found, published)
    assert set(errors) == {(1, 31)}
    assert abs(errors[1, 31] - 0.1) < 1e-9
