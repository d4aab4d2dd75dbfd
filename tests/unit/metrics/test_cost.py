from __future__ import annotations

import pytest

from tests.unit.metrics.records import answered
from tui.metrics.cost import cost_per_tokens, throughput
from tui.metrics.summary import CellSummary
from tui.profile.schema import CostTable, Mode

STUDY_TOKENS = 106
"""Tokens processed per request, input and output, in the published study."""
STUDY_S = 600
"""Its load stood for ten minutes."""
G5_4XLARGE = 1.624
"""USD an hour. The study's printed costs come with it at the rates below, which they imply; it prints no rates."""
RESULTS = [
    # requests/s, USD an hour, USD per 1,000 tokens: an A10, then an A100 of two providers.
    (10, 1.624, 0.0004337607),
    (20, 1.624, 0.0002168803),
    (30, 1.624, 0.0001445869),
    (40, 1.624, 0.0001084402),
    (20, 4.024, 0.0005373932),
    (60, 4.024, 0.0001791311),
    (40, 4.230, 0.0002824519),
    (60, 4.230, 0.0001883013),
]
"""What its repository keeps (inference/automated_deployment/benchmark_results/processed, ten minutes each, 100 + 4
tokens a request): rates and costs as printed there. The hourly prices follow from them, one for each machine."""


@pytest.mark.parametrize(("requests_per_s", "printed"), [(14.2, 0.0003), (7.1, 0.0006)], ids=["3B", "7B"])
def test_the_study_s_costs_per_1k_tokens(requests_per_s: float, printed: float) -> None:
    # By hand, 3B: 8,520 requests x 106 tokens / 600 s = 1,505.2 tokens/s; 1000 / 1,505.2 / 3600 x 1.624 = 0.00029970.
    # By hand, 7B: 4,260 requests x 106 tokens / 600 s = 752.6 tokens/s; 1000 / 752.6 / 3600 x 1.624 = 0.00059940.
    rate = throughput(requests_per_s * STUDY_S, STUDY_TOKENS, STUDY_S)
    cost = cost_per_tokens(G5_4XLARGE, rate, 1000)
    assert cost is not None
    assert round(cost, 4) == printed


@pytest.mark.parametrize(("requests_per_s", "price", "printed"), RESULTS)
def test_the_study_s_results_to_their_last_digit(requests_per_s: float, price: float, printed: float) -> None:
    # By hand, the first: 6,000 requests x 104 tokens / 600 s = 1,040 tokens/s; 1000 / 1,040 / 3600 x 1.624 =
    # 0.00043376068.
    rate = throughput(requests_per_s * STUDY_S, 100 + 4, STUDY_S)
    cost = cost_per_tokens(price, rate, 1000)
    assert cost is not None and round(cost, 10) == printed


def test_four_l4_at_1000_tokens_a_second() -> None:
    # 4.94 USD an hour / 3.6 million tokens an hour.
    assert cost_per_tokens(4.94, 1000.0, 1_000_000) == pytest.approx(4.94 / 3.6)
    assert cost_per_tokens(4.94, 1000.0, 1_000) == pytest.approx(4.94 / 3600)


@pytest.mark.parametrize("rate", [None, 0.0])
def test_nothing_made_has_no_price(rate: float | None) -> None:
    assert cost_per_tokens(4.94, rate, 1000) is None


@pytest.mark.parametrize(
    ("requests", "tokens", "seconds"), [(0, 100, 10.0), (5, 0.0, 10.0), (5, 100, 0.0), (5, 1, None)]
)
def test_nothing_in_no_time_is_no_throughput(requests: int, tokens: float, seconds: float | None) -> None:
    assert throughput(requests, tokens, seconds) is None


def test_a_cell_s_cost_counts_prompts_and_answers() -> None:
    summary = CellSummary(Mode.BURST)
    for user in range(4):
        summary.add(answered(0.0, [1.0, 2.0], user=user, tokens=20))
    cell = summary.result(users=4, prompt_tokens=80, output_tokens=20, cost=CostTable(price_per_hour=3.6))
    # 4 requests x 100 tokens in 2 s = 200 tokens/s; 1000 / 200 / 3600 x 3.6 = 0.005.
    assert cell.cost_per_1k_tokens == pytest.approx(0.005)
    assert cell.cost_per_1m_tokens == pytest.approx(5.0)
    assert cell.tokens_per_s_total == pytest.approx(40.0)
