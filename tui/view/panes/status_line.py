"""The line above the keys: what was just said, else what is to be told as long as it is so, else how the run stands."""

from __future__ import annotations

from dataclasses import dataclass

from tui.metrics import hosts
from tui.metrics.snapshot import LoadStatus, Phase, Snapshot
from tui.view import formatting
from tui.view.panes.header import ViewState, prompt_of, users_line
from tui.view.panes.state_words import news_of
from tui.view.widgets.lines import Ink, Line, cut, pack, plain, spread, width_of

BUSY = 0.8
"""From this share of what it can carry on, the load generator's own part is a warning."""


@dataclass(frozen=True)
class Said:
    """An answer to the operator, shown for a while."""

    text: str
    severity: str = "information"
    """information, warning, error."""


def status_line(snapshot: Snapshot, view_state: ViewState, said: Said | None, width: int) -> Line:
    """Return the line."""
    inner = max(1, width - 2)
    line = _message(snapshot, view_state, said, inner) or _standing(snapshot, view_state, inner)
    return [(" ", Ink.PLAIN), *cut(line, inner)]


def has_message(snapshot: Snapshot, said: Said | None) -> bool:
    """Say whether the line has more to say than how the run stands."""
    return said is not None or bool(news_of(snapshot))


def _message(snapshot: Snapshot, view_state: ViewState, said: Said | None, width: int) -> Line:
    if said is not None:
        ink = {"warning": Ink.WARNING, "error": Ink.FAILURE}.get(said.severity, Ink.STRONG)
        return [("▸ ", Ink.STEER), (plain(said.text, max(1, width - 2)), ink)]
    news = news_of(snapshot)
    if not news:
        return []
    if snapshot.server.phase is not Phase.READY:
        ink = Ink.FAILURE if snapshot.server.phase is Phase.FAILED else Ink.WARNING
        return [("▲ ", Ink.WARNING), (plain(news, max(1, width - 2)), ink)]
    # A run that goes on is steered beside its news.
    asked = pack(_asked(snapshot, view_state), width)
    room = max(1, width - width_of(asked) - 5)
    return spread([("▲ ", Ink.WARNING), (plain(news, room), Ink.WARNING)], asked, width) if room >= 30 else asked


def _steadiness(load: LoadStatus) -> Line:
    """Return whether the window is settled, and how sure its figures are, or for how long the users have stood."""
    precision = load.precision
    if load.settling or (precision is not None and precision.state == "settling"):
        return [("settling", Ink.WARNING), ("         ", Ink.PLAIN)]
    unchanged = formatting.rough(load.steady_for_s).rjust(7)
    if precision is None or precision.error is None:
        word = "drifting  " if precision is not None and precision.state == "drifting" else "unchanged "
        return [(word, Ink.WARNING if word.startswith("d") else Ink.DIM), (unchanged, Ink.PLAIN)]
    sure = formatting.within(precision.error).rjust(7)
    drifts = precision.state == "drifting"
    return [("drifting  " if drifts else "steady    ", Ink.WARNING if drifts else Ink.DIM), (sure, Ink.PLAIN)]


def _asked(snapshot: Snapshot, view_state: ViewState) -> list[Line]:
    prompt = str(prompt_of(snapshot, view_state)).rjust(4)
    return [users_line(snapshot, view_state), [("prompt ", Ink.DIM), (prompt, Ink.STEER), (" tok", Ink.DIM)]]


def _standing(snapshot: Snapshot, view_state: ViewState, width: int) -> Line:
    """Return what was asked for and what is delivered of it."""
    load = snapshot.load
    share = load.client_ceiling_share
    busy = Ink.WARNING if share is not None and share >= BUSY else Ink.PLAIN
    parts: list[Line] = [
        *_asked(snapshot, view_state),
        [("output ", Ink.DIM), (str(load.output_tokens).rjust(3), Ink.PLAIN), (" tok", Ink.DIM)],
        _steadiness(load),
        [("delivered ", Ink.DIM), (formatting.fixed(load.delivered_concurrency, 5, 1), Ink.PLAIN)],
        [("load generator ", Ink.DIM), (formatting.percent(share), busy), (" % busy", Ink.DIM)],
    ]
    if load.hosts:
        parts.append([(plain(hosts.in_words(load.hosts), 60), Ink.DIM)])
    left = pack(parts, width)
    session = plain(snapshot.session_id, 40)
    if session and width - width_of(left) >= len(session) + 11:
        return spread(left, [("session ", Ink.DIM), (session, Ink.PLAIN)], width)
    return left
