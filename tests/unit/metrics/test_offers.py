"""One million sentences of 100 tokens: on the own server, and from closed APIs."""

from __future__ import annotations

import msgspec
import pytest

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.offers import compare, comparison_lines
from tui.metrics.terms import Terms
from tui.profile.prices import ApiPrice

GPT_35 = ApiPrice(name="GPT-3.5 Turbo", input_per_1m=1.5, output_per_1m=2.0)
GPT_4 = ApiPrice(name="GPT-4", input_per_1m=30.0, output_per_1m=60.0)
TERMS = Terms(price_per_hour=1.624, currency="USD", prices=[GPT_35, GPT_4])
OWN_7B = CellResult(
    users=10,
    prompt_tokens=75,
    output_tokens=25,
    mode="steady",
    outcome=Outcome.OK,
    tag=1,
    requests_ok=100,
    tokens_per_s_total=180.0,
    cost_per_1k_tokens=0.0006,
    currency="USD",
)


def test_the_study_s_bar_chart() -> None:
    # 100 million tokens: 0.0006 per 1K = 60 USD. Three in four are prompt: GPT-3.5 Turbo 75 x 1.5 + 25 x 2 = 162.50,
    # GPT-4 75 x 30 + 25 x 60 = 3,750.
    found = compare([OWN_7B], TERMS, "own 7B")
    assert [(offer.name, offer.own) for offer in found.offers] == [
        ("own 7B", True),
        ("GPT-3.5 Turbo", False),
        ("GPT-4", False),
    ]
    assert [offer.cost for offer in found.offers] == pytest.approx([60.0, 162.5, 3750.0])
    text = comparison_lines(found, simulated=True)
    assert "SIMULATED" in text[0] and "10 users × 75 prompt tokens" in text[0]
    assert text[1].split() == ["own", "7B", "60.00", "USD"] or text[1].split()[:4] == ["own", "7B", "60.00", "USD"]
    assert text[3].endswith("#" * 30)


def test_answers_as_long_as_they_were_count() -> None:
    shorter = msgspec.structs.replace(OWN_7B, output_tokens_mean=75.0)
    found = compare([shorter], TERMS, "own")
    assert next(offer.cost for offer in found.offers if offer.name == "GPT-4") == pytest.approx(4500.0)


def test_what_cannot_be_compared_is_said() -> None:
    assert "price_per_hour" in compare([OWN_7B], Terms(), "own").notes[0]
    euros = msgspec.structs.replace(TERMS, prices=[msgspec.structs.replace(GPT_4, currency="EUR")])
    assert compare([OWN_7B], euros, "own").notes == ["GPT-4 is priced in EUR, the server in USD: not compared"]
    none = msgspec.structs.replace(TERMS, prices=[], notes=["prices.toml: GPT-4: wrong; it is left out"])
    found = compare([OWN_7B], none, "own")
    assert found.notes == [*none.notes, "no price of a closed API is known to compare with"]
    assert compare([], TERMS, "own").notes == ["no cell yet that tells what tokens cost"]
    free = msgspec.structs.replace(OWN_7B, cost_per_1k_tokens=0.0)
    assert comparison_lines(compare([free], msgspec.structs.replace(TERMS, prices=[]), "own"), simulated=False)


def test_an_slo_that_no_cell_meets_takes_no_price_away() -> None:
    late = msgspec.structs.replace(OWN_7B, goodput_requests_per_s=0.0, slo_met=False)
    assert compare([late], TERMS, "own").offers[0].cost == pytest.approx(60.0)
