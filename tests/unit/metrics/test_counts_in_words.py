"""Counts as words have them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tui.metrics.cell import cells_in_words, requests_in_words, users_in_words


@pytest.mark.parametrize(
    ("words", "one", "many"),
    [
        (users_in_words, "1 user", "1,000 users"),
        (requests_in_words, "1 request", "1,000 requests"),
        (cells_in_words, "1 cell", "1,000 cells"),
    ],
)
def test_one_is_one(words: Callable[[int], str], one: str, many: str) -> None:
    assert (words(1), words(1000)) == (one, many)
