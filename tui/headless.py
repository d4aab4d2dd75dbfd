"""`vramp run`: the sweep without the app. A front end like the view, over the same bench; computes no statistics.

stdout is data (the table, or JSON), stderr is narration (the progress bar).
"""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from tui import __version__
from tui.core.durations import rough_duration
from tui.core.errors import BenchLost, ExitCode, LaunchError, SessionError
from tui.core.outcome import Outcome
from tui.core.printing import ProgressLine, complain, narrate, tell
from tui.link.client import BenchLink
from tui.link.launcher import StartingBench
from tui.link.protocol import BenchSpec, Export, ReadResults, Results, StopBench
from tui.link.unheard import Unheard
from tui.metrics.best import best_cell
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.refused import why_nothing_was_asked
from tui.metrics.snapshot import Phase, Snapshot
from tui.metrics.window import TOKENS_WINDOW_S
from tui.profile.schema import Endpoint, Profile
from tui.session.export import export_session
from tui.session.grid_table import grid_table
from tui.session.judged import costs, session_beside
from tui.session.kept_profile import cells_of_sweep, edges_of
from tui.session.meta import SessionMeta
from tui.session.reader import SessionReader

REFRESH_HZ = 4.0
TAKEN_OVER_S = 5.0
"""How long a sweep that another front end has ended may take to begin again."""
STOP_TIMEOUT_S = 120.0
_GO_ON = "with --unkept go-on it is measured all the same, in memory, and --out keeps it elsewhere"


@dataclass(frozen=True, slots=True)
class Output:
    """What is to be said, and where."""

    as_json: bool = False
    quiet: bool = False
    out_dir: Path | None = None
    unkept: Literal["stop", "go-on"] = "stop"
    """What to do when the session file cannot be written: end the run, or go on in memory."""


@dataclass(slots=True)
class _Ending:
    """How a run ended, for the exit code."""

    interrupted: bool = False
    failure: str = ""
    """Why the server could not be launched or reached."""
    error: str = ""
    """What else went wrong."""
    lost: str = ""
    """Why the bench went away by itself."""
    unkept: str = ""
    """Why the session file does not hold everything."""
    results: Results | None = None
    """What the bench said was measured, at its end."""
    taken_over: str = ""
    """Who steers the session now, or has ended it."""
    exported: bool = False
    snapshot: Snapshot | None = None
    """The last one that was seen."""


def run(specs: list[BenchSpec], output: Output) -> ExitCode:
    """Measure the grid of each spec, one after the other; return the worst exit code."""
    worst = ExitCode.OK
    for spec in specs:
        code = asyncio.run(_run_one(spec, output))
        worst = max(worst, code, key=_FROM_BEST_TO_WORST.index)
        if code is ExitCode.INTERRUPTED:
            break
    return worst


_FROM_BEST_TO_WORST = [
    ExitCode.OK,
    ExitCode.CLIENT_LIMIT,
    ExitCode.SERVER_UNAVAILABLE,
    ExitCode.USAGE,
    ExitCode.UNEXPECTED,
    ExitCode.INTERRUPTED,
]


async def _run_one(spec: BenchSpec, output: Output) -> ExitCode:
    spec = msgspec.structs.replace(spec, stop_when_unkept=output.unkept == "stop")
    ending = _Ending()
    narration = _Narration(quiet=output.quiet)
    interrupt = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, interrupt.set)
    link = await BenchLink.connect(await StartingBench(spec).listening(), refresh_hz=REFRESH_HZ)
    try:
        following = asyncio.create_task(_follow(link, narration, ending))
        waiting = asyncio.create_task(interrupt.wait())
        while not (await asyncio.wait({following, waiting}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED))[0]:
            narration.wait_for_word(time.monotonic())
        if interrupt.is_set():
            ending.interrupted = True
            narration.say("interrupted; what was measured is kept")
        await _stop(link, ending, output)
        following.cancel()
        waiting.cancel()
        failed, _ = await asyncio.gather(following, waiting, return_exceptions=True)
        if isinstance(failed, Exception):
            raise failed
    finally:
        narration.close()
        await link.close()
    return _report(spec, output, ending)


