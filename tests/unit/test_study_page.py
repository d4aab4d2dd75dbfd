"""The page that lays our own table beside the published ones is in step with both."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("study_h200", ROOT / "benchmarks" / "study_h200.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
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
