"""The grid of one session: which cells there are, what is known of each, what comes next. Pure.

A grid per mode (burst, steady, rate), never mixed. A cell is (users, prompt_tokens).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product

from tui.core.outcome import Outcome
from tui.metrics.burst_time import burst_time
from tui.metrics.cell import CellResult, users_in_words
from tui.profile.schema import Mode

Cell = tuple[int, int]


class Grid:
    """The cells of one mode."""

    def __init__(
        self,
        mode: str,
        users: Iterable[int],
        prompt_tokens: Iterable[int],
        output_tokens: int,
        rate_per_s: float | None = None,
    ) -> None:
        """`rate_per_s`: in mode rate, the planned requests/s for each user."""
        self.mode = mode
        self.output_tokens = output_tokens
        self.rate_per_s = rate_per_s
        self._asked = sorted(product(users, prompt_tokens), key=self._work)
        self._results: dict[Cell, CellResult] = {}

    @property
    def users(self) -> list[int]:
        """Return the users axis: the profile's, and what the operator measured beside it."""
        return sorted({n for n, _ in self._asked} | {n for n, _ in self._results})

    @property
    def asked_users(self) -> list[int]:
        """Return the profile's users axis alone."""
        return sorted({n for n, _ in self._asked})

    @property
    def prompt_tokens(self) -> list[int]:
        """Return the prompt size axis: the profile's, and what the operator measured beside it."""
        return sorted({p for _, p in self._asked} | {p for _, p in self._results})

    @property
    def asked(self) -> list[Cell]:
        """Return the cells that a sweep walks, in its order: those that take less time first.

        The time of a burst goes with the tokens of its requests, prompts and answers. It grows with users and prompt
        size, so that a cell which implies others comes before them. Standing cells all take as long: there users grow
        within a prompt size, and those who ask go on.
        """
        return list(self._asked)

    def _work(self, cell: Cell) -> tuple[int, int, int]:
        users, prompt_tokens = cell
        tokens = users * (prompt_tokens + self.output_tokens) if self.mode == Mode.BURST else 0
        return tokens, prompt_tokens, users

    @property
    def results(self) -> list[CellResult]:
        """Return what is known, in the order of the axes."""
        return [self._results[cell] for cell in sorted(self._results)]

    def get(self, cell: Cell) -> CellResult | None:
        """Return what is known of a cell."""
        return self._results.get(cell)

    def put(self, result: CellResult) -> list[CellResult]:
        """Keep a result and return all that is new: itself, and the cells whose end it implies."""
        cell = (result.users, result.prompt_tokens)
        self._results[cell] = result
        new = [result]
        if result.outcome.grows_with_load and self.larger_ok(cell) is None:
            for other in self._asked:
                known = self._results.get(other)
                if (
                    other != cell
                    and other[0] >= cell[0]
                    and other[1] >= cell[1]
                    and (known is None or known.outcome.is_open)
                ):
                    new.append(self._imply(other, result))
        return new

    def replace(self, result: CellResult) -> None:
        """Tell more of a cell that is known already; it implies nothing new."""
        self._results[result.users, result.prompt_tokens] = result

    def larger_ok(self, cell: Cell) -> CellResult | None:
        """Return the largest other cell that was measured well though it asks at least as much as this one."""
        return max(
            (
                known
                for other, known in self._results.items()
                if known.outcome is Outcome.OK and other != cell and other[0] >= cell[0] and other[1] >= cell[1]
            ),
            key=lambda known: (known.users * known.prompt_tokens, known.users),
            default=None,
        )

    def _imply(self, cell: Cell, cause: CellResult) -> CellResult:
        why = f"not measured: {users_in_words(cause.users)} x {cause.prompt_tokens} tokens ended with {cause.outcome}"
        implied = self.without_figures(cell, Outcome.IMPLIED, why, simulated=cause.simulated)
        self._results[cell] = implied
        return implied

    def without_figures(self, cell: Cell, outcome: Outcome, evidence: str = "", *, simulated: bool) -> CellResult:
        """Return a result of this grid for a cell that was not, or not yet, measured; it is not put in."""
        return CellResult(
            users=cell[0],
            prompt_tokens=cell[1],
            output_tokens=self.output_tokens,
            mode=self.mode,
            outcome=outcome,
            evidence=evidence,
            simulated=simulated,
        )

    def forget(self, cell: Cell) -> None:
        """Make a cell open again."""
        self._results.pop(cell, None)

    def open_cells(self) -> list[Cell]:
        """Return the asked cells of which nothing is known yet, in the order of the sweep."""
        return [cell for cell in self._asked if (known := self._results.get(cell)) is None or known.outcome.is_open]

    def remaining_s(self, expected_s: Mapping[Cell, float]) -> float | None:
        """Estimate how long the open cells will take, s; None when nothing can be said.

        `expected_s` has what is known beforehand (a published table). The server may be faster or slower than the one
        of the table: until enough bursts were measured to foretell the others, a cell is taken as long as expected
        times what the nearest measured cell took of its own expectation, and where nothing is expected, as long as the
        nearest measured one.
        """
        measured = {(r.users, r.prompt_tokens): r.duration_s for r in self._results.values() if r.outcome is Outcome.OK}
        known = {cell: duration_s for cell, duration_s in measured.items() if duration_s}
        foretold = burst_time(known) if self.mode == Mode.BURST else None
        total = 0.0
        for cell in self.open_cells():
            guess = foretold(cell) if foretold is not None else _guess_s(cell, known, expected_s)
            if guess is None:
                return None
            total += guess
        return total


def _guess_s(cell: Cell, measured: Mapping[Cell, float], expected_s: Mapping[Cell, float]) -> float | None:
    def distance(other: Cell) -> float:
        return abs(other[0] / cell[0] - 1) + abs(other[1] / cell[1] - 1)

    expected = expected_s.get(cell)
    if expected:
        nearest = min((other for other in measured if expected_s.get(other)), key=distance, default=None)
        return expected if nearest is None else expected * measured[nearest] / expected_s[nearest]
    nearest = min(measured, key=distance, default=None)
    return None if nearest is None else measured[nearest]
