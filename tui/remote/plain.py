"""`vramp attach --plain`: a session told in lines, for a screen reader, a log or a pipe. Each line is a whole sentence
or list with the newest word first; nothing is drawn over, and what has not changed is not said again.
"""

from __future__ import annotations

import asyncio
import math
import re
import signal
import time
from collections.abc import Iterator

from tui.core.durations import rough_duration
from tui.core.errors import ExitCode
from tui.core.outcome import Outcome
from tui.core.printing import narrate, tell
from tui.core.safe_text import safe_line
from tui.link.client import BenchLink
from tui.link.launcher import RunningBench
from tui.link.unheard import Unheard
from tui.metrics.cell import CellResult, requests_in_words, users_in_words
from tui.metrics.reading import Event
from tui.metrics.snapshot import Snapshot
from tui.remote.status import activity_in_words, figures_in_words, in_words, server_in_words

REFRESH_HZ = 2.0
MOST_LINES = 20
"""In one refresh; how many more there were is said."""
_LINE_CHARS = 400
_OF_A_CELL = re.compile(r"[\d,]+ users? x \d+ tokens: ")


def follow(bench: RunningBench, *, every_s: float) -> ExitCode:
    """Tell what happens in a session until it ends or Ctrl-C; every `every_s` seconds the figures (0 = never).

    Raises BenchLost when the session's bench was killed.
    """
    return asyncio.run(_follow(bench, every_s))


async def _follow(bench: RunningBench, every_s: float) -> ExitCode:
    link = await BenchLink.connect(bench.socket_path, read_only=True, refresh_hz=REFRESH_HZ)
    leave = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, leave.set)
    unheard = Unheard()
    try:
        telling = asyncio.create_task(_tell_all(link, every_s, unheard))
        leaving = asyncio.create_task(leave.wait())
        while not (await asyncio.wait({telling, leaving}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED))[0]:
            if news := unheard.news(time.monotonic()):
                tell(news)
        left = leave.is_set()
        telling.cancel()
        leaving.cancel()
        failed, _ = await asyncio.gather(telling, leaving, return_exceptions=True)
        if isinstance(failed, Exception):
            raise failed
        if left:
            narrate("left; the session goes on as before")
        else:
            farewell = await link.last_word()
            tell(f"the session is over: {link.why_gone}")
            return ExitCode.OK if farewell is not None and farewell.ok else ExitCode.UNEXPECTED
    finally:
        await link.close()
    return ExitCode.OK


async def _tell_all(link: BenchLink, every_s: float, unheard: Unheard) -> None:
    teller, told_s = Teller(), -math.inf
    async for snapshot in link.snapshots():
        unheard.heard()
        lines = list(teller.news(snapshot))
        if every_s and snapshot.load.users_wanted and time.monotonic() - told_s >= every_s:
            told_s = time.monotonic()
            lines.append(teller.figures(snapshot))
        if lines:
            tell("\n".join(lines))


class Teller:
    """Says of each snapshot what is new in it."""

    def __init__(self) -> None:
        self._seen: Snapshot | None = None
        self._events: set[tuple[int, str]] = set()
        self._cells: dict[tuple[int, int], CellResult] = {}

    def news(self, snapshot: Snapshot) -> Iterator[str]:
        """Yield lines on what has changed since the last snapshot; of the first, how things stand."""
        seen, self._seen = self._seen, snapshot
        events, cells = self._new_events(snapshot), self._new_cells(snapshot)
        if seen is None:
            yield from (safe_line(line, limit=_LINE_CHARS) for line in in_words(snapshot))
            return
        lines = [
            *_of_server(seen, snapshot),
            *_of_load(seen, snapshot),
            *(_of_cell(cell) for cell in cells),
            *(f"{event.level}: {event.text}" if event.level != "info" else event.text for event in events),
            *(text for text in (snapshot.notice, snapshot.unkept) if text and text not in (seen.notice, seen.unkept)),
        ]
        yield from (safe_line(line, limit=_LINE_CHARS) for line in lines[:MOST_LINES])
        if len(lines) > MOST_LINES:
            yield f"and {len(lines) - MOST_LINES} lines more"

    def figures(self, snapshot: Snapshot) -> str:
        """Return the figures of now, with who asks and since when the session runs."""
        load = snapshot.load
        since = rough_duration((snapshot.at_ns - snapshot.started_at_ns) / 1e9)
        who = f"{users_in_words(load.users_active)} x {load.prompt_tokens} tokens"
        return safe_line(f"{who}: {figures_in_words(snapshot)}; at {since}", limit=_LINE_CHARS)

    def _new_events(self, snapshot: Snapshot) -> list[Event]:
        known, self._events = self._events, {(event.at_ns, event.text) for event in snapshot.log}
        new = (event for event in snapshot.log if (event.at_ns, event.text) not in known)
        return [event for event in new if _is_told(event)]

    def _new_cells(self, snapshot: Snapshot) -> list[CellResult]:
        known = self._cells
        self._cells = {
            (cell.users, cell.prompt_tokens): cell for cell in snapshot.grid.cells if not cell.outcome.is_open
        }
        new = [cell for place, cell in self._cells.items() if known.get(place) != cell]
        return [cell for cell in new if cell.outcome is Outcome.OK]


def _is_told(event: Event) -> bool:
    """Say whether an event is worth a line: the server's own log only where it speaks of errors, and no cell twice."""
    if event.source == "server":
        return event.level == "error"
    return event.source != "cell" or event.level != "info" or not _OF_A_CELL.match(event.text)


def _of_server(seen: Snapshot, snapshot: Snapshot) -> Iterator[str]:
    words = server_in_words(snapshot)
    if words != server_in_words(seen) and not (seen.server.silent_s is not None and snapshot.server.silent_s):
        yield words


def _of_load(seen: Snapshot, snapshot: Snapshot) -> Iterator[str]:
    before, load = seen.load, snapshot.load
    if load.activity != before.activity:
        yield f"now: {activity_in_words(snapshot)}"
    if load.users_wanted != before.users_wanted:
        yield users_in_words(load.users_wanted)
    if load.prompt_tokens != before.prompt_tokens:
        yield f"{load.prompt_tokens} prompt tokens"


def _of_cell(cell: CellResult) -> str:
    parts = [
        "" if cell.time_to_resolve_s is None else f"{cell.time_to_resolve_s:.2f} s to resolve",
        "" if cell.tokens_per_s_total is None else f"{cell.tokens_per_s_total:,.0f} tokens/s",
        "" if cell.tokens_per_s_per_user is None else f"{cell.tokens_per_s_per_user:.1f} tokens/s per user",
        "" if cell.ttft_p50_s is None else f"{cell.ttft_p50_s:.2f} s to the first token (median)",
        f"{requests_in_words(cell.requests_failed)} failed" if cell.requests_failed else "",
        "SIMULATED" if cell.simulated else "",
    ]
    figures = ", ".join(part for part in parts if part)
    return f"cell {users_in_words(cell.users)} x {cell.prompt_tokens} tokens: {cell.outcome}: {figures}"
