"""The bench: one session from the launch of its server to the closing of its file. Runs as a process of its own.

It ends when it is told to (StopBench, SIGTERM, SIGINT); when the last front end has left without detaching and the
session is not to linger; when whoever started it is gone before a front end came; and when it lingers with nothing to
do and nobody looks at it for `unattended_s`. Whatever ends it, the load is cut, the server's tree is gone, and the file
is closed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tui import __version__
from tui.bench.attendance import FIRST_FRONT_END_S, Attendance
from tui.bench.clock import SessionClock
from tui.bench.commands import CommandExecutor, in_words
from tui.bench.environment import environment_of, gpu_summary_of
from tui.bench.open_export import export_now
from tui.bench.scheduler import WALKS, Scheduler
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.bench.state import load_status, server_status
from tui.bench.testbed import Testbed
from tui.core.clock import utc_now
from tui.core.errors import LaunchError
from tui.core.known_secrets import learn
from tui.core.paths import socket_of
from tui.core.tasks import background, end_task, reason_of
from tui.engines.base import ServerMetrics
from tui.engines.catalogue import engine_of
from tui.engines.command_line import command_line
from tui.link.protocol import FAREWELL, BenchSpec, Command, Reply, Results, StopBench, StopSweep
from tui.link.server import FRONT_END, LINK_TASK, LinkServer
from tui.metrics.boundary import edges, must_queue
from tui.metrics.cell import CellResult
from tui.metrics.failure_outcome import evidence_of, outcome_of
from tui.metrics.snapshot import Snapshot
from tui.metrics.window import LiveWindow
from tui.profile.schema import Profile
from tui.session.meta import SessionMeta
from tui.session.reader import SessionReader
from tui.session.references import beside_of
from tui.session.store import SessionWriter

_log = logging.getLogger(__name__)

TICK_S = 1.0
SCRAPE_TIMEOUT_S = 0.5
GIVE_UP_TASK = "give-up"


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What a resumed session holds already: nothing of it is measured or numbered again."""

    cells: list[CellResult] = field(default_factory=list)
    last_tag: int = 0
    last_request_id: int = 0
    last_launch: int = 0

    @classmethod
    def of(cls, session_file: Path) -> _Earlier:
        with SessionReader(session_file) as reader:
            kept = reader.cells()
            cells = [cell for cell in kept if cell.outcome.is_known_end]
            last_launch = max((cell.conditions.launch for cell in kept if cell.conditions is not None), default=0)
            return cls(cells, reader.last_tag(), reader.last_request_id(), last_launch)


