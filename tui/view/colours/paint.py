"""What a span is painted with: roles and figures, not colours. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Ink(StrEnum):
    """What a span means; each palette gives each its look."""

    PLAIN = "plain"
    STRONG = "strong"
    DIM = "dim"
    FAINT = "faint"
    STEER = "steer"
    WARNING = "warning"
    FAILURE = "failure"
    GOOD = "good"
    BADGE = "badge"
    PILL_GOOD = "pill-good"
    PILL_WARNING = "pill-warning"
    PILL_FAILURE = "pill-failure"
    PILL_QUIET = "pill-quiet"
    TOTAL = "total"
    EACH = "each"
    USERS = "users"
    TTFT = "ttft"
    E2E = "e2e"
    ITL = "itl"
    GPU = "gpu"
    RULE = "rule"
    SLO = "slo"
    ON_EDGE = "on-edge"
    WEIGHTS = "weights"
    KV = "kv"
    KV_RESERVED = "kv-reserved"
    OTHER = "other"
    HEAT_0 = "heat-0"
    HEAT_1 = "heat-1"
    HEAT_2 = "heat-2"
    HEAT_3 = "heat-3"
    HEAT_4 = "heat-4"
    HEAT_5 = "heat-5"
    HEAT_6 = "heat-6"
    HEAT_FAILED = "heat-failed"
    HEAT_OPEN = "heat-open"
    HEAT_IMPLIED = "heat-implied"


TONES = 8
"""How many steps an area has from just below its edge to the ground."""


class Tone(NamedTuple):
    """A step of the area under the curve of a figure: 0 just below the edge, TONES - 1 at the ground.

    Its text is `SHADE`: a palette with tones paints it as their plain colour, all else shows the glyph.
    """

    ink: Ink
    step: int


class Over(NamedTuple):
    """Something drawn over an area, or an area's end: the colour of `fore` on that of `back`; None = on nothing."""

    fore: Ink | Tone
    back: Ink | Tone | None


SHADE = "░"
HUES = (Ink.TOTAL, Ink.EACH, Ink.USERS, Ink.TTFT, Ink.E2E, Ink.ITL, Ink.KV, Ink.GPU, Ink.WEIGHTS)
"""The figures that have a curve, and so an area."""

_FILLED = frozenset(ink for ink in Ink if ink is Ink.BADGE or ink.value.startswith(("heat-", "pill-")))
HEAT = (Ink.HEAT_0, Ink.HEAT_1, Ink.HEAT_2, Ink.HEAT_3, Ink.HEAT_4, Ink.HEAT_5, Ink.HEAT_6)

Paint = Ink | Tone | Over


def has_background(paint: Paint) -> bool:
    """Say whether blanks in that paint can be seen."""
    return paint in _FILLED if isinstance(paint, Ink) else not isinstance(paint, Over) or paint.back is not None
