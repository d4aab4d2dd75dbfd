"""Other tools beside vramp, on one simulated server: `make test-tools` installs them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import world

__all__ = ["world"]

ENVIRONMENT = Path(os.environ.get("VRAMP_TEST_TOOLS", Path(__file__).parents[2] / ".venv-tools"))
"""Holds an environment for each tool, by its name, and the tokenizers that they use."""
TOKENIZER, TOKENIZER_OF_IDS = ENVIRONMENT / "tokenizer", ENVIRONMENT / "tokenizer-of-ids"
"""Of texts, and of words that are drawn by their ids."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.real)
            item.add_marker(pytest.mark.timeout(300))
            if not TOKENIZER_OF_IDS.exists():
                item.add_marker(pytest.mark.skip(reason=f"no {TOKENIZER_OF_IDS}; run: make test-tools"))