class Bench:
    """Wires one session together and keeps it going."""

    def __init__(self, spec: BenchSpec) -> None:
        self._spec = spec
        self.profile = Profile.model_validate_json(spec.profile_json)
        if self.profile.attach is not None and self.profile.attach.api_key_env:
            learn(os.environ.get(self.profile.attach.api_key_env))
        self.clock = SessionClock(spec.time_scale)
        started_at = utc_now()
        earlier = _Earlier.of(Path(spec.session_file)) if spec.resume else _Earlier()
        self.snapshot_builder = _snapshot_builder_of(spec, self.profile, self.clock, started_at)
        self._meta = _meta_of(spec, self.profile, self.clock, started_at)
        self._loop = asyncio.get_running_loop()
        self.writer = SessionWriter(Path(spec.session_file), self._meta, resume=spec.resume, on_event=self._hear_writer)
        path = Path(spec.profile_path) if spec.profile_path else None
        self.testbed = Testbed(self.profile, path, self.clock, self.writer, self.snapshot_builder)
        if spec.overrides:
            self.testbed.override(spec.overrides)
        self.testbed.number_from(earlier.last_tag, earlier.last_request_id, earlier.last_launch)
        self.scheduler = Scheduler(self.testbed, users_return=spec.users_return)
        self.scheduler.restore(earlier.cells)
        self._attendance = Attendance(self.end, lingers=spec.linger, unattended_s=spec.unattended_s)
        self.ended = asyncio.Event()
        self.how_it_ended = "stopped"
        self._link = LinkServer(
            socket_of(spec.session_id),
            snapshot=self.snapshot,
            execute=self._execute,
            on_empty=self._attendance.last_left,
        )
        self._executor = CommandExecutor(self)
        self._closed = False
        self._launching: asyncio.Task[None] | None = None
        self._giving_up: asyncio.Task[None] | None = None
        self.fault = ""
        """What of our own has failed, in words; empty = nothing."""
        self._cut_short = False
        """Whether a fault of our own ended the session."""
        self._last_words = ""

    async def run(self, on_ready: asyncio.Event) -> None:
        """Run the session to its end; `on_ready` is set once front ends can connect."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end, f"signal {number.name}")
        loop.set_exception_handler(self._on_fault)
        await self._link.open()
        on_ready.set()
        loop.call_later(FIRST_FRONT_END_S, self._attendance.check_first, self._link)
        self._tell_beside()
        self.launch()
        ticking = background(self._tick(), name="tick")
        try:
            await self.ended.wait()
        except BaseException as error:
            self._end_by(reason_of(error))
            raise
        finally:
            await end_task(ticking)
            await self.close(self.how_it_ended)
            await self._link.close(self._farewell())

    def _tell_beside(self) -> None:
        """Say what is wrong with what the cells are laid beside, and how its conditions differ."""
        terms, reference = self.snapshot_builder.beside
        for note in terms.notes:
            self.testbed.say("cell", note, level="warning")
        if reference is None:
            return
        if reference.problem:
            self.testbed.say("cell", reference.problem, level="warning")
        elif reference.differs:
            self.testbed.say("cell", f"beside {reference.words} conditions differ: {'; '.join(reference.differs)}")

    def end(self, how: str) -> None:
        """Let the session end; returns at once."""
        self.how_it_ended = how
        self.ended.set()

    def _farewell(self) -> Reply:
        """Return what front ends are told that have not ended the session themselves."""
        if self._cut_short:
            return Reply(FAREWELL, False, self.how_it_ended)
        return Reply(FAREWELL, True, self._last_words or f"the session was ended ({self.how_it_ended})", self.results)

    async def close(self, how: str) -> None:
        """Cut the load, stop the server, close the file, which says `how` it ended; does nothing the second time."""
        if self._closed:
            return
        self._closed = True
        self._complete_meta()
        await self._stop_launching()
        if self._giving_up is not None:
            await asyncio.gather(self._giving_up, return_exceptions=True)
        await self.scheduler.close()
        await self.testbed.close()
        await asyncio.to_thread(self.writer.close, how)

    def _complete_meta(self) -> None:
        """Say in the session what only its run could tell: where token times came from, what GPU readings lacked."""
        stamps = self.testbed.progress.stamps if self.testbed.progress else ""
        self.writer.set_meta(
            msgspec.structs.replace(
                self._meta, stamps=stamps, gpu_note=self.testbed.gpu_note, simulated=self.snapshot_builder.simulated
            )
        )

    async def export(self, folder: Path | None) -> Path:
        """Write the session as TOML and CSV into `folder`, or beside its file; return where. Raises VrampError."""
        # A process of its own would be cleaner for the loop, but an export is rare and this thread yields to it.
        return await asyncio.to_thread(export_now, self.writer, folder)

    @property
    def results(self) -> Results:
        """What was measured, from memory: no file is needed for it."""
        simulated = self.testbed.simulated
        cells = [msgspec.structs.replace(cell, simulated=simulated) for cell in self.scheduler.results]
        return Results(self.writer.meta, cells, self.scheduler.edges)

    @property
    def unkept(self) -> str:
        """Why the session file does not hold everything; empty = it does."""
        return self.writer.failure

    def _hear_writer(self, text: str, level: str) -> None:
        """Let the operator know at once what the writer's thread says of the session file."""
        try:
            self._loop.call_soon_threadsafe(self._tell_of_file, text, level)
        except RuntimeError:
            pass  # the loop has ended, and all front ends with it

    def _tell_of_file(self, text: str, level: str) -> None:
        self.testbed.say("session", text, level=level)
        if level == "error" and self._spec.stop_when_unkept and not self._closed and self._giving_up is None:
            why = "the run was ended, since its session cannot be kept"
            self._giving_up = background(self._give_up(why), name=GIVE_UP_TASK)

    async def _give_up(self, why: str) -> None:
        await self._stop_launching()
        await self.scheduler.give_up(why)

    # -- faults ------------------------------------------------------------------------------------------------------

    def _on_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Take what ended a task, a thread or a callback: the first ends what is under way, with its reason."""
        loop.default_exception_handler(context)  # the bench's own log has the traceback
        error = context.get("exception")
        is_a_peers = isinstance(error, OSError) and "transport" in context  # a front end that was killed, say
        if error is None or is_a_peers or self._closed:
            return
        task = context.get("task")
        name = task.get_name() if task is not None else ""
        why = reason_of(error)
        if name in (LINK_TASK, GIVE_UP_TASK):
            self._end_by(why)  # there is no other way to tell it
        elif not self.fault:
            self.fault = why
            self._giving_up = background(self._give_up_for(error), name=GIVE_UP_TASK)

    def _end_by(self, why: str) -> None:
        self._cut_short = True
        self.end(why)

    async def _give_up_for(self, error: BaseException) -> None:
        self.testbed.say("bench", self.fault, level="error")
        if self._is_launching:
            await self._stop_launching()
            await self.testbed.give_up_launch(error)
        else:
            await self._give_up(self.fault)

    @property
    def _is_launching(self) -> bool:
        return self._launching is not None and not self._launching.done()

    async def _stop_launching(self) -> None:
        if self._launching is not None:
            await end_task(self._launching)

    def launch(self) -> None:
        """Launch the server, then begin what the session is to begin with; returns at once."""
        if self._closed or (self._spec.stop_when_unkept and self.writer.failure):
            return
        if not self._is_launching:
            self._launching = background(self._launch(), name="launch")

    async def _launch(self) -> None:
        try:
            await self.testbed.launch()
        except LaunchError as error:
            failure = self.testbed.status.failure
            self.writer.set_server(self.testbed.status)
            self.testbed.say("engine", str(error), level="error")
            if failure is not None and (outcome := outcome_of(failure)).is_oom:
                self.scheduler.fail_all(outcome, evidence_of(failure))
            return
        except Exception as error:
            self.testbed.say("engine", reason_of(error), level="error")
            _log.exception("the launch has failed")
            await self.testbed.give_up_launch(error)
            return
        if self.snapshot_builder.simulated != self._meta.simulated:  # an attached server told only now
            self._complete_meta()
        if self._spec.start == "sweep":
            await self.scheduler.start_sweep()
        elif self._spec.start == "edge":
            await self.scheduler.find_edge()
        elif self._spec.start == "ramp":
            await self.scheduler.start_ramp()
        elif self.scheduler.users:
            await self.scheduler.set_users(self.scheduler.users)

    async def _tick(self) -> None:
        scraping: asyncio.Task[ServerMetrics | None] | None = None
        try:
            while True:
                if self.testbed.ready:
                    scraping = scraping or background(self.testbed.scrape(), name="scrape")
                    # A server that hangs must not hold the seconds up.
                    await asyncio.wait({scraping}, timeout=SCRAPE_TIMEOUT_S)
                metrics = None
                if scraping is not None and scraping.done():
                    metrics, scraping = scraping.result(), None
                self._close_second(metrics)
                is_launching = self._is_launching and self._spec.start != "idle"
                self._attendance.check(self._link, is_working=is_launching or self.scheduler.activity != "idle")
                await asyncio.sleep(TICK_S)
        finally:
            if scraping is not None:
                await end_task(scraping)

    def _close_second(self, metrics: ServerMetrics | None) -> None:
        """Add a point to the series; there is none while there is no server to be measured."""
        at_ns = self.clock.now_ns()
        if self.testbed.ready:
            progress, prompt_tokens = self.testbed.progress, self.scheduler.prompt_tokens
            self.writer.add_series(self.snapshot_builder.tick(at_ns, progress, metrics, prompt_tokens))
        else:
            self.snapshot_builder.skip(at_ns)

    # -- the snapshot -------------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Return what is to be seen now."""
        now_ns, scheduler, closed = self.clock.now_ns(), self.scheduler, self._closed
        status = server_status(self.testbed, scheduler, is_launching=self._is_launching, closed=closed)
        grid = scheduler.grid
        return self.snapshot_builder.snapshot(
            now_ns,
            server=status,
            load=load_status(self.testbed, scheduler, self.snapshot_builder.window, now_ns, closed=closed),
            grid=grid,
            current=scheduler.current,
            queueing=must_queue(status.kv_pool, grid.users, grid.prompt_tokens, grid.output_tokens),
            edges=edges(status.kv_pool, grid.results, grid.prompt_tokens, grid.output_tokens),
            sweep=scheduler.sweep_status,
            carried=scheduler.edges,
            gpu_note=self.testbed.gpu_note,
            notice=self.writer.failure or self.snapshot_builder.notice,
            unkept=self.writer.failure,
            aside=self.testbed.asides.now,
        )

    # -- front ends come and go --------------------------------------------------------------------------------------

    async def _execute(self, command: Command) -> Reply:
        if self._closed:  # what is ending launches nothing any more
            return Reply(0, False, "this session is ending")
        if isinstance(command, StopBench):
            self._last_words = f"{FRONT_END.get()} stopped the session"
        walk = self.scheduler.activity if self.scheduler.activity in WALKS else ""
        reply = await self._executor.execute(command)
        status = self.scheduler.sweep_status
        if walk and reply.ok and not (status.running or status.finished or self._closed):
            self._say_ended(command, "the search for the edge" if status.looks_for_edge else "the sweep")
        return reply

    def _say_ended(self, command: Command, walk: str) -> None:
        """Say who ended a walk before its time: that it was to stop is no news, that something else was asked is."""
        if isinstance(command, StopSweep):
            by = f"{FRONT_END.get()} stopped {walk}"
            self.scheduler.say_stopped(by)
            self.testbed.say("sweep", by)
            return
        by = f"{FRONT_END.get()} took over ({in_words(command)})"
        self.scheduler.say_taken_over(by)
        self.testbed.say("sweep", by, level="warning")

    def starter_gone(self) -> None:
        """Take note that the process which started this bench is gone."""
        self._attendance.starter_gone(self._link)


