"""Grids compared cell by cell: the ratio of each figure with its 95 % interval, and what the spread can carry. Pure.

The interval of a ratio is MOVER-R on the logarithm (Donner & Zou, "Closed-form confidence intervals for functions of
the normal mean and standard deviation", Statistical Methods in Medical Research 21, 2012): with r = there / here,
ln r - sqrt((ln t - ln t_low)^2 + (ln h_high - ln h)^2) and the same upwards. A cell whose interval holds 1 shows no
difference; one where a side has no interval is never said to differ.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from enum import StrEnum
from statistics import median

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import COMPARED, CellFigure
from tui.metrics.circumstances import Differing, differing, untold
from tui.metrics.estimate import Estimate, estimate
from tui.metrics.measured import Measured
from tui.metrics.reference import SILENT, ratio

SIZES_APART = 0.03
"""Sizes that are means of requests are taken for the same as far apart as this."""


class Change(StrEnum):
    """What became of a figure, or of a cell."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "no difference"
    """What lies between them is within the spread."""
    UNSURE = "spread not known"


class FigureChange(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one cell on both sides."""

    figure: str
    """The field of `CellResult`."""
    base: Estimate
    other: Estimate
    ratio: float
    """How many times as much it is there as in the base."""
    low: float | None = None
    high: float | None = None
    change: Change


class CellChange(msgspec.Struct, frozen=True, kw_only=True):
    """One cell on both sides."""

    users: int
    prompt_tokens: int
    output_tokens: int
    base_outcome: Outcome
    other_outcome: Outcome
    figures: list[FigureChange] = []
    """None where it was not answered on both sides."""

    @property
    def fails_now(self) -> bool:
        """Say whether it was answered in the base and failed there."""
        return self.base_outcome is Outcome.OK and self.other_outcome is not Outcome.OK

    @property
    def answered_now(self) -> bool:
        """Say whether it failed in the base and was answered there."""
        return self.base_outcome is not Outcome.OK and self.other_outcome is Outcome.OK

    def of(self, figure: str) -> FigureChange | None:
        """Return what became of a figure."""
        return next((each for each in self.figures if each.figure == figure), None)


class FigureSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one figure over all cells that both sides answered."""

    figure: str
    cells: int
    median: float
    """Of the ratios; so are least and most."""
    least: float
    most: float
    better: int
    worse: int
    same: int
    unsure: int


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """The base and one other side."""

    other: int
    """Its place among the sides."""
    cells: list[CellChange] = []
    summary: list[FigureSummary] = []
    only_base: int = 0
    """Cells that the other side does not know."""
    only_other: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Several grids; the first is the base, of which the others are so many times."""

    sides: list[Measured]
    differing: list[Differing]
    untold: list[list[str]]
    """By side: the circumstances that others tell and it does not."""
    pairs: list[Pair]

    @property
    def base(self) -> Measured:
        """Return what the others are compared with."""
        return self.sides[0]


def compare(sides: Sequence[Measured]) -> Comparison:
    """Compare every side after the first with it. Raises ValueError for fewer than two sides."""
    if len(sides) < 2:
        raise ValueError("expected at least two sides")
    circumstances = [side.circumstances for side in sides]
    return Comparison(
        sides=list(sides),
        differing=differing(circumstances),
        untold=[untold(circumstances, place) for place in range(len(sides))],
        pairs=[_pair(sides[0], side, place) for place, side in enumerate(sides) if place],
    )


Place = tuple[int, int, int]
"""Users, prompt tokens, output tokens (0 = not told)."""


def _pair(base: Measured, other: Measured, place: int) -> Pair:
    here, there = _measures(base.cells), _measures(other.cells)
    matched = _matched(list(here), list(there), inexact=base.sizes_are_means or other.sizes_are_means)
    cells = [_cell(here[mine], there[theirs], mine) for mine, theirs in sorted(matched.items())]
    return Pair(
        other=place,
        cells=cells,
        summary=[found for figure in COMPARED if (found := _summary(cells, figure)) is not None],
        only_base=len(here) - len(matched),
        only_other=len(there) - len(matched),
    )


def _measures(cells: Iterable[CellResult]) -> dict[Place, list[CellResult]]:
    """Return the measures of each cell, oldest first; those that say nothing of the server are left out."""
    known: dict[Place, list[CellResult]] = {}
    for cell in cells:
        if not cell.outcome.is_open and cell.outcome not in SILENT:
            known.setdefault((cell.users, cell.prompt_tokens, cell.output_tokens), []).append(cell)
    return known


def _matched(here: Sequence[Place], there: Sequence[Place], *, inexact: bool) -> dict[Place, Place]:
    """Return which cell there is which here. Output sizes count where a side has several; else they are a condition."""
    sizes = [{place[2] for place in side} for side in (here, there)]
    outputs = any(len(each) > 1 for each in sizes) and not any(0 in each for each in sizes)
    free = {_key(place, outputs=outputs): place for place in there}
    found = {place: free.pop(key) for place in here if (key := _key(place, outputs=outputs)) in free}
    if not inexact:
        return found
    by_users: dict[int, list[Place]] = {}
    for place in free.values():
        by_users.setdefault(place[0], []).append(place)
    for places in by_users.values():
        places.sort()
    # The nearest sizes first.
    near = sorted(
        (apart, mine, theirs)
        for mine in here
        if mine not in found
        for theirs in _near(by_users.get(mine[0], []), mine)
        if (apart := _apart(mine, theirs, outputs=outputs)) <= SIZES_APART
    )
    taken: set[Place] = set()
    for _, mine, theirs in near:
        if mine not in found and theirs not in taken:
            found[mine] = theirs
            taken.add(theirs)
    return found


def _near(places: Sequence[Place], place: Place) -> Sequence[Place]:
    """Return those of places in order, of the same users, whose prompts are about as long."""
    users, prompt, _ = place
    begin = bisect_left(places, (users, math.floor(prompt * (1 - SIZES_APART)), 0))
    return places[begin : bisect_left(places, (users, math.ceil(prompt / (1 - SIZES_APART)) + 1, 0))]


def _key(place: Place, *, outputs: bool) -> tuple[int, ...]:
    return place if outputs else place[:2]


def _apart(mine: Place, theirs: Place, *, outputs: bool) -> float:
    sizes = zip(mine[1:], theirs[1:], strict=True) if outputs else [(mine[1], theirs[1])]
    return max(abs(one - two) / max(one, two, 1) for one, two in sizes)


def _cell(here: Sequence[CellResult], there: Sequence[CellResult], place: Place) -> CellChange:
    base, other = here[-1].outcome, there[-1].outcome
    both = base is Outcome.OK and other is Outcome.OK
    changes = (change_of(here, there, figure) for figure in COMPARED) if both else ()
    return CellChange(
        users=place[0],
        prompt_tokens=place[1],
        output_tokens=place[2],
        base_outcome=base,
        other_outcome=other,
        figures=[each for each in changes if each is not None],
    )


def change_of(here: Sequence[CellResult], there: Sequence[CellResult], figure: CellFigure) -> FigureChange | None:
    """Return what became of a figure between measures of one cell; None where a side has none of it, or it is 0."""
    base, other = estimate(here, figure), estimate(there, figure)
    if base is None or other is None or base.value <= 0 or other.value <= 0:
        return None
    times = ratio(other.value, base.value)
    assert times is not None
    low, high = _interval(base, other, times)
    return FigureChange(
        figure=figure.field,
        base=base,
        other=other,
        ratio=times,
        low=low,
        high=high,
        change=_change(times, low, high, more_is_good=figure.more_is_good),
    )


def in_words(change: FigureChange) -> str:
    """Return a ratio with its interval, e.g. "0.93 (0.90 to 0.96)"."""
    if change.low is None:
        return f"{change.ratio:.2f} (spread not known)"
    high = "no upper bound" if change.high is None else f"{change.high:.2f}"
    return f"{change.ratio:.2f} ({change.low:.2f} to {high})"


def _interval(base: Estimate, other: Estimate, times: float) -> tuple[float | None, float | None]:
    if base.low is None or base.high is None or other.low is None or other.high is None:
        return None, None
    down = math.hypot(_log_between(other.low, other.value), _log_between(base.value, base.high))
    up = math.hypot(_log_between(other.value, other.high), _log_between(base.low, base.value))
    # An interval that reaches 0 bounds its side of the ratio not at all.
    return times * math.exp(-down), times * math.exp(up) if up < math.log(1e6) else None


def _log_between(low: float, high: float) -> float:
    return math.log(high / low) if low > 0 else math.inf


def _change(times: float, low: float | None, high: float | None, *, more_is_good: bool) -> Change:
    if low is None:
        return Change.UNSURE
    if low <= 1.0 and (high is None or high >= 1.0):
        return Change.SAME
    return Change.BETTER if (times > 1.0) is more_is_good else Change.WORSE


def _summary(cells: Sequence[CellChange], figure: CellFigure) -> FigureSummary | None:
    changes = [found for cell in cells if (found := cell.of(figure.field)) is not None]
    if not changes:
        return None
    ratios = [each.ratio for each in changes]
    counts = {change: sum(each.change is change for each in changes) for change in Change}
    return FigureSummary(
        figure=figure.field,
        cells=len(changes),
        median=median(ratios),
        least=min(ratios),
        most=max(ratios),
        better=counts[Change.BETTER],
        worse=counts[Change.WORSE],
        same=counts[Change.SAME],
        unsure=counts[Change.UNSURE],
    )
