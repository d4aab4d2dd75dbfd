"""How long a burst takes, by the bursts that were measured. Pure.

A step of a batch takes a time of its own and a time for each request in it, and a prompt one for each of its tokens: so
a burst of N requests of p prompt tokens takes a + b N + c N p, with a, b, c by least squares of the relative errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

FEWEST_CELLS = 8
"""From fewer no time is foretold: with the cheap ones alone the fit is loose."""

Cell = tuple[int, int]
"""users, prompt tokens"""


def burst_time(measured_s: Mapping[Cell, float]) -> Callable[[Cell], float] | None:
    """Return what tells how long a cell's burst takes, s; None where too few were measured, or all were alike.

    No cell is taken for quicker than a smaller one that was measured.
    """
    known = {cell: seconds for cell, seconds in measured_s.items() if seconds > 0}
    if len(known) < FEWEST_CELLS:
        return None
    rows = [[value / seconds for value in _terms(cell)] for cell, seconds in known.items()]
    factors = _solved(
        [[sum(row[i] * row[j] for row in rows) for j in range(3)] for i in range(3)],
        [sum(row[i] for row in rows) for i in range(3)],
    )
    if factors is None:
        return None

    def seconds_of(cell: Cell) -> float:
        smaller = (known[other] for other in known if other[0] <= cell[0] and other[1] <= cell[1])
        return max(sum(f * t for f, t in zip(factors, _terms(cell), strict=True)), max(smaller, default=0.0))

    return seconds_of


def _terms(cell: Cell) -> tuple[float, float, float]:
    return 1.0, float(cell[0]), float(cell[0] * cell[1])


def _solved(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float] | None:
    """Solve a symmetric system of equations by elimination; None where it has not one solution."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for column in range(size):
        pivot = max(range(column, size), key=lambda place: abs(rows[place][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        if abs(rows[column][column]) <= 1e-9 * abs(matrix[column][column]):
            return None
        for place in range(size):
            if place != column:
                share = rows[place][column] / rows[column][column]
                rows[place] = [one - share * other for one, other in zip(rows[place], rows[column], strict=True)]
    return [rows[place][size] / rows[place][place] for place in range(size)]
