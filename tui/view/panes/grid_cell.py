"""One cell of the map: a block of colour with its figures, or how it ended. Pure.

In one line it shows the chosen figure; in two to four also how far that is from what lies beside, tokens/s, the time to
the first token, and a bar of tokens/s against the most of all cells. What does not fit whole is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import RESOLVE, CellFigure
from tui.view import formatting
from tui.view.panes.grid_beside import Beside, Place
from tui.view.widgets.bars import filled
from tui.view.widgets.heat_map import HeatScale, resolve, word
from tui.view.widgets.lines import Ink, Line, Over, Paint

MOST_ROWS = 4
TOO_LONG, IMPLIED = "░", "╱"
"""What fills a cell that no request of ours could be in, and what stands in one that a smaller one makes hopeless."""
AGAIN = "²"
"""At the left of a cell that was measured before, where its figures leave room."""
_IMPLIED_CELLS = 5
_WITH_UNIT = 6
"""So many cells a rate takes with the least that tells its unit."""
_TIME_CELLS = 4
_RATE_CELLS = 4
"""As a rate is written below 10,000: 47.3, 340, 1477."""
_TWO_FIGURES = 9
"""From so many cells on two figures stand side by side."""
_BOTH_ABREAST = 12
"""Likewise where the first has its unit, and cells more lines than one."""


def heavy(ink: Ink) -> Over:
    """Return the paint of what is bold in a cell, on the cell's own colour (`GridPane.render_line`)."""
    return Over(ink, ink)


