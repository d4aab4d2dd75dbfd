from __future__ import annotations

import pytest

from tui.metrics.cost import cost_per_tokens


def test_four_l4_at_1000_tokens_a_second() -> None:
    # 4.94 USD an hour / 3.6 million tokens an hour.
    assert cost_per_tokens(4.94, 1000.0, 1_000_000) == pytest.approx(4.94 / 3.6)
    assert cost_per_tokens(4.94, 1000.0, 1_000) == pytest.approx(4.94 / 3600)


@pytest.mark.parametrize("rate", [None, 0.0])
def test_nothing_made_has_no_price(rate: float | None) -> None:
    assert cost_per_tokens(4.94, rate, 1000) is None
