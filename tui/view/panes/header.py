"""The run header, two lines: is it alive, and what was asked against what is delivered. A third line only for news."""

from __future__ import annotations

from dataclasses import dataclass

from tui.core.clock import NS_PER_S
from tui.engines.catalogue import title_of
from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import LoadStatus, Phase, Snapshot
from tui.view import formatting
from tui.view.widgets.bars import bar
from tui.view.widgets.lines import Ink, Line, cut, pack, plain, spread, width_of

_LEAST_LEFT = 15
"""Our name and eight cells of a title: rather than cut these, the walk and the clock are left out."""
_LEAST_SESSION = 20


@dataclass(frozen=True)
class ViewState:
    """What the operator's hands have done that the bench has not told of yet."""

    users: int | None = None
    """Wanted, when the bench has not confirmed it."""
    prompt_tokens: int | None = None
    held: bool = False
    read_only: bool = False
    replay: bool = False


def header_lines(snapshot: Snapshot, view_state: ViewState, width: int, *, single: bool) -> list[Line]:
    """Return two lines, or three when there is something to be told."""
    inner = max(1, width - 2)
    lines = [_identity(snapshot, view_state, inner), _asked(snapshot, view_state, inner, single=single)]
    news = _news(snapshot, inner)
    return [[(" ", Ink.PLAIN), *cut(line, inner)] for line in ([*lines, news] if news else lines)]


def news_of(snapshot: Snapshot) -> str:
    """Return what the third line tells, or nothing."""
    failure = snapshot.server.failure
    if failure is not None and snapshot.server.phase in (Phase.FAILED, Phase.RELAUNCHING):
        return f"server failed: {failure.summary}. {failure.advice}"
    if snapshot.load.users_before:
        back = f"the server died and is back; {users_in_words(snapshot.load.users_before)} asked before"
        return f"{back} (key line: users back). {snapshot.notice}"
    return snapshot.notice


def state_of(snapshot: Snapshot) -> str:
    """Return what the server is doing, in capitals; one that is ready and silent is not called ready."""
    server = snapshot.server
    if server.phase is Phase.READY and server.silent_s is not None:
        return f"NO TOKEN FOR {server.silent_s:.0f} s"
    return server.phase.value.upper()


def cards_of(snapshot: Snapshot) -> str:
    """Return the cards in words, or nothing where the title names them already."""
    title = snapshot.profile_title.replace("×", "x")
    return "" if snapshot.gpu_summary.replace("×", "x") in title else snapshot.gpu_summary


def _identity(snapshot: Snapshot, view_state: ViewState, width: int) -> Line:
    """Return who and what, and at the right in which state: of that the badges are never left out, the walk first."""
    walk = _walk(snapshot, bar_cells=0) if width < 100 else []
    clock: Line = [(f"  {formatting.hms((snapshot.at_ns - snapshot.started_at_ns) / NS_PER_S)}", Ink.PLAIN)]
    state, badges = _state(snapshot, view_state), _badges(snapshot, view_state)
    full = [*walk, ("  " if walk else "", Ink.PLAIN), *state, *clock, *badges]
    choices = (full, [*state, *clock, *badges], [*state, *badges])
    right = next((one for one in choices if width - width_of(one) - 2 >= _LEAST_LEFT), choices[-1])
    left = _subject(snapshot, max(0, width - width_of(right) - 2))
    if width >= 100 and snapshot.session_id:
        label = "   session "
        room = width - width_of(right) - len(label) - 2
        left = _subject(snapshot, max(0, room - min(len(snapshot.session_id), _LEAST_SESSION)))
        session = plain(snapshot.session_id, max(_LEAST_SESSION, room - width_of(left)))
        right = [*state, *clock, (label, Ink.DIM), (session, Ink.PLAIN), *badges]
    return spread(left, right, width)


def _state(snapshot: Snapshot, view_state: ViewState) -> Line:
    if view_state.replay:
        return [("REPLAY", Ink.STEER)]
    failed = snapshot.server.phase is Phase.FAILED
    ready = snapshot.server.phase is Phase.READY
    silent = ready and snapshot.server.silent_s is not None
    return [(state_of(snapshot), Ink.FAILURE if failed or silent else Ink.STRONG if ready else Ink.WARNING)]


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
    left: Line = [("vramp", Ink.STRONG), ("  ", Ink.PLAIN)]
    title = snapshot.profile_title or snapshot.profile_name
    engine = f"{title_of(snapshot.engine)} {snapshot.server.version}".strip()
    parts = [part for part in (title, cards_of(snapshot), engine) if part]
    for place, part in enumerate(parts):
        room_left = room - width_of(left)
        piece = plain(part, 60 if place else max(8, room_left))
        if place and width_of([(piece, Ink.DIM)]) + 3 > room_left:
            break
        left += [(" · " if place else "", Ink.FAINT), (piece, Ink.DIM if place else Ink.PLAIN)]
    return cut(left, room)