@dataclass(frozen=True)
class Blocks:
    """Draws cells as blocks of `rows` lines."""

    figure: CellFigure
    scale: HeatScale
    beside: Beside
    with_beside: bool
    """Whether anything lies beside any cell."""
    most_tokens_per_s: float
    progress: float | None
    """Of the cell that is measured now, 0 to 1."""
    queueing: frozenset[Place]
    least_width: int
    """Of the narrowest column: all cells tell the same."""
    rows: int
    pads: tuple[int, int]
    """How many cells stay free left and right."""

    def ground(self, cell: CellResult | None) -> Ink:
        """Return the colour on which a cell is written."""
        if cell is None or cell.outcome.is_open or cell.outcome is Outcome.TOO_LONG:
            return Ink.HEAT_OPEN
        if cell.outcome is Outcome.OK:
            return self.scale.ink(self.figure.of(cell))
        if cell.outcome is Outcome.IMPLIED:
            return Ink.HEAT_IMPLIED
        return Ink.HEAT_FAILED if cell.outcome.is_oom else Ink.HEAT_OPEN

    def block(self, place: Place, cell: CellResult | None, width: int) -> list[Line]:
        """Return the block's lines, each in `width` cells."""
        ground = self.ground(cell)
        if cell is not None and cell.outcome is Outcome.TOO_LONG:
            return [[(TOO_LONG * width, ground)]] * self.rows
        inner = width - sum(self.pads)
        if cell is not None and cell.outcome is Outcome.OK:
            rows = self._figures(cell, ground, inner)
        else:
            rows = self._words(place, cell, ground, inner)
        blank: Line = [(" " * inner, ground)]
        rows = [*rows[: self.rows], *[blank] * (self.rows - len(rows))]
        left, right = ((" " * pad, ground) for pad in self.pads)
        lines = [[left, *row, right] for row in rows]
        return _marked(lines) if cell is not None and cell.earlier is not None else lines

    def _words(self, place: Place, cell: CellResult | None, ground: Ink, inner: int) -> list[Line]:
        if cell is None or cell.outcome is Outcome.PENDING:
            queues = place in self.queueing and inner >= len("queues")
            return [[(("queues" if queues else "·").center(inner), ground)]]
        paint: Paint = heavy(ground)
        text = word(cell.outcome, inner)
        if cell.outcome is Outcome.RUNNING:
            paint = Over(Ink.STEER, ground)
            text = f"{formatting.percent(self.progress, 2)} %" if self.progress is not None else "…"
            text = text if len(text) <= inner else text.replace(" ", "")
        elif cell.outcome is Outcome.IMPLIED:
            paint, text = ground, IMPLIED * min(inner, _IMPLIED_CELLS)
        elif not cell.outcome.is_oom:
            paint = Over(Ink.WARNING, ground)
        lines: list[Line] = [
            [(text.center(inner) if inner >= _WITH_UNIT or self.rows > 1 else text.rjust(inner), paint)]
        ]
        if cell.outcome is Outcome.RUNNING and self.progress is not None:
            full = filled(self.progress, inner - 2)
            lines.append([(" " + "━" * full + "─" * (inner - 2 - full) + " ", paint)])
        if self.beside.parts(cell) and (there := self.beside.at(place)) is not None:
            lines.append([(_fitting(("was " + self._value(there, 0), self._value(there, 0)), inner), ground)])
        return lines

    def _figures(self, cell: CellResult, ground: Ink, inner: int) -> list[Line]:
        value = self.figure.of(cell)
        unit = self.figure.unit if len(self.figure.unit) <= 1 else ""
        main = self._value(value, inner)
        with_unit = f"{main.strip()} {unit}".rstrip()
        if self.rows == 1:
            second = self.beside.against(cell) if self.with_beside else self._second(cell)
            second = second.replace(" %", "%")
            if not second or not self.has_second or inner < len(main.strip()) + 1 + len(second):
                return [[(main.rjust(inner), heavy(ground))]]
            left = max(len(main.strip()), min(_TIME_CELLS, inner - len(second) - 1), (inner - 1) // 2 - 1)
            return [[(main.strip().rjust(left), heavy(ground)), (second.rjust(inner - left), ground)]]
        main = with_unit if self._least_inner >= _WITH_UNIT and len(with_unit) <= inner else main
        against = self.beside.against(cell) if self.with_beside else ""
        beside_it = bool(against) and inner >= len(main) + len(against) + 2
        leading = against if beside_it else ""
        lines: list[Line] = [[(leading.ljust(inner - len(main)), ground), (main, heavy(ground))]]
        further: list[Iterable[str]] = [self._rate(cell), self._first_token(cell)]
        if self.figure is not RESOLVE:
            further.insert(0, (f"{resolve(cell.time_to_resolve_s, 0)} s",))
        if against and not beside_it:  # from other conditions it says the least of all
            further.insert(len(further) if self.beside.differs else 0, (against, against.removeprefix("had ")))
        lines += [[(text, ground)] for ways in further if (text := _fitting(ways, inner)).strip()]
        bar = self._bar(cell, ground, inner)
        return [*lines[: self.rows - 1], bar] if self.rows > 2 and bar else lines

    @property
    def has_second(self) -> bool:
        """Say whether another figure stands right of the chosen one, in one line."""
        return self.rows == 1 and self._least_inner >= _TWO_FIGURES

    @property
    def tells_beside(self) -> bool:
        """Say whether there is room for how far a cell is from what lies beside it."""
        if self.rows == 1:
            return self.has_second
        return self.rows > 2 or not self.beside.differs or self._least_inner >= _BOTH_ABREAST

    @property
    def unnamed(self) -> str:
        """Return where a second figure stands that has no room for its unit: right, below; empty = nowhere."""
        if self.rows == 1:
            return "right" if self.has_second else ""
        return "below" if self._least_inner < _WITH_UNIT else ""

    @property
    def _least_inner(self) -> int:
        return self.least_width - sum(self.pads)

    def _second(self, cell: CellResult) -> str:
        """Return what stands right of the chosen figure where there is one line."""
        if self.figure is RESOLVE:
            return formatting.per_second(cell.tokens_per_s_total, 0)
        return f"{resolve(cell.time_to_resolve_s, 0)} s"

    def _value(self, value: float | None, width: int) -> str:
        return resolve(value, width) if self.figure.unit == "s" else formatting.significant(value, width)

    def _rate(self, cell: CellResult) -> Iterable[str]:
        if self.figure.field == "tokens_per_s_total" or cell.tokens_per_s_total is None:
            return ()
        rate, most = (formatting.per_second(value, 0) for value in (cell.tokens_per_s_total, self.most_tokens_per_s))
        longest = max(len(rate), len(most), _RATE_CELLS)  # with the unit in all cells, or in none
        return *(rate + unit for unit in (" tok/s", "/s") if longest + len(unit) <= self._least_inner), rate

    def _first_token(self, cell: CellResult) -> Iterable[str]:
        if self.figure.field.startswith("ttft") or cell.ttft_p50_s is None:
            return ()
        ttft = formatting.significant(cell.ttft_p50_s, 0)
        return f"TTFT {ttft} s", f"TTFT {ttft}"

    def _bar(self, cell: CellResult, ground: Ink, inner: int) -> Line:
        if not cell.tokens_per_s_total or self.most_tokens_per_s <= 0 or inner < 4:
            return []
        full = filled(cell.tokens_per_s_total / self.most_tokens_per_s, inner)
        return [("━" * full + "─" * (inner - full), ground)]


def _marked(lines: list[Line]) -> list[Line]:
    """Return a block with the mark of an earlier measure in the first of its lines that begins with a free cell."""
    for row, line in enumerate(lines):
        first = next(place for place, (text, _) in enumerate(line) if text)
        text, paint = line[first]
        if text[0] == " ":
            marked = [*line[:first], (AGAIN, paint), (text[1:], paint), *line[first + 1 :]]
            return [*lines[:row], marked, *lines[row + 1 :]]
    return lines


def _fitting(ways: Iterable[str], width: int) -> str:
    """Return the first way to say it that fits, right-aligned; blanks where none does."""
    return next((way for way in ways if len(way) <= width), "").rjust(width)
