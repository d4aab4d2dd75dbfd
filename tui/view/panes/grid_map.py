"""One drawing of the map: as many users and prompt sizes as fit around the present cell, as large as they fit. Pure.

From the top: prompt sizes, a block for each cell, the legend, and the story of one cell. Where a row is left for it, a
line between two rows of cells shows the edge of the KV cache.
"""

from __future__ import annotations

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.best import best_cell
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import RESOLVE, CellFigure
from tui.metrics.snapshot import GridStatus, Snapshot
from tui.view import formatting
from tui.view.panes.grid_beside import Beside, Place
from tui.view.panes.grid_cell import AGAIN, IMPLIED, MOST_ROWS, TOO_LONG, Blocks
from tui.view.panes.grid_frame import Frame
from tui.view.panes.grid_legend import legend
from tui.view.panes.grid_story import GridStory, told_place
from tui.view.widgets.heat_map import HeatScale
from tui.view.widgets.lines import Ink, Line, cut, plain, width_of

PREDICTED, MEASURED = "╌", "━"
"""Below the last cell of a column that is within the edge of the KV cache."""
_LABEL = 6
_NARROWEST, _WIDEST = 6, 32
_WITH_GAP = 8
"""From so many cells for a column on its blocks stand apart, and frames stand between them."""
_PADDED = 12
"""From more cells for a column on what is written does not touch the block's end."""
_MOST_STORY_ROWS = 6
_EDGE_WORDS = {
    frozenset({MEASURED}): f"{MEASURED} KV cache gave out below",
    frozenset({PREDICTED}): f"{PREDICTED} KV cache full below, predicted",
    frozenset({MEASURED, PREDICTED}): f"{MEASURED} KV cache gave out below  {PREDICTED} predicted",
}


def wished_rows(grid: GridStatus) -> tuple[int, ...]:
    """Return in how many lines the whole map has cells of four lines, three, two, one."""
    rows = len(grid.users)
    return tuple(rows * deep + (4 if deep > 1 else 3) for deep in range(MOST_ROWS, 0, -1)) if rows else ()