def _asked(snapshot: Snapshot, view_state: ViewState, width: int, *, single: bool) -> Line:
    load, figures = snapshot.load, snapshot.figures
    wanted = load.users_wanted if view_state.users is None else view_state.users
    prompt = load.prompt_tokens if view_state.prompt_tokens is None else view_state.prompt_tokens
    users: Line = [
        ("users ▸ ", Ink.STEER),
        (str(load.users_active).rjust(3), Ink.STRONG),
        (" of ", Ink.DIM),
        (str(wanted).rjust(3), Ink.STEER),
    ]
    narrow = width < 100
    parts = [users, _prompt(prompt)[: 2 if single and narrow else 3]]
    if not narrow:
        parts.append(_walk(snapshot, bar_cells=10))
    if single:
        parts += [
            [(formatting.per_second(figures.tokens_per_s_total, 5), Ink.STRONG), (" tok/s", Ink.DIM)],
            [(formatting.per_second(figures.tokens_per_s_per_user, 4), Ink.STRONG), (" each", Ink.DIM)],
            [("TTFT", Ink.DIM), (formatting.significant(figures.ttft_p50_s, 5), Ink.STRONG)],
            [("E2E", Ink.DIM), (formatting.significant(figures.e2e_p50_s, 5), Ink.STRONG)],
        ]
    return pack([*parts, *_delivered(snapshot)], width, gap=2 if narrow else 3)


def _prompt(prompt_tokens: int) -> Line:
    return [("prompt ▸ ", Ink.STEER), (str(prompt_tokens).rjust(4), Ink.STEER), (" tok", Ink.DIM)]


def _delivered(snapshot: Snapshot) -> list[Line]:
    load = snapshot.load
    share = load.client_ceiling_share
    ink = Ink.WARNING if share is not None and share >= 0.8 else Ink.PLAIN
    parts: list[Line] = [
        [("output ", Ink.DIM), (str(load.output_tokens).rjust(3), Ink.PLAIN)],
        _steadiness(load),
        [("delivered ", Ink.DIM), (formatting.fixed(load.delivered_concurrency, 5, 1), Ink.PLAIN)],
        [("client ", Ink.DIM), (formatting.percent(share), ink), (" % of its ceiling", Ink.DIM)],
    ]
    return parts


def _steadiness(load: LoadStatus) -> Line:
    """Return whether the window is settled, and how sure its figures are, or for how long the users have stood."""
    precision = load.precision
    if load.settling or (precision is not None and precision.state == "settling"):
        return [("settling", Ink.WARNING), ("     ", Ink.PLAIN)]
    drifts = precision is not None and precision.state == "drifting"
    word: Line = [("drifting ", Ink.WARNING) if drifts else ("steady ", Ink.DIM)]
    if precision is None or precision.error is None:
        return [*word, (formatting.ms(load.steady_for_s).rjust(5), Ink.PLAIN)]
    return [*word, (f"±{formatting.fixed(precision.error * 100, 0, 1)} %", Ink.PLAIN)]


def _walk(snapshot: Snapshot, bar_cells: int) -> Line:
    """Return what walks the grid by itself: the sweep with its time left, the ramp, or nothing."""
    sweep = snapshot.sweep
    if not sweep.running:
        return [("ramp ▸ on", Ink.STEER)] if snapshot.load.activity == "ramp" else []
    share = (sweep.cells_done + (sweep.cell_progress or 0.0)) / sweep.cells_total if sweep.cells_total else None
    if sweep.looks_for_edge:
        return [("edge ▸ ", Ink.STEER), (f"{sweep.cells_done}/{sweep.cells_total}", Ink.STRONG), (" sizes", Ink.DIM)]
    line: Line = [("sweep ▸ ", Ink.STEER), (f"{sweep.cells_done}/{sweep.cells_total} ", Ink.STRONG)]
    if bar_cells:
        line += [*bar(share, bar_cells, Ink.STEER), (" ", Ink.PLAIN)]
    return [*line, (formatting.rough(sweep.remaining_s), Ink.PLAIN), (" left", Ink.DIM)]


def _news(snapshot: Snapshot, width: int) -> Line:
    news = news_of(snapshot)
    if not news:
        return []
    failed = snapshot.server.phase is Phase.FAILED
    return [(plain(news, width), Ink.FAILURE if failed else Ink.WARNING)]
