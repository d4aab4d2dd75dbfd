"""The first lines: who is measured and whether it is alive; where there are no tiles, the figures below that."""

from __future__ import annotations

from dataclasses import dataclass

from tui.core.clock import NS_PER_S
from tui.engines.catalogue import title_of
from tui.metrics.snapshot import Snapshot
from tui.profile.overrides import arguments_in_words
from tui.view import formatting
from tui.view.panes.state_words import cards_of, pill
from tui.view.widgets.bars import bar
from tui.view.widgets.lines import Ink, Line, cut, pack, plain, spread, width_of

_LEAST_LEFT = 15
"""Our name and eight cells of a title: rather than cut these, the walk and the clock are left out."""
_NARROW = 100


@dataclass(frozen=True)
class ViewState:
    """What the operator's hands have done that the bench has not told of yet."""

    users: int | None = None
    """Wanted, when the bench has not confirmed it."""
    prompt_tokens: int | None = None
    held: bool = False
    read_only: bool = False
    replay: bool = False
    unheard_s: float | None = None
    """For how long nothing came from the bench, once that is too long; None while all is well."""


def header_lines(snapshot: Snapshot, view_state: ViewState, width: int, *, figures: bool) -> list[Line]:
    """Return the line of identity, and with `figures` that of what is asked for and what comes of it."""
    inner = max(1, width - 2)
    lines = [_identity(snapshot, view_state, inner)]
    if figures:
        lines.append(_figures(snapshot, view_state, inner))
    return [[(" ", Ink.PLAIN), *cut(line, inner)] for line in lines]


def users_of(snapshot: Snapshot, view_state: ViewState) -> tuple[int, int]:
    """Return how many users there are, and how many are wanted."""
    load = snapshot.load
    return load.users_active, load.users_wanted if view_state.users is None else view_state.users


def prompt_of(snapshot: Snapshot, view_state: ViewState) -> int:
    """Return the prompt size that is wanted."""
    return snapshot.load.prompt_tokens if view_state.prompt_tokens is None else view_state.prompt_tokens


def _identity(snapshot: Snapshot, view_state: ViewState, width: int) -> Line:
    """Return who and what, and at the right in which state: of that the badges are never left out, the walk first."""
    walk = _walk(snapshot, bar_cells=10 if width >= _NARROW else 0)
    clock: Line = [(f"  {formatting.hms((snapshot.at_ns - snapshot.started_at_ns) / NS_PER_S)}", Ink.DIM)]
    badges = _badges(snapshot, view_state)
    long, short = (
        [pill(snapshot, replay=view_state.replay, short=short, unheard_s=view_state.unheard_s)]
        for short in (False, True)
    )
    choices: list[Line] = [
        [*long, *clock, *walk, *badges],
        [*long, *clock, *badges],
        [*short, *clock, *badges],
        [*short, *badges],
    ]
    right = next((one for one in choices if width - width_of(one) - 2 >= _LEAST_LEFT), choices[-1])
    return spread(_subject(snapshot, max(0, width - width_of(right) - 2)), right, width)


def _badges(snapshot: Snapshot, view_state: ViewState) -> Line:
    scale = f" × {snapshot.time_scale:g}" if snapshot.time_scale != 1 else ""
    shown = (
        ("HELD", view_state.held),
        ("READ-ONLY", view_state.read_only and not view_state.replay),
        ("SIMULATED" + scale, snapshot.simulated),
    )
    line: Line = []
    for word, is_so in shown:
        if is_so:
            line += [("  ", Ink.PLAIN), (f" {word} ", Ink.BADGE)]
    return line


def _subject(snapshot: Snapshot, room: int) -> Line:
    """Return our name and what is measured, in at most `room` cells: whole parts but for the title."""
    left: Line = [("vramp", Ink.STEER), ("  ", Ink.PLAIN)]
    title = snapshot.profile_title or snapshot.profile_name
    engine = f"{title_of(snapshot.engine)} {snapshot.server.version}".strip()
    overridden = arguments_in_words(snapshot.server.overrides)
    parts = [part for part in (title, overridden, cards_of(snapshot), engine) if part]
    for place, part in enumerate(parts):
        room_left = room - width_of(left)
        piece = plain(part, 60 if place else max(8, room_left))
        if place and width_of([(piece, Ink.DIM)]) + 3 > room_left:
            break
        left += [(" · " if place else "", Ink.FAINT), (piece, Ink.DIM if place else Ink.STRONG)]
    return cut(left, room)


def _figures(snapshot: Snapshot, view_state: ViewState, width: int) -> Line:
    """Return the second line of a small screen: the most asked for first."""
    figures = snapshot.figures
    return pack(
        [
            users_line(snapshot, view_state),
            [(str(prompt_of(snapshot, view_state)).rjust(4), Ink.STEER), (" tok", Ink.DIM)],
            [(formatting.per_second(figures.tokens_per_s_total, 5), Ink.TOTAL), (" tok/s", Ink.DIM)],
            [(formatting.per_second(figures.tokens_per_s_per_user, 4), Ink.EACH), (" each", Ink.DIM)],
            [("TTFT", Ink.DIM), (formatting.significant(figures.ttft_p50_s, 5), Ink.TTFT)],
            [("E2E", Ink.DIM), (formatting.significant(figures.e2e_p50_s, 5), Ink.E2E)],
            [
                ("generator ", Ink.DIM),
                (formatting.percent(snapshot.load.client_ceiling_share), Ink.PLAIN),
                (" % busy", Ink.DIM),
            ],
        ],
        width,
        gap=2,
    )


def users_line(snapshot: Snapshot, view_state: ViewState) -> Line:
    """Return `64 users` or `1 user`, and `24 of 32 users` only while they differ; always of one width."""
    active, wanted = users_of(snapshot, view_state)
    unit = " user " if wanted == 1 else " users"
    if active == wanted:
        return [(str(active).rjust(10), Ink.USERS), (unit, Ink.DIM)]
    return [
        (str(active).rjust(3), Ink.USERS),
        (" of ", Ink.DIM),
        (str(wanted).rjust(3), Ink.STEER),
        (unit, Ink.DIM),
    ]


def _walk(snapshot: Snapshot, bar_cells: int) -> Line:
    """Return what walks the grid by itself: the sweep with its time left, the ramp, or nothing."""
    sweep = snapshot.sweep
    if not sweep.running:
        return [("  ramp", Ink.STEER)] if snapshot.load.activity == "ramp" else []
    share = (sweep.cells_done + (sweep.cell_progress or 0.0)) / sweep.cells_total if sweep.cells_total else None
    if sweep.looks_for_edge:
        return [("  edge ", Ink.DIM), (f"{sweep.cells_done}/{sweep.cells_total}", Ink.STRONG), (" sizes", Ink.DIM)]
    line: Line = [("  sweep ", Ink.DIM), (f"{sweep.cells_done}/{sweep.cells_total} ", Ink.STRONG)]
    if bar_cells:
        line += [*bar(share, bar_cells, Ink.STEER), (" ", Ink.PLAIN)]
    return [*line, (formatting.rough(sweep.remaining_s), Ink.PLAIN), (" left", Ink.DIM)]
