"""What tokens cost, by the formula of a published study. Pure.

tokens processed     = input + output tokens of a request
throughput, tokens/s = requests x tokens processed / duration
cost per 1K tokens   = 1000 / throughput / 3600 x price per hour
"""

from __future__ import annotations

SECONDS_PER_HOUR = 3600


def throughput(requests: float, tokens_per_request: float, duration_s: float | None) -> float | None:
    """Return the tokens processed per second, input and output; None where nothing was, or in no time."""
    tokens = requests * tokens_per_request
    return tokens / duration_s if tokens > 0 and duration_s else None


def cost_per_tokens(price_per_hour: float, tokens_per_s: float | None, tokens: int) -> float | None:
    """Return what `tokens` tokens cost on a server of that price that processes `tokens_per_s`, in its currency.

    None when nothing was processed.
    """
    if not tokens_per_s:
        return None
    return tokens / tokens_per_s / SECONDS_PER_HOUR * price_per_hour
