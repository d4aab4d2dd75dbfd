"""What a session's cells come to by its profile's SLO and price: the best cell, and its cost beside closed APIs."""

from __future__ import annotations

from collections.abc import Sequence

from tui.metrics.best import best_in_words
from tui.metrics.cell import CellResult
from tui.metrics.offers import Comparison, compare, comparison_lines
from tui.metrics.terms import Terms, terms_of
from tui.profile.prices import read_prices
from tui.session.kept_profile import profile_of
from tui.session.meta import SessionMeta


def session_terms(meta: SessionMeta) -> Terms:
    """Return what the session's cells are judged by; reads the price list."""
    return terms_of(profile_of(meta), read_prices())


def verdict_lines(meta: SessionMeta, cells: Sequence[CellResult], terms: Terms) -> list[str]:
    """Return the best cell and, where the profile has a price, the costs, as plain text."""
    best = best_in_words(cells, terms)
    lines = [best[0].upper() + best[1:]] if best else []
    if terms.price_per_hour is not None:
        lines += comparison_lines(costs(meta, cells, terms), simulated=meta.simulated)
    return lines


def costs(meta: SessionMeta, cells: Sequence[CellResult], terms: Terms) -> Comparison:
    """Return one's own server beside closed APIs."""
    return compare(cells, terms, f"{meta.profile_name} (own)")
