"""What tokens cost. Pure."""

from __future__ import annotations

SECONDS_PER_HOUR = 3600


def cost_per_tokens(price_per_hour: float, tokens_per_s: float | None, tokens: int) -> float | None:
    """Return what `tokens` output tokens cost on a server of that price at that rate, in the price's currency.

    price / 3600 · tokens / (tokens/s); None when nothing was produced.
    """
    if not tokens_per_s:
        return None
    return price_per_hour / SECONDS_PER_HOUR * tokens / tokens_per_s
