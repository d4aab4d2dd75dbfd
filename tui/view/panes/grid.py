"""Users x prompt size as a coloured map: a figure in each cell, or how the cell ended, as a word."""

from __future__ import annotations

from typing import ClassVar

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import FIGURES, RESOLVE, CellFigure
from tui.metrics.reference import Reference, parts_from, ratio
from tui.metrics.snapshot import GridStatus, Snapshot
from tui.view import formatting
from tui.view.panes.cell_story import server_story, story, verdict_line
from tui.view.panes.pane import Pane
from tui.view.widgets.heat_map import HeatScale, resolve, word
from tui.view.widgets.lines import Ink, Line, cut, plain, width_of, wrapped

_LABEL = 6
_NARROWEST, _WIDEST = 6, 11
_PREDICTED, _MEASURED = "▁", "━"
"""Right of the last cell of a column that is within the edge of the KV cache."""

Place = tuple[int, int]
"""users, prompt tokens"""


class GridPane(Pane):
    """One mode at a time. Arrow keys pick a cell, whose whole story is told in the last line."""

    KEY: ClassVar[str] = "4"
    NAME: ClassVar[str] = "grid"
    HELP: ClassVar[str] = (
        "Users down, prompt tokens across: a figure of each cell that was measured, or how it failed. "
        "c goes through the figures, from the time to resolve to the energy per token. "
        "A cell fills when users and prompt size stand still long enough, by your keys or by the sweep. "
        f"{_PREDICTED} stands right of the last cell that the KV cache should hold, {_MEASURED} of the last it held."
    )
    HINT: ClassVar[str] = "The arrow keys pick a cell, from the present one on; enter opens it."
    MOVES_SIDEWAYS: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.figure = RESOLVE
        """What the cells show."""

    def turn(self) -> None:
        """Show the next figure."""
        self.figure = FIGURES[(FIGURES.index(self.figure) + 1) % len(FIGURES)]
        self.redraw()

    def title(self, snapshot: Snapshot) -> str:
        """Return the title with figure, unit and mode."""
        name = "mean E2E" if self.figure is RESOLVE and snapshot.grid.mode != "burst" else self.figure.name
        unit = self.figure.unit or plain(snapshot.terms.currency, 8)
        heading = name if not unit or name.startswith(unit) else f"{name}, {unit}"
        return f"grid · {heading} · {plain(snapshot.grid.mode, 12)}{_beside_in_short(snapshot.reference)}"

    def subtitle(self, snapshot: Snapshot) -> str:
        """Return the legend."""
        queue = "  q queues" if snapshot.grid.queueing else ""
        if any(mark for mark in _edge_marks(snapshot.grid).values()):
            queue += f"  {_PREDICTED}{_MEASURED} edge"
        if self.figure is not RESOLVE:
            way = "more" if self.figure.more_is_good else "less"
            return f"{way} is good, warm is bad  [ ] now  ╱╱╱ implied  · open  c next figure"
        return f"[ ] now  OOM measured  ╱╱╱ implied  · open{queue}"

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the map, as much of it as fits around the current cell, and the story of one cell."""
        if not snapshot.grid.users or not snapshot.grid.prompt_tokens:
            return [[("this profile has no grid", Ink.DIM)]]
        return _Map(snapshot, self.figure, self.picked, width, height).lines()

    def move(self, columns: int, rows: int) -> None:
        """Pick the next cell in that direction."""
        if self.snapshot is None or not self.snapshot.grid.users or not self.snapshot.grid.prompt_tokens:
            return
        grid = self.snapshot.grid
        users, prompt = self.picked or _present(self.snapshot)
        row = _nearest(grid.users, users)
        column = _nearest(grid.prompt_tokens, prompt)
        if self.picked is not None:
            row = min(max(0, row + rows), len(grid.users) - 1)
            column = min(max(0, column + columns), len(grid.prompt_tokens) - 1)
        self.picked = (grid.users[row], grid.prompt_tokens[column])
        self.redraw()

    def unpick(self) -> bool:
        """Pick no cell; say whether one was picked."""
        picked, self.picked = self.picked, None
        if picked is not None:
            self.redraw()
        return picked is not None


def _present(snapshot: Snapshot) -> Place:
    """Return where the run stands: the cell being measured, else what is asked for."""
    grid, load = snapshot.grid, snapshot.load
    if grid.current_users is not None and grid.current_prompt_tokens is not None:
        return grid.current_users, grid.current_prompt_tokens
    return load.users_wanted, load.prompt_tokens


def _nearest(values: list[int], wanted: int) -> int:
    """Return the place of the value that is nearest."""
    return min(range(len(values)), key=lambda place: abs(values[place] - wanted))


class _Map:
    """One drawing of the map."""

    def __init__(self, snapshot: Snapshot, figure: CellFigure, picked: Place | None, width: int, height: int) -> None:
        grid = snapshot.grid
        self.figure = figure
        self.reference = _Beside(snapshot.reference, figure)
        self.grid = grid
        self.progress = snapshot.sweep.cell_progress
        self.carried = snapshot.edges if snapshot.sweep.looks_for_edge else []
        self.picked = picked
        self.width = width
        self.height = height
        self.cells = {(cell.users, cell.prompt_tokens): cell for cell in grid.cells}
        self.queueing = set(grid.queueing)
        self.edges = _edge_marks(grid)
        values = [figure.of(cell) for cell in grid.cells if cell.outcome is Outcome.OK]
        self.scale = HeatScale(values, more_is_good=figure.more_is_good)
        self.size = min(_WIDEST, max(_NARROWEST, (width - _LABEL) // len(grid.prompt_tokens)))
        self.story_rows = _story_rows(height, len(grid.users))
        room = max(1, height - 1 - self.story_rows)
        self.deep = max(1, min(3, room // len(grid.users)))
        focus = picked or self._told() or (0, 0)
        self.users = _rows(grid.users, grid.asked_users or grid.users, focus[0], max(1, room // self.deep))
        self.prompts = _window(grid.prompt_tokens, focus[1], max(1, (width - _LABEL) // self.size))
        self.with_reference = any(self.reference.value(cell) is not None for cell in grid.cells)
        self.deep = min(self.deep, 3 if self.with_reference else 2)

    def lines(self) -> list[Line]:
        """Return heading, rows, story."""
        above = len(self.grid.users) - len(self.users)
        axis = "users" if self.grid.rate_per_s is None else "req/s"
        head: Line = [((f"+{above} ↕" if above else axis).ljust(_LABEL)[:_LABEL], Ink.DIM)]
        head += [(f"{prompt:>{self.size - 1}} "[-self.size :], Ink.DIM) for prompt in self.prompts]
        hidden = len(self.grid.prompt_tokens) - len(self.prompts)
        unit = f"+{hidden} more" if hidden else "tok"
        if width_of(head) + len(unit) <= self.width:
            head.append((unit, Ink.FAINT))
        lines = [head]
        for users in self.users:
            lines += [self._row(users, level) for level in range(self.deep)]
        if self.story_rows:
            lines += self._told_below()
        return [*lines, *self._more()[: max(0, self.height - len(lines))]]

    def _label(self, users: int) -> str:
        rate = self.grid.rate_per_s
        return f"{users:>5}" if rate is None else formatting.significant(users * rate, 5)

    def _row(self, users: int, level: int) -> Line:
        line: Line = [(f"{self._label(users)} " if level == 0 else " " * _LABEL, Ink.DIM)]
        for prompt in self.prompts:
            line += self._cell((users, prompt)) if level == 0 else self._below((users, prompt), level)
        return cut(line, self.width)

    def _cell(self, place: Place) -> Line:
        cell = self.cells.get(place)
        current = place == (self.grid.current_users, self.grid.current_prompt_tokens)
        running = cell is not None and cell.outcome is Outcome.RUNNING
        text, ink = self._content(place, cell)
        left, right = ("[", "]") if current or running else (" ", " ")
        if self.reference.parts(cell):
            right = "!"
        if place == self.picked:
            left = "▸"
        mark = Ink.STEER if place == self.picked or current or running else ink
        if right == " ":
            right = self.edges.get(place, right)
        return [
            (left, mark if left != " " else ink),
            (text.rjust(self.size - 2), ink),
            (right, Ink.STRONG if right == "!" else mark if right != " " else ink),
        ]

    def _content(self, place: Place, cell: CellResult | None) -> tuple[str, Ink]:
        room = self.size - 2
        if cell is None or cell.outcome is Outcome.PENDING:
            return ("q" if place in self.queueing else "·"), Ink.HEAT_OPEN
        if cell.outcome is Outcome.OK:
            value = self.figure.of(cell)
            text = resolve(value, room) if self.figure.unit == "s" else formatting.significant(value, room)
            return text, self.scale.ink(value)
        if cell.outcome is Outcome.RUNNING:
            return (f"{formatting.percent(self.progress, 2)}%" if self.progress is not None else "…"), Ink.STEER
        if cell.outcome is Outcome.IMPLIED:
            return word(cell.outcome, room), Ink.HEAT_IMPLIED
        return word(cell.outcome, room), Ink.HEAT_FAILED

    def _below(self, place: Place, level: int) -> Line:
        """Return a cell's further figures: against the published one, then tokens/s."""
        cell = self.cells.get(place)
        _, ink = self._content(place, cell)
        ink = Ink.PLAIN if ink is Ink.STEER else ink
        if cell is None or cell.outcome is not Outcome.OK:
            there = self.reference.seconds(place) if level == 1 and self.reference.parts(cell) else None
            return [(_fitting("" if there is None else formatting.significant(there, 0), "was", self.size), ink)]
        if self.with_reference and level == 1:
            if self.reference.parts(cell):
                return [(_fitting("failed", "had", self.size), ink)]
            return [(_fitting(_against(self.figure.of(cell), self.reference.value(cell)), "", self.size), ink)]
        if self.figure is not RESOLVE:
            return [(_fitting(f"{resolve(cell.time_to_resolve_s, 0)} s", "", self.size), ink)]
        text = formatting.per_second(cell.tokens_per_s_total, self.size - 3)
        return [(f"{text}/s"[: self.size - 1].rjust(self.size - 1) + " ", ink)]

    def _told_below(self) -> list[Line]:
        """Return the story in so many rows, and below it what limited the cell: that goes before the depth."""
        limit = self._limit()
        rows = [self._depth(), self._story()]
        if not limit or self.story_rows < 2:
            return rows[-self.story_rows :]
        room = self.height - 1 - len(self.users) * self.deep
        return [*rows, limit] if room > 2 and rows[0] else [rows[1], limit]

    def _limit(self) -> Line:
        """Return what limited the cell whose story is told; where none is picked and it is not known, the last one."""
        cell = self.cells.get(self.picked or self._told() or (0, 0))
        if cell is not None and cell.verdict is not None:
            return cut(verdict_line(cell.verdict), self.width)
        judged = [each for each in self.grid.cells if each.verdict is not None] if self.picked is None else []
        last = max(judged, key=lambda each: each.started_at_ns, default=None)
        if last is None or last.verdict is None:
            return []
        return cut([(f"{last.users} × {last.prompt_tokens}  ", Ink.DIM), *verdict_line(last.verdict)], self.width)

    def _depth(self) -> Line:
        """Return what the lower lines of a cell are, where there are any."""
        if self.deep < 2:
            return []
        below = [f"± against {self.reference.name}"] if self.with_reference else []
        further = "tokens/s" if self.figure is RESOLVE else "time to resolve"
        below += [further] if self.deep > len(below) + 1 else []
        return cut([("below: " + ", ".join(below), Ink.DIM)], self.width) if below else []

    def _more(self) -> list[Line]:
        """Return what the story had no room for: the whole evidence, or what the server says of the same cell."""
        place = self.picked or self._told() or (0, 0)
        return [*self._server_or_evidence(place), *self._edge(place[1])]

    def _edge(self, prompt_tokens: int) -> list[Line]:
        """Return the edge at a prompt size in words, where it was looked for."""
        edge = next((one for one in self.carried if one.prompt_tokens == prompt_tokens), None)
        return [] if edge is None else wrapped(f"edge: {plain(edge.sentence)}", self.width, Ink.PLAIN, indent=2)

    def _server_or_evidence(self, place: Place) -> list[Line]:
        cell = self.cells.get(place)
        if cell is None:
            return self._conditions()
        if parting := self.reference.parts(cell):
            said = "failed here, was measured" if parting == "failed" else "measured here, had failed"
            return [
                *wrapped(f"{said} in {self.reference.name}", self.width, Ink.WARNING, indent=2),
                *self._conditions(),
            ]
        if self.picked is None and self.reference.differs:
            return self._conditions()
        if cell.outcome is Outcome.OK:
            return wrapped(server_story(cell, queueing=place in self.queueing), self.width, Ink.DIM, indent=2)
        if width_of([(plain(cell.evidence), Ink.PLAIN)]) < self.width - 30:
            return []
        return wrapped(cell.evidence, self.width, Ink.DIM, indent=2)

    def _conditions(self) -> list[Line]:
        """Return how the conditions of what lies beside differ."""
        text = self.reference.differs
        return wrapped(text, self.width, Ink.DIM, indent=2) if text else []

    def _told(self) -> Place | None:
        """Return the cell whose story is told when none is picked: the current one, or the last that failed."""
        if self.grid.current_users is not None and self.grid.current_prompt_tokens is not None:
            return self.grid.current_users, self.grid.current_prompt_tokens
        failed = [cell for cell in self.grid.cells if not cell.outcome.is_open and not _fine(cell)]
        return (failed[-1].users, failed[-1].prompt_tokens) if failed else None

    def _story(self) -> Line:
        place = self.picked or self._told()
        if place is None:
            done = sum(cell.outcome is Outcome.OK for cell in self.grid.cells)
            return [(f"{done} of {len(self.grid.users) * len(self.grid.prompt_tokens)} cells measured", Ink.DIM)]
        return cut(story(place, self.cells.get(place), place in self.queueing, self.width), self.width)


