"""What a grid comes to: tokens/s per user against tokens/s in total, the best cell, its costs beside closed APIs."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Footer, Static

from tui.core.outcome import Outcome
from tui.metrics.best import best_cell, best_in_words, pareto_front
from tui.metrics.cell import CellResult
from tui.metrics.offers import TOKENS_PER_SENTENCE, Offer, compare, money
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.plotting import plotted
from tui.view.plotting.plotted import Bar, Dot
from tui.view.screens.roomy import RoomyScreen
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, cells, cut, pack, plain, width_of, wrapped

_NAME_CELLS = 30
_COST_CELLS = 16
_BEST, _FRONT, _MET, _UNMET = "▣", "●", "•", "○"
_ROOMY_ROWS = 30
"""From here on the costs have an axis."""


class TradeOffsScreen(RoomyScreen):
    """Shows the trade-offs of the latest snapshot; the run goes on below."""

    CSS = """
    TradeOffsScreen { padding: 0 1; }
    TradeOffsScreen #title { height: 1; }
    TradeOffsScreen #trade-offs { height: 1fr; background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,p", "close", "back", key_display="esc", id="trade-offs.close", tooltip="back to the run")
    ]
    HELP = (
        "Each measured cell by what a user gets and what all get together. A cell of the front is beaten by no other "
        "in both; the best cell has the most goodput, or without an SLO the most tokens/s. Below: what a million "
        "sentences cost there, and from closed APIs, by the price list that you may edit."
    )

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self._snapshot = snapshot

    def compose(self) -> ComposeResult:
        """A title, the picture, the keys."""
        yield Static(id="title", markup=False)
        yield Canvas(id="trade-offs")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Draw it once it has its size."""
        self.call_after_refresh(self._draw)

    def on_resize(self, _: events.Resize) -> None:
        """Draw it for the new size."""
        self.call_after_refresh(self._draw)

    def show(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        self._snapshot = snapshot
        self._draw()

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        title = Content.assemble(
            ("vramp", "bold $accent"),
            ("   trade-offs", "bold"),
            (f"   {plain(self._snapshot.profile_name, 40)} · {plain(self._snapshot.grid.mode, 12)}", "$text-muted"),
            ("   SIMULATED" if self._snapshot.simulated else "", "bold $warning"),
        )
        self.query_one("#title", Static).update(title)
        canvas = self.query_one("#trade-offs", Canvas)
        canvas.paint(trade_off_lines(self._snapshot, canvas.content_size.width, canvas.content_size.height))

    def action_close(self) -> None:
        """Go back."""
        self.dismiss(None)


def trade_off_lines(snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """Return the plot, the best cell in words, and the costs as bars. Pure."""
    if width < 1 or height < 1:
        return []
    said = best_in_words(snapshot.grid.cells, snapshot.terms) or "no cell has been measured yet"
    told = wrapped(said[0].upper() + said[1:], width, Ink.STRONG)
    below = [*told, [], *_cost_lines(snapshot, width, axis=height >= _ROOMY_ROWS)]
    plot = _plot(snapshot, width, max(6, height - len(below) - 2))
    return [*plot, *below][:height]


def _plot(snapshot: Snapshot, width: int, height: int) -> list[Line]:
    """Return what users get against what all get, under its legend."""
    known = [cell for cell in snapshot.grid.cells if cell.outcome is Outcome.OK and cell.tokens_per_s_per_user]
    front, best = pareto_front(known), best_cell(snapshot.grid.cells)
    others = [cell for cell in known if cell not in front]
    if best is not None and best in others:
        others.append(others.pop(others.index(best)))  # covers its neighbours
    shown = [_dot(cell, in_front=place >= len(others), best=best) for place, cell in enumerate([*others, *front])]
    legend: list[Line] = [
        [(_BEST, Ink.GOOD), (" best cell", Ink.DIM)],
        [(_FRONT, Ink.STEER), (" front: none is better in both", Ink.DIM)],
        [(_MET, Ink.OTHER), (" other cells", Ink.DIM)],
    ]
    if any(cell.slo_met is False for cell in known):
        legend.append([(_UNMET, Ink.OTHER), (" outside the SLO", Ink.DIM)])
    axes = cut([("↑ tokens/s total   → tokens/s per user", Ink.DIM)], width)
    picture = plotted.dots(shown, width, height - 1, path=Ink.STEER, joined=len(front))
    return [pack(legend, width), axes, *picture]


def _dot(cell: CellResult, *, in_front: bool, best: CellResult | None) -> Dot:
    ink = Ink.GOOD if cell is best else Ink.STEER if in_front else Ink.OTHER
    glyph = _BEST if cell is best else _UNMET if cell.slo_met is False else _FRONT if in_front else _MET
    name = f"{cell.users} × {formatting.count(cell.prompt_tokens)}" if in_front or cell is best else ""
    return Dot(cell.tokens_per_s_per_user or 0.0, cell.tokens_per_s_total or 0.0, glyph, ink, name)


def _cost_lines(snapshot: Snapshot, width: int, *, axis: bool) -> list[Line]:
    """Return the offers, cheapest first, with bars."""
    comparison = compare(snapshot.grid.cells, snapshot.terms, f"{snapshot.profile_name} (own)")
    lines: list[Line] = []
    if comparison.offers:
        heading = f"One million sentences of {TOKENS_PER_SENTENCE} tokens, own server at {comparison.cell}"
        lines = wrapped(heading, width, Ink.DIM)
        shown = [Bar(offer.cost, Ink.GOOD if offer.own else Ink.OTHER) for offer in comparison.offers]
        words = [_offer_words(offer) for offer in comparison.offers]
        beside = width_of(words[0])
        drawn = plotted.bars(shown, width - beside)
        if axis:
            words += [[(" " * beside, Ink.PLAIN)]] * (len(drawn) - len(words))
        for row, left in enumerate(words):
            lines.append(cut([*left, *(drawn[row] if row < len(drawn) else [])], width))
    for note in comparison.notes:
        lines += wrapped(note[0].upper() + note[1:], width, Ink.DIM)
    return lines


def _offer_words(offer: Offer) -> Line:
    name, cost = cells(offer.name, _NAME_CELLS), plain(money(offer.cost, offer.currency), _COST_CELLS)
    return [(name, Ink.PLAIN), (f"{cost:>{_COST_CELLS}}  ", Ink.STRONG)]