class GridMap:
    """Composes the lines of one map."""

    def __init__(self, snapshot: Snapshot, figure: CellFigure, picked: Place | None, width: int, height: int) -> None:
        grid = snapshot.grid
        self.grid = grid
        self.figure = figure
        self.unit = figure.unit or plain(snapshot.terms.currency, 8)
        self.picked = picked
        self.width = width
        self.height = height
        self.cells = _too_long_for_all(grid) | {(cell.users, cell.prompt_tokens): cell for cell in grid.cells}
        self.beside = Beside(snapshot.reference, figure)
        self.with_beside = any(self.beside.value(cell) is not None for cell in grid.cells)
        best = best_cell(grid.cells)
        self.best = (best.users, best.prompt_tokens) if best is not None else None
        self.story = GridStory(snapshot, self.cells, self.beside, picked, width)
        self._arrange(told_place(snapshot, picked) or (0, 0))
        self.blocks = self._blocks(snapshot.sweep.cell_progress)

    def _arrange(self, focus: Place) -> None:
        """Share out the room: to the map first, then to a line of story, the legend, more lines a cell, edges."""
        grid, rows = self.grid, len(self.grid.users)
        self.size = min(_WIDEST, max(_NARROWEST, (self.width - _LABEL) // len(grid.prompt_tokens)))
        self.gap = 1 if self.size >= _WITH_GAP else 0
        fits_alone = self.height == rows + 1
        self.has_legend = self.height >= rows + 3
        self.story_rows = 2 if self.height >= rows + 4 else 1 if self.height >= 6 and not fits_alone else 0
        room = max(1, self.height - 1 - self.has_legend - self.story_rows)
        lasts = _edge_marks(grid)
        self.deep = max(1, min(MOST_ROWS, room // rows))
        if self.deep > 2 and room - self.deep * rows < len(lasts):
            self.deep -= 1
        self.users = _rows(grid.users, grid.asked_users or grid.users, focus[0], max(1, room // self.deep))
        columns = max(1, (self.width - _LABEL) // self.size)
        self.prompts = _window(grid.prompt_tokens, focus[1], columns)
        self.widths = self._widths()
        spare = room - self.deep * len(self.users)
        shown = {users: marks for users, marks in lasts.items() if users in self.users[:-1]}
        self.edges = shown if len(shown) <= spare else {}

    def _widths(self) -> list[int]:
        """Return each column's cells, of which all that there are are used."""
        shown = len(self.prompts)
        spare = self.width - _LABEL - self.size * shown
        if shown < len(self.grid.prompt_tokens) or self.size == _WIDEST:
            spare = 0
        return [self.size + (place < spare) for place in range(shown)]

    def _blocks(self, progress: float | None) -> Blocks:
        measured = [cell for cell in self.grid.cells if cell.outcome is Outcome.OK]
        return Blocks(
            figure=self.figure,
            scale=HeatScale([self.figure.of(cell) for cell in measured], more_is_good=self.figure.more_is_good),
            beside=self.beside,
            with_beside=self.with_beside,
            most_tokens_per_s=max((cell.tokens_per_s_total or 0.0 for cell in measured), default=0.0),
            progress=progress,
            queueing=frozenset(self.grid.queueing),
            least_width=self.size - self.gap,
            rows=self.deep,
            pads=(0, int(self.size > _PADDED)) if self.gap else (1, 1),
        )

    def lines(self) -> list[Line]:
        """Return heading, rows, legend, story."""
        lines = [self._heading()]
        for users in self.users:
            lines += self._row(users)
            if users in self.edges:
                lines.append(self._edge_line(self.edges[users]))
        lines += self._legend()[: self.legend_room]
        room = min(max(0, self.height - len(lines) - self.story_rows), _MOST_STORY_ROWS)
        return [*lines, *self.story.lines(self.story_rows, room)]

    @property
    def legend_room(self) -> int:
        """Return how many lines of the legend there are."""
        rows = 1 + self.deep * len(self.users) + len(self.edges)
        return max(1, self.height - rows - self.story_rows) if self.has_legend else 0

    def _legend(self) -> list[Line]:
        told = legend(self.figure, self.blocks.scale, self.unit, self.marks(), self.width - _LABEL)
        return [[(("scale" if number == 0 else "").ljust(_LABEL), Ink.DIM), *one] for number, one in enumerate(told)]

    def untold(self) -> list[Line]:
        """Return the marks that the legend has no room for."""
        return [] if len(self._legend()) <= self.legend_room else self.marks()

    # -- the map

    def _heading(self) -> Line:
        above = len(self.grid.users) - len(self.users)
        axis = "users" if self.grid.rate_per_s is None else "req/s"
        head: Line = [((f"+{above} ↕" if above else axis).ljust(_LABEL)[:_LABEL], Ink.DIM)]
        current = self.grid.current_prompt_tokens
        wide = self.size >= max(len(f"{prompt:,} tok") for prompt in self.prompts) + 2
        named = wide
        for prompt, size in zip(self.prompts, self.widths, strict=True):
            text = f"{prompt:,} tok" if wide else str(prompt)
            if not named and len(text) + 4 < size:  # one tells the unit of all
                text, named = f"{text} tok", True
            head.append((f"{text:>{size - 1}} "[-size:], Ink.STRONG if prompt == current else Ink.DIM))
        hidden = len(self.grid.prompt_tokens) - len(self.prompts)
        unit = f"+{hidden} more" if hidden else "" if named else "tok"
        if width_of(head) + len(unit) <= self.width:
            head.append((unit, Ink.FAINT))
        return head

    def _label(self, users: int) -> str:
        rate = self.grid.rate_per_s
        return f"{users:>5}" if rate is None else formatting.significant(users * rate, 5)

    def _row(self, users: int) -> list[Line]:
        """Return the lines of one number of users."""
        places = [(users, prompt) for prompt in self.prompts]
        drawn: list[list[Line]] = []
        frames: list[Frame | None] = []
        for place, size in zip(places, self.widths, strict=True):
            cell, frame = self.cells.get(place), self._frame(place)
            block = self.blocks.block(place, cell, size - self.gap)
            frames.append(frame)
            drawn.append(block if frame is None else frame.around(block, inside=not self.gap))
        stands_out = users in (self.grid.current_users, self.picked[0] if self.picked else None)
        lines: list[Line] = []
        for row in range(self.deep):
            line: Line = [
                (self._label(users) if row == 0 else " " * (_LABEL - 1), Ink.STRONG if stands_out else Ink.DIM)
            ]
            line += self._framed(drawn, frames, row) if self.gap else self._side_by_side(drawn, row)
            lines.append(cut(line, self.width))
        return lines

    def _side_by_side(self, drawn: list[list[Line]], row: int) -> Line:
        """Return a row of blocks without room between them: frames stand in their edges."""
        return [(" ", Ink.PLAIN), *(span for block in drawn for span in block[row])]

    def _framed(self, drawn: list[list[Line]], frames: list[Frame | None], row: int) -> Line:
        """Return a row whose frames stand between the blocks; of two in one place the weightier is seen."""
        line: Line = []
        for number in range(len(drawn) + 1):
            left = frames[number - 1] if number else None
            right = frames[number] if number < len(drawn) else None
            if right is not None and (left is None or right.weight >= left.weight):
                line.append((right.sides(row)[0], right.paint_beside))
            elif left is not None:
                line.append((left.sides(row)[1], left.paint_beside))
            else:
                line.append((" ", Ink.PLAIN))
            if number < len(drawn):
                line += drawn[number][row]
        return line

    def _frame(self, place: Place) -> Frame | None:
        cell = self.cells.get(place)
        ground = self.blocks.ground(cell)
        current = place == (self.grid.current_users, self.grid.current_prompt_tokens)
        if place == self.picked:
            return Frame("picked", Ink.STEER, 4, ground, self.deep)
        if self.beside.parts(cell):
            return Frame("parts", Ink.WARNING, 3, ground, self.deep)
        if current or (cell is not None and cell.outcome is Outcome.RUNNING):
            return Frame("present", Ink.STEER, 2, ground, self.deep)
        return Frame("best", Ink.GOOD, 1, ground, self.deep) if place == self.best else None

    def _edge_line(self, marks: dict[int, str]) -> Line:
        """Return the line between two rows of cells, with its words left of it where they fit."""
        columns = [marks.get(prompt, "") for prompt in self.prompts]
        first = next((place for place, mark in enumerate(columns) if mark), len(columns))
        words = _EDGE_WORDS.get(frozenset(columns) - {""}, "")
        room = _LABEL + sum(self.widths[:first])
        line: Line = [((words if len(words) < room else "KV".rjust(_LABEL - 1)).ljust(room), Ink.DIM)]
        for mark, size in zip(columns[first:], self.widths[first:], strict=True):
            ink = Ink.WARNING if mark == MEASURED else Ink.DIM
            line.append(((mark or " ") * (size - self.gap) + " " * self.gap, ink))
        return cut(line, self.width)

    def marks(self) -> list[Line]:
        """Return what the marks mean that can be seen."""
        shown = {(users, prompt) for users in self.users for prompt in self.prompts}
        seen = {cell.outcome for place, cell in self.cells.items() if place in shown}
        marks: list[Line] = []
        if (where := self.blocks.unnamed) and not (self.with_beside and self.blocks.tells_beside):
            marks.append([(f"{where}: {'tok/s' if self.figure is RESOLVE else 's to resolve'}", Ink.DIM)])
        if self.with_beside and self.blocks.tells_beside:
            marks.append([(f"± against {self.beside.name}", Ink.DIM)])
        if Outcome.RUNNING in seen or (self.grid.current_users, self.grid.current_prompt_tokens) in shown:
            marks.append([(Frame.mark("present", self.deep), Ink.STEER), (" now", Ink.DIM)])
        if self.best in shown:
            marks.append([(Frame.mark("best", self.deep), Ink.GOOD), (" best", Ink.DIM)])
        if any(self.beside.parts(cell) for place, cell in self.cells.items() if place in shown):
            marks.append([("!", Ink.WARNING), (" other outcome there", Ink.DIM)])
        if any(cell.earlier is not None for place, cell in self.cells.items() if place in shown):
            marks.append([(AGAIN, Ink.STRONG), (" measured before", Ink.DIM)])
        if Outcome.IMPLIED in seen:
            marks.append([(IMPLIED * 3, Ink.HEAT_IMPLIED), (" not tried", Ink.DIM)])
        if Outcome.TOO_LONG in seen:
            marks.append([(TOO_LONG * 2, Ink.HEAT_OPEN), (" too long", Ink.DIM)])
        return marks


def _too_long_for_all(grid: GridStatus) -> dict[Place, CellResult]:
    """Return cells of the prompt sizes that are too long: they are so for all users, those beside the axis too."""
    too_long = [cell for cell in grid.cells if cell.outcome is Outcome.TOO_LONG]
    return {
        (users, cell.prompt_tokens): msgspec.structs.replace(cell, users=users)
        for cell in too_long
        for users in grid.users
    }


def _edge_marks(grid: GridStatus) -> dict[int, dict[int, str]]:
    """Return by users, below whom an edge lies, the mark of each prompt size for which it does.

    Only where a cell beyond the edge is shown; of two at one place the measured one.
    """
    marks: dict[int, dict[int, str]] = {}
    for edge in grid.edges:
        for users, mark in ((edge.predicted, PREDICTED), (edge.measured if edge.beyond else None, MEASURED)):
            within = [n for n in grid.users if users is not None and n <= users]
            if within and len(within) < len(grid.users):
                marks.setdefault(within[-1], {})[edge.prompt_tokens] = mark
    return marks


def _rows(users: list[int], asked: list[int], focus: int, size: int) -> list[int]:
    """Return at most `size` rows: the grid's own and the one in `focus` first, then what was measured beside it."""
    own = [value for value in users if value in asked or value == focus]
    if size < len(own):
        return _window(own, focus, size)
    beside = sorted((value for value in users if value not in own), key=lambda value: abs(value - focus))
    return sorted([*own, *beside[: size - len(own)]])


def _window(values: list[int], focus: int, size: int) -> list[int]:
    """Return at most `size` neighbouring values with `focus` among them."""
    if size >= len(values):
        return values
    place = values.index(focus) if focus in values else 0
    start = min(max(0, place - size // 2), len(values) - size)
    return values[start : start + size]
