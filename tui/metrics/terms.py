"""What a session's figures are judged by: its SLO, its server's price, what closed APIs cost. Known at its start."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tui.profile.prices import ApiPrice, PriceList
from tui.profile.schema import Profile


class Terms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits in seconds, money in the currency that is named beside it."""

    has_slo: bool = False
    slo_ttft_s: float | None = None
    slo_tpot_s: float | None = None
    slo_e2e_s: float | None = None
    price_per_hour: float | None = None
    """Of the whole server; None = the profile names none."""
    currency: str = ""
    prices: list[ApiPrice] = []
    notes: list[str] = []
    """What is wrong with the price list, in sentences."""

    @property
    def slo(self) -> str:
        """The SLO in words, e.g. "TTFT ≤ 1 s, TPOT ≤ 0.1 s"; empty where there is none."""
        return ", ".join(self._limits())

    def _limits(self) -> Iterator[str]:
        for name, limit_s in (("TTFT", self.slo_ttft_s), ("TPOT", self.slo_tpot_s), ("E2E", self.slo_e2e_s)):
            if limit_s is not None:
                yield f"{name} ≤ {limit_s:g} s"


def terms_of(profile: Profile | None, known: PriceList) -> Terms:
    """Return what the cells of a profile are judged by; a session whose profile cannot be read has no terms."""
    if profile is None:
        return Terms()
    slo, cost = profile.slo, profile.cost
    return Terms(
        has_slo=slo is not None,
        slo_ttft_s=slo.ttft_s if slo else None,
        slo_tpot_s=slo.tpot_s if slo else None,
        slo_e2e_s=slo.e2e_s if slo else None,
        price_per_hour=cost.price_per_hour if cost else None,
        currency=cost.currency if cost else "",
        prices=known.prices if cost else [],
        notes=known.notes if cost else [],
    )