def _edge_marks(grid: GridStatus) -> dict[Place, str]:
    """Return the mark of each cell that is the last of its column within an edge, where a cell beyond it is shown."""
    marks: dict[Place, str] = {}
    for edge in grid.edges:
        for users, mark in ((edge.predicted, _PREDICTED), (edge.measured if edge.beyond else None, _MEASURED)):
            within = [n for n in grid.users if users is not None and n <= users]
            if within and len(within) < len(grid.users):
                marks[within[-1], edge.prompt_tokens] = mark
    return marks


def _beside_in_short(reference: Reference | None) -> str:
    """Return for the title what lies beside where it is not of the same conditions, or cannot be had."""
    if reference is None or not (reference.problem or reference.differs):
        return ""
    return f" · {'no' if reference.problem else 'other conditions in'} {plain(reference.name, 30)}"


class _Beside:
    """What lies beside the cells, of one figure."""

    def __init__(self, reference: Reference | None, figure: CellFigure) -> None:
        self._figure = figure
        known = reference.cells if reference is not None else []
        self._cells = {(cell.users, cell.prompt_tokens): cell for cell in known}
        session = reference is not None and not reference.published
        self.name = plain(reference.words, 60) if reference is not None and session else "the published figure"
        self.differs = ""
        if reference is not None and reference.problem:
            self.differs = plain(reference.problem)
        elif reference is not None and reference.differs:
            self.differs = f"conditions differ: {plain('; '.join(reference.differs))}"

    def value(self, cell: CellResult) -> float | None:
        """Return the figure there; of a session from before references were kept, what its cell says of it."""
        there = self._figure.of(self._cells.get((cell.users, cell.prompt_tokens)))
        return cell.reference_s if there is None and self._figure is RESOLVE and not self._cells else there

    def seconds(self, place: Place) -> float | None:
        """Return the figure there of a cell that failed here."""
        return self._figure.of(self._cells.get(place))

    def parts(self, cell: CellResult | None) -> str:
        """Return how a cell ended otherwise than there; empty where it did not, or nothing is known."""
        return "" if cell is None else parts_from(cell, self._cells.get((cell.users, cell.prompt_tokens)))


def _against(here: float | None, there: float | None) -> str:
    """Return how far a figure is from the one beside it: −7 %, and from twice on how many times as much: ×3.4."""
    times = ratio(here, there)
    if times is None or not formatting.is_figure(times) or times < 0:
        return ""
    if times >= 2:
        return f"×{formatting.significant(times, 0)}"
    share = (times - 1) * 100
    sign = "+" if share > 0.5 else "−" if share < -0.5 else "±"
    return f"{sign}{formatting.fixed(abs(share), 4).strip()} %"


def _fitting(text: str, before: str, size: int) -> str:
    """Return a text at the right of a cell, and what it is called before it where there is room."""
    whole = f"{before} {text}" if text and before and len(before) + len(text) + 2 <= size else text
    return f"{whole} ".rjust(size)[-size:]


def _story_rows(height: int, rows: int) -> int:
    """Return how many lines of story there are below a map of so many rows: the map goes first, if it fits at all."""
    if height >= rows + 4:
        return 2
    fits_alone = height == rows + 1
    return 1 if height >= 6 and not fits_alone else 0


def _fine(cell: CellResult) -> bool:
    return cell.outcome in (Outcome.OK, Outcome.IMPLIED)


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
