"""Users x prompt size as a coloured map: figures in each cell, or how the cell ended, as a word."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip

from tui.metrics.cell_figures import FIGURES, RESOLVE
from tui.metrics.snapshot import Snapshot
from tui.view.panes.arrangement import Need
from tui.view.panes.grid_beside import Place, beside_in_short
from tui.view.panes.grid_map import MEASURED, PREDICTED, GridMap, wished_rows
from tui.view.panes.pane import Pane
from tui.view.widgets.lines import Ink, Line, Over, plain, text_of

_BOLD = Style(bold=True)
_BORDER = 2


class GridPane(Pane):
    """One mode at a time. Arrow keys pick a cell, whose whole story is told in the last line."""

    KEY: ClassVar[str] = "4"
    NAME: ClassVar[str] = "grid"
    HELP: ClassVar[str] = (
        "Users down, prompt tokens across: figures of each cell that was measured, from cool (good) to warm, or how it "
        "failed; red is out of memory. c goes through the figures, from the time to resolve to the energy per token. "
        "A cell fills when users and prompt size stand still long enough, by your keys or by the sweep. Where there is "
        f"room, a line stands below the last users that the KV cache should hold ({PREDICTED}), and that it held "
        f"({MEASURED})."
    )
    HINT: ClassVar[str] = "The arrow keys pick a cell, from the present one on; enter opens it."
    MOVES_SIDEWAYS: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.figure = RESOLVE
        """What the cells show."""

    def need(self, snapshot: Snapshot) -> Need:
        """Return the rows with which each cell has four lines, three, two, one."""
        return Need(wished=tuple(rows + _BORDER for rows in wished_rows(snapshot.grid)))

    def turn(self) -> None:
        """Show the next figure."""
        self.figure = FIGURES[(FIGURES.index(self.figure) + 1) % len(FIGURES)]
        self.redraw()

    def title(self, snapshot: Snapshot) -> str:
        """Return the title with figure, unit and mode."""
        name = "mean E2E" if self.figure is RESOLVE and snapshot.grid.mode != "burst" else self.figure.name
        unit = self.figure.unit or plain(snapshot.terms.currency, 8)
        heading = name if not unit or name.startswith(unit) else f"{name}, {unit}"
        return f"grid · {heading} · {plain(snapshot.grid.mode, 12)}{beside_in_short(snapshot.reference)}"

    def subtitle(self, snapshot: Snapshot, size: Size, room: int) -> str:
        """Return which way is good, and the key for the next figure; the colours are explained in the pane."""
        said = f"{'more' if self.figure.more_is_good else 'less'} is good · c next figure"
        if not size.height or not snapshot.grid.users or not snapshot.grid.prompt_tokens:
            return said
        drawn = GridMap(snapshot, self.figure, self.picked, *size)
        told = [text_of([mark]).strip() for mark in drawn.untold()]
        fitting: list[str] = []
        for text in (*told, said):
            if len("  ".join([*fitting, text])) <= room:
                fitting.append(text)
        return "  ".join(fitting)

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the map, as much of it as fits around the current cell, and the story of one cell."""
        if not snapshot.grid.users or not snapshot.grid.prompt_tokens:
            return [[("this profile has no grid", Ink.DIM)]]
        return GridMap(snapshot, self.figure, self.picked, width, height).lines()

    def render_line(self, y: int) -> Strip:
        """Return one line as the terminal gets it: what is drawn in a colour over the same colour is bold."""
        strip = super().render_line(y)
        spans = self._lines[y] if y < len(self._lines) else []
        if not any(_is_bold(paint) for _, paint in spans):
            return strip
        segments: list[Segment] = []
        for segment, (_, paint) in zip(strip, spans, strict=False):
            style = segment.style or Style.null()
            segments.append(Segment(segment.text, style + _BOLD) if _is_bold(paint) else segment)
        return Strip([*segments, *list(strip)[len(segments) :]], strip.cell_length)

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


def _is_bold(paint: object) -> bool:
    return isinstance(paint, Over) and paint.fore == paint.back


def _present(snapshot: Snapshot) -> Place:
    """Return where the run stands: the cell being measured, else what is asked for."""
    grid, load = snapshot.grid, snapshot.load
    if grid.current_users is not None and grid.current_prompt_tokens is not None:
        return grid.current_users, grid.current_prompt_tokens
    return load.users_wanted, load.prompt_tokens


def _nearest(values: list[int], wanted: int) -> int:
    """Return the place of the value that is nearest."""
    return min(range(len(values)), key=lambda place: abs(values[place] - wanted))