async def _follow(link: BenchLink, narration: _Narration, ending: _Ending) -> None:
    """Look on until the sweep is through or the server has failed for good."""
    taken_over_at_s: float | None = None
    async for snapshot in link.snapshots():
        narration.show(snapshot)
        ending.snapshot = snapshot
        by = snapshot.sweep.taken_over or snapshot.sweep.stopped
        if not by:
            taken_over_at_s = None
        elif taken_over_at_s is None:
            taken_over_at_s = time.monotonic()
            narration.say(f"{by}; the run goes on if the sweep does")
        elif time.monotonic() - taken_over_at_s > TAKEN_OVER_S:
            ending.taken_over = by
            return
        if snapshot.sweep.finished:
            return
        if snapshot.sweep.failed:
            ending.error = snapshot.sweep.failed
            if snapshot.unkept:
                ending.error += f"; {_GO_ON}"
            return
        if snapshot.server.phase is Phase.FAILED and snapshot.load.activity == "idle":
            failure = snapshot.server.failure
            parts = (failure.summary, failure.line) if failure else ("the server failed",)
            ending.failure = ": ".join(part for part in parts if part)
            if failure and failure.advice:
                ending.failure += f"\n{failure.advice}"
            return
    await _take_farewell(link, ending)


async def _take_farewell(link: BenchLink, ending: _Ending) -> None:
    """Take in why a bench ended that we did not end, and what it says was measured."""
    farewell, seen = await link.last_word(), ending.snapshot
    if farewell is None or not farewell.ok:
        ending.lost = link.why_gone
        return
    ending.results = farewell.results
    ending.unkept = seen.unkept if seen is not None else ""
    if seen is None or not seen.sweep.finished:
        ending.taken_over = farewell.message


async def _stop(link: BenchLink, ending: _Ending, output: Output) -> None:
    """Let the bench end and tell what it measured; what no file holds is exported before it goes.

    A bench that another front end steers is left to that one.
    """
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            if output.out_dir is not None and ending.snapshot is not None and ending.snapshot.unkept:
                reply = await link.request(Export(str(output.out_dir.absolute())))
                ending.exported = reply.ok
                ending.error = ending.error or ("" if reply.ok else reply.message)
            if ending.taken_over and link.farewell is None:
                ending.results = (await link.request(ReadResults())).results
                return
            reply = await link.request(StopBench())
            if reply.results is None:  # somebody else has ended it already
                await _take_farewell(link, ending)
                return
            ending.results = reply.results
            if reply.ok:
                ending.unkept = reply.message
            else:
                ending.error = ending.error or reply.message
    except BenchLost:
        await _take_farewell(link, ending)
    except TimeoutError:
        ending.lost = f"it did not stop within {STOP_TIMEOUT_S:g} s"


def _report(spec: BenchSpec, output: Output, ending: _Ending) -> ExitCode:
    session_file = Path(spec.session_file)
    results = ending.results or _results_without_bench(session_file, ending.snapshot)
    if output.as_json:
        tell(msgspec.json.encode(_as_json(spec, results)).decode())
    else:
        edges = results.edges if spec.start == "edge" else []
        tell(grid_table(results.meta, results.cells, session_beside(results.meta), edges))
    if output.out_dir is not None and not ending.exported:
        export_session(session_file, output.out_dir)
    if not output.quiet:
        narrate(f"session {spec.session_id}: {ending.unkept or session_file}")
    endpoint = Profile.model_validate_json(spec.profile_json).load.endpoint
    return _exit_code(ending, output, results.cells, endpoint)


def _results_without_bench(session_file: Path, snapshot: Snapshot | None) -> Results:
    """Return what a bench that died had measured: as its file has it, else as it was last seen."""
    try:
        with SessionReader(session_file) as reader:
            return Results(reader.meta, cells_of_sweep(reader), edges_of(reader))
    except SessionError:
        if snapshot is None:
            raise
    meta = SessionMeta(
        session_id=snapshot.session_id,
        started_at=snapshot.started_at,
        started_at_ns=snapshot.started_at_ns,
        vramp_version=__version__,
        profile_name=snapshot.profile_name,
        profile_title=snapshot.profile_title,
        engine=snapshot.engine,
        simulated=snapshot.simulated,
        time_scale=snapshot.time_scale,
    )
    return Results(meta, [cell for cell in snapshot.grid.cells if not cell.outcome.is_open], snapshot.edges)


def _as_json(spec: BenchSpec, results: Results) -> dict[str, object]:
    best = best_cell(results.cells)
    terms = session_beside(results.meta).terms
    return {
        "session": spec.session_id,
        "file": spec.session_file,
        "simulated": results.meta.simulated,
        "time_scale": results.meta.time_scale,
        "profile": results.meta.profile_name,
        "cells": results.cells,
        "edges": results.edges,
        "best_cell": None if best is None else {"users": best.users, "prompt_tokens": best.prompt_tokens},
        "slo": terms.slo,
        "million_sentences": None if terms.price_per_hour is None else costs(results.meta, results.cells, terms),
    }


