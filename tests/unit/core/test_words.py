"""Words that several parts of vramp say in one way: durations, and what a mistyped word may have meant."""

import time

import pytest

from tui.core.durations import rough_duration
from tui.core.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [
        (0, "0 s"),
        (40, "40 s"),
        (89.4, "89 s"),
        (90, "90 s"),
        (91, "2 min"),
        (420, "7 min"),
        (3599, "60 min"),
        (7500, "2 h 05 min"),
    ],
)
def test_durations_are_rough_and_readable(duration_s: float, words: str) -> None:
    assert rough_duration(duration_s) == words


def test_the_nearest_word_is_offered_as_it_is_to_be_written() -> None:
    assert did_you_mean("thme", ["theme", "keys"]) == "; did you mean theme?"
    assert did_you_mean("thme", ["theme", "keys"], shown=repr) == "; did you mean 'theme'?"
    assert did_you_mean("ab", ["abc", "abd", "xyz"], most=3) == "; did you mean abd or abc?"


def test_where_nothing_is_near_something_else_is_said() -> None:
    assert did_you_mean("zzz", ["theme"]) == ""
    assert did_you_mean("zzz", ["theme"], otherwise="; expected theme") == "; expected theme"
    assert nearest("", []) == []


def test_a_word_is_offered_once_and_a_long_one_takes_no_time() -> None:
    assert nearest("them", ["theme", "theme"], most=3) == ["theme"]
    begun = time.monotonic()
    nearest("x" * 1_000_000, ["x" * 90] * 100)
    assert time.monotonic() - begun < 1
