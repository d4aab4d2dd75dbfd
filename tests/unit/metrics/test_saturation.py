"""Requests that come faster than they are answered."""

from __future__ import annotations

import random

from tui.metrics.saturation import RateFigures, rises, saturation


def test_a_queue_that_grows_is_over_saturation() -> None:
    found = saturation(10.0, 8.0, [5, 7, 9, 12, 14, 16, 19, 21, 23, 26], [])
    assert found.over_saturated
    assert found.what == "over-saturated: requests under way rise from 5 to 26 within the window"


def test_so_are_first_tokens_that_come_later_and_later() -> None:
    found = saturation(10.0, 8.0, [5] * 10, [0.1 + 0.01 * place for place in range(200)])
    assert found.over_saturated and found.what == "over-saturated: TTFT rises from 0.195 s to 2 s within the window"


def test_a_server_that_keeps_up_is_not() -> None:
    chance = random.Random(1)
    wrong = sum(
        bool(saturation(10.0, 10.0, [chance.randint(5, 15) for _ in range(10)], []).over_saturated) for _ in range(2000)
    )
    assert wrong <= 20  # one in a hundred, by the test's own level
    assert not rises([1.0 + 0.01 * place for place in range(10)])  # a trend, but of 9 % only


def test_too_little_says_nothing() -> None:
    assert saturation(1.0, 1.0, [], [0.1] * 19) == RateFigures(asked_per_s=1.0, answered_per_s=1.0)
