"""What a session is doing, in a pill of few words: a mark, a state, and what there is to know of it. Pure."""

from __future__ import annotations

from tui.metrics import hosts
from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import Phase, Snapshot
from tui.view.widgets.lines import Ink, Span, plain

_MARKS = {
    Phase.LAUNCHING: ("◐", Ink.PILL_WARNING),
    Phase.READY: ("●", Ink.PILL_GOOD),
    Phase.FAILED: ("✕", Ink.PILL_FAILURE),
    Phase.RELAUNCHING: ("◐", Ink.PILL_WARNING),
    Phase.STOPPING: ("◐", Ink.PILL_WARNING),
    Phase.ENDED: ("■", Ink.PILL_QUIET),
}


def pill(snapshot: Snapshot, *, replay: bool = False, short: bool = False, unheard_s: float | None = None) -> Span:
    """Return the pill; `short` leaves out all but the state. What has not been heard of for so long is not known."""
    if replay:
        return " ▸ REPLAY ", Ink.PILL_QUIET
    if unheard_s is not None and snapshot.server.phase is not Phase.ENDED:
        return f" ▲ NO WORD FOR {unheard_s:.0f} s ", Ink.PILL_FAILURE
    server = snapshot.server
    if server.phase is Phase.READY and server.silent_s is not None:
        return f" ▲ NO TOKEN FOR {server.silent_s:.0f} s ", Ink.PILL_FAILURE
    mark, ink = _MARKS[server.phase]
    more = "" if short else _more(snapshot)
    return f" {mark} {server.phase.value.upper()}{' ' + more if more else ''} ", ink


def _more(snapshot: Snapshot) -> str:
    """Return what a state calls for: why a server is launched again, how far a launch is."""
    server = snapshot.server
    if server.phase is Phase.LAUNCHING:
        stage = next((one for one in server.stages if one.state == "current"), None)
        if stage is None:
            return ""
        share = "" if stage.progress is None else f" {stage.progress * 100:.0f} %"
        return plain(stage.name, 16) + share
    if server.phase is not Phase.RELAUNCHING:
        return ""
    death = snapshot.deaths[-1] if snapshot.deaths else None
    if death is None:
        return ""
    before = next((point for point in reversed(snapshot.series) if point.at_ns <= death.at_ns), None)
    where = f" at {before.users_wanted} × {before.prompt_tokens}" if before is not None else ""
    return f"after {'OOM' if death.outcome.is_oom else plain(death.outcome.value, 14)}{where}"


def news_of(snapshot: Snapshot) -> str:
    """Return what is to be told for as long as it is so, or nothing."""
    failure = snapshot.server.failure
    if failure is not None and snapshot.server.phase in (Phase.FAILED, Phase.RELAUNCHING):
        return f"server failed: {failure.summary}. {failure.advice}"
    if snapshot.load.users_before:
        back = f"the server died and is back; {users_in_words(snapshot.load.users_before)} asked before"
        return f"{back} (key line: users back). {snapshot.notice}"
    return snapshot.notice or hosts.news(snapshot.load.hosts)


def cards_of(snapshot: Snapshot) -> str:
    """Return the cards in words, or nothing where the title names them already."""
    title = snapshot.profile_title.replace("×", "x")
    return "" if snapshot.gpu_summary.replace("×", "x") in title else snapshot.gpu_summary
