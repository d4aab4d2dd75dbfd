"""What lies between the measured cells of a grid. Pure.

Between cells a figure is taken to be a straight line in the logarithms of users, of prompt tokens and of itself
(bilinear interpolation). Its uncertainty is found by leaving out each inner cell in turn and asking the rest for it
(leave-one-out cross-validation): nine in ten of them are known at least so well. Beyond the outermost cells nothing is
said.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tui.metrics.cell import users_in_words

Place = tuple[int, int]
"""users, prompt tokens"""
LEAST_LEFT_OUT = 4
"""From fewer cells no error is told."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its uncertainty, and where it comes from."""

    value: float
    low: float
    high: float
    cells: int
    """Of how many cells it was made; 1 = the cell itself was measured."""
    by: str
    """What the uncertainty is, in words."""


class OutsideMeasured(ValueError):
    """Nothing can be said of the place; the message says why."""


class Surface:
    """One figure over the cells where it is known."""

    def __init__(self, measured: Mapping[Place, Sequence[float]]) -> None:
        """`measured`: every value that is known of a cell; those that are not above 0 say nothing."""
        useful = {place: [v for v in values if math.isfinite(v) and v > 0] for place, values in measured.items()}
        self._values = {place: values for place, values in useful.items() if values}
        self._logs = {place: math.log(median(values)) for place, values in self._values.items()}
        self._error: float | None = None
        self._left_out = 0

    def at(self, users: int, prompt_tokens: int) -> Estimate:
        """Return the figure at a place. Raises OutsideMeasured."""
        place = (users, prompt_tokens)
        if len(values := self._values.get(place, [])) > 1:
            said = f"the spread of {len(values)} measurements"
            return Estimate(median(values), min(values), max(values), 1, said)
        corners = _corners(self._logs, place)
        value = math.exp(_between(self._logs, corners, place))
        error, left_out = self._leave_one_out()
        if left_out >= LEAST_LEFT_OUT:
            said = f"nine in ten of {left_out} inner cells are known so well by their neighbours"
            return Estimate(value, value * math.exp(-error), value * math.exp(error), len(corners), said)
        if len(corners) == 1:
            return Estimate(value, value, value, 1, "measured once; how far a second time would differ is not known")
        known = [math.exp(self._logs[corner]) for corner in corners]
        return Estimate(value, min(known), max(known), len(corners), "the range of its neighbours")

    def _leave_one_out(self) -> tuple[float, int]:
        """Return the error of nine in ten inner cells, as a logarithm, and how many there are."""
        if self._error is None:
            errors = sorted(abs(error) for error in self._errors())
            self._left_out = len(errors)
            self._error = errors[max(0, math.ceil(0.9 * len(errors)) - 1)] if errors else 0.0
        return self._error, self._left_out

    def _errors(self) -> Iterator[float]:
        for place, value in self._logs.items():
            rest = {other: known for other, known in self._logs.items() if other != place}
            # By its own row or column alone where it has neighbours there: the cross that a missing cell leaves.
            for axis in (0, 1):
                line = {other: known for other, known in rest.items() if other[1 - axis] == place[1 - axis]}
                try:
                    yield _between(line, _corners(line, place), place) - value
                except OutsideMeasured:
                    continue


def _corners(known: Iterable[Place], place: Place) -> list[Place]:
    """Return the nearest known cells around a place: 1, 2 or 4. Raises OutsideMeasured."""
    places = set(known)
    if not places:
        raise OutsideMeasured("no cell was measured")
    users_axis, prompts_axis = (sorted({each[axis] for each in places}) for axis in (0, 1))
    around = [_around(axis, wanted) for axis, wanted in ((users_axis, place[0]), (prompts_axis, place[1]))]
    if not all(around):
        raise OutsideMeasured(
            f"{users_in_words(place[0])} x {place[1]} prompt tokens lie outside of what was measured: "
            f"{users_axis[0]} to {users_axis[-1]} users, {prompts_axis[0]} to {prompts_axis[-1]} prompt tokens"
        )
    corners = [(users, prompt) for users in around[0] for prompt in around[1]]
    if lacking := [corner for corner in corners if corner not in places]:
        raise OutsideMeasured(
            f"{users_in_words(lacking[0][0])} x {lacking[0][1]} prompt tokens, beside it, has no such figure"
        )
    return corners


def _around(axis: list[int], wanted: int) -> tuple[int, ...]:
    """Return the value itself where it is on the axis, else its two neighbours; nothing outside."""
    at = bisect_left(axis, wanted)
    if at < len(axis) and axis[at] == wanted:
        return (wanted,)
    return (axis[at - 1], axis[at]) if 0 < at < len(axis) else ()


def _between(logs: Mapping[Place, float], corners: list[Place], place: Place) -> float:
    return math.fsum(logs[corner] * _weight(corner, corners, place) for corner in corners)


def _weight(corner: Place, corners: list[Place], place: Place) -> float:
    weight = 1.0
    for axis in (0, 1):
        low, high = min(each[axis] for each in corners), max(each[axis] for each in corners)
        if low != high:
            share = math.log(place[axis] / low) / math.log(high / low)
            weight *= share if corner[axis] == high else 1.0 - share
    return weight
