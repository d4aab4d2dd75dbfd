"""What a million sentences cost: on one's own server in a measured cell, and from closed APIs. Pure.

A sentence is 100 tokens, as in a published study, and of each as many are prompt and answer as in the cell: APIs take
more for answers than for prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tui.core.safe_text import safe_line
from tui.metrics.best import best_cell, succeeded
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.terms import Terms

SENTENCES = 1_000_000
TOKENS_PER_SENTENCE = 100
_BAR = 30


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One way to have a million sentences of 100 tokens processed."""

    name: str
    cost: float
    currency: str
    own: bool = False
    as_of: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One's own server beside closed APIs, cheapest first, and what had to be left out, in sentences."""

    offers: list[Offer] = []
    cell: str = ""
    """Where it was measured, in words."""
    notes: list[str] = []


def compare(cells: Sequence[CellResult], terms: Terms, own_name: str) -> Comparison:
    """Return what a million sentences cost in the best cell, beside every API whose price is in the same currency."""
    if terms.price_per_hour is None:
        return Comparison(notes=["the profile has no [cost] price_per_hour, so nothing is known of costs"])
    best = best_cell(cells) or _busiest(cells)
    if best is None or best.cost_per_1k_tokens is None:
        return Comparison(notes=[*terms.notes, "no cell yet that tells what tokens cost"])
    thousands = SENTENCES * TOKENS_PER_SENTENCE / 1000
    answer = best.output_tokens_mean or float(best.output_tokens)
    of_answers = answer / (answer + best.prompt_tokens)
    own = Offer(name=own_name, cost=best.cost_per_1k_tokens * thousands, currency=best.currency, own=True)
    offers, notes = [own], list(terms.notes)
    for price in terms.prices:
        if price.currency != best.currency:
            notes.append(f"{price.name} is priced in {price.currency}, the server in {best.currency}: not compared")
            continue
        per_1k = (price.input_per_1m * (1 - of_answers) + price.output_per_1m * of_answers) / 1000
        offers.append(Offer(name=price.name, cost=per_1k * thousands, currency=price.currency, as_of=price.as_of))
    if not terms.prices:
        notes.append("no price of a closed API is known to compare with")
    where = f"{users_in_words(best.users)} × {best.prompt_tokens:,} prompt tokens"
    return Comparison(offers=sorted(offers, key=lambda offer: offer.cost), cell=where, notes=notes)


def _busiest(cells: Sequence[CellResult]) -> CellResult | None:
    """Return the cell with the most tokens/s: with an SLO that no cell meets, tokens have their price all the same."""
    good = [cell for cell in cells if succeeded(cell) and cell.tokens_per_s_total]
    return max(good, key=lambda cell: cell.tokens_per_s_total or 0.0, default=None)


def comparison_lines(comparison: Comparison, *, simulated: bool) -> list[str]:
    """Return the comparison as plain text with bars, widest for the dearest."""
    lines: list[str] = []
    if comparison.offers:
        mark = ", SIMULATED" if simulated else ""
        top = max(offer.cost for offer in comparison.offers)
        width = min(40, max(len(offer.name) for offer in comparison.offers))
        sentences = f"one million sentences of {TOKENS_PER_SENTENCE} tokens"
        lines.append(f"Cost of {sentences}, own server at {comparison.cell}{mark}")
        for offer in comparison.offers:
            bar = "#" * max(1 if offer.cost else 0, round(_BAR * offer.cost / top)) if top else ""
            name = safe_line(offer.name, limit=40).ljust(width)
            when = f"  {offer.as_of}" if offer.as_of else ""
            lines.append(f"  {name}  {money(offer.cost, offer.currency):>14}  {bar}{when}")
    return [*lines, *(f"Note: {safe_line(note, limit=300)}" for note in comparison.notes)]


def money(amount: float, currency: str) -> str:
    """Return an amount in words: two decimals, or three figures of what is smaller than one."""
    return f"{amount:,.2f} {currency}" if amount >= 1 or amount == 0 else f"{amount:.3g} {currency}"
