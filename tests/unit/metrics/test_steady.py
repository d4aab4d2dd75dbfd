from __future__ import annotations

from tui.metrics.steady import halves_agree, is_steady


def test_halves_within_ten_percent_agree() -> None:
    assert halves_agree([100, 100], [110, 110])
    assert not halves_agree([100, 100], [112, 112])


def test_noise_explains_some_difference_but_not_all() -> None:
    # Means 100 and 115: two standard errors are 2·sqrt(2·800/4) = 40.
    assert halves_agree([80, 120, 80, 120], [95, 135, 95, 135])
    # Means 100 and 140, a third apart: never.
    assert not halves_agree([20, 180, 20, 180], [60, 220, 60, 220])


def test_too_few_requests_tell_nothing() -> None:
    assert is_steady([5.0] * 10, [1.0], [1.0, 1.0]) is None
    assert is_steady([5.0] * 10, [1.0, 1.0], [1.0, 1.0]) is True


def test_both_tokens_and_latencies_must_agree() -> None:
    assert is_steady([5.0] * 5 + [9.0] * 5, [1.0, 1.0], [1.0, 1.0]) is False
    assert is_steady([5.0] * 10, [1.0, 1.0], [2.0, 2.0]) is False


def test_silence_is_steady() -> None:
    assert halves_agree([0.0, 0.0], [0.0, 0.0])