def _snapshot_builder_of(spec: BenchSpec, profile: Profile, clock: SessionClock, started_at: str) -> SnapshotBuilder:
    return SnapshotBuilder(
        started_at_ns=clock.start_ns,
        started_at=started_at,
        session_id=spec.session_id,
        session_file=spec.session_file,
        simulated=profile.simulated,
        time_scale=spec.time_scale,
        profile_name=profile.name,
        profile_title=profile.display_title,
        engine=engine_of(profile).name,
        gpu_summary=gpu_summary_of(profile),
        command_line=command_line(profile) if profile.server else "",
        window=LiveWindow(spec.time_scale),
        beside=beside_of(profile, gpu_summary_of(profile)),
    )


def _meta_of(spec: BenchSpec, profile: Profile, clock: SessionClock, started_at: str) -> SessionMeta:
    return SessionMeta(
        session_id=spec.session_id,
        started_at=started_at,
        started_at_ns=clock.start_ns,
        vramp_version=__version__,
        profile_name=profile.name,
        profile_toml=spec.profile_toml,
        profile_json=spec.profile_json,
        profile_path=spec.profile_path or "",
        profile_title=profile.display_title,
        engine=engine_of(profile).name,
        simulated=profile.simulated,
        time_scale=spec.time_scale,
        gpu_summary=gpu_summary_of(profile),
        command_line=command_line(profile) if profile.server else "",
        environment=environment_of(),
    )