def _exit_code(ending: _Ending, output: Output, cells: list[CellResult], endpoint: Endpoint) -> ExitCode:
    if ending.taken_over:
        complain(f"{ending.taken_over}; the table is what was measured until then")
        return ExitCode.INTERRUPTED
    if ending.interrupted:
        return ExitCode.INTERRUPTED
    if ending.failure:
        complain(ending.failure)
        return LaunchError.exit_code
    if ending.error:
        complain(ending.error)
        return ExitCode.UNEXPECTED
    if ending.unkept and output.unkept == "stop":
        complain(f"{ending.unkept}; {_GO_ON}")
        return ExitCode.UNEXPECTED
    if ending.lost:
        complain(f"{ending.lost}; what was measured is in the session")
        return ExitCode.UNEXPECTED
    if why := why_nothing_was_asked(cells, endpoint):
        complain(why)
        return ExitCode.UNEXPECTED
    if any(cell.outcome is Outcome.CLIENT_LIMIT for cell in cells):
        complain("the client was the limit in some cells; they say nothing of the server")
        return ExitCode.CLIENT_LIMIT
    return ExitCode.OK


_NARRATED = frozenset({"session", "engine", "cell", "load"})
"""Whose events are told on stderr; of all but the session only what is amiss, and where there is no bar, all cells."""


_WIDE = 80
"""From so many columns on the bar has its full length."""


class _Narration:
    """The progress bar on stderr; a plain line per cell where stderr is no terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar = ProgressLine(silent=quiet)
        self._told = 0
        self._phase: Phase | None = None
        self._heard: set[tuple[int, str]] = set()
        self._unheard = Unheard()

    def show(self, snapshot: Snapshot) -> None:
        """Tell how far it is, and what became of the session file; errors even when quiet."""
        self._unheard.heard()
        for event in snapshot.log:
            if event.source in _NARRATED and (event.at_ns, event.text) not in self._heard:
                self._heard.add((event.at_ns, event.text))
                if event.source == "session":
                    self.say(event.text, always=event.level == "error")
                elif event.level != "info" or (event.source == "cell" and not self._bar.is_drawn):
                    self.say(event.text)
        if self._quiet:
            return
        if snapshot.server.phase is not self._phase:
            self._phase = snapshot.server.phase
            self.say(f"{snapshot.profile_name}: server {self._phase}" + (" SIMULATED" if snapshot.simulated else ""))
        if self._bar.is_drawn:
            parts = [_bar(snapshot, 20 if self._bar.columns >= _WIDE else 8), *_progress(snapshot), *_now(snapshot)]
            self._bar.draw("  ".join(parts))
        elif snapshot.sweep.cells_done > self._told:
            self._told = snapshot.sweep.cells_done
            self.say("  ".join(_progress(snapshot)))

    def say(self, text: str, *, always: bool = False) -> None:
        """Print a line above the bar."""
        if always or not self._quiet:
            self._bar.draw("")
            narrate(text)

    def wait_for_word(self, now_s: float) -> None:
        """Take it that nothing has come until now, by time.monotonic: tell it when that is long, even when quiet."""
        if news := self._unheard.news(now_s):
            self.say(news, always=True)

    def close(self) -> None:
        """Take the bar away."""
        self._bar.draw("")


def _bar(snapshot: Snapshot, cells: int) -> str:
    sweep = snapshot.sweep
    filled = round(cells * (sweep.cells_done + (sweep.cell_progress or 0.0)) / max(sweep.cells_total, 1))
    return f"[{'#' * filled}{'.' * (cells - filled)}]"


def _progress(snapshot: Snapshot) -> list[str]:
    """Return how far it is, the most needed first: a narrow terminal shows what fits."""
    sweep = snapshot.sweep
    parts = [f"{sweep.cells_done}/{sweep.cells_total} {'sizes' if sweep.looks_for_edge else 'cells'}"]
    if snapshot.simulated:
        parts.append("SIMULATED")
    if snapshot.server.silent_s is not None:
        parts.append(f"no token for {snapshot.server.silent_s:.0f} s")
    if sweep.remaining_s is not None:
        parts.append(f"{rough_duration(sweep.remaining_s)} left")
    return parts


def _now(snapshot: Snapshot) -> list[str]:
    """Return what is asked at this moment. It changes with each: a line of its own for each cell would tell it late."""
    grid = snapshot.grid
    parts = []
    if grid.current_users is not None:
        parts.append(f"{users_in_words(grid.current_users)} x {grid.current_prompt_tokens} tokens")
    total = snapshot.figures.tokens_per_s_total
    if total is not None:
        # Of the window of the live figures, in which short cells are several.
        parts.append(f"{total:.0f} tokens/s over {TOKENS_WINDOW_S} s")
    return parts
