"""What a session measures with: the server, the load, the GPU sampling and the session file, wired together.

Everything that arrives is mapped to session time once, kept in the session file, and handed to the snapshot builder.
Nothing here decides what to measure; that is the scheduler's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from tui.bench.aside import MAX_TOKENS as MOST_TOKENS_BY_HAND
from tui.bench.aside import Asides
from tui.bench.clock import SessionClock
from tui.bench.gpus import sampling_for
from tui.bench.grid import Cell
from tui.bench.intake import Intake
from tui.bench.liveness import Liveness
from tui.bench.shapes import RequestShapes
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.bench.told_conditions import conditions_of
from tui.bench.vram import VramReturn
from tui.core.clock import NS_PER_S, now_ns
from tui.core.errors import LaunchError, VrampError
from tui.core.files import log_file
from tui.core.safe_text import safe_text
from tui.core.tasks import background, end_task
from tui.engines.base import ServerMetrics
from tui.engines.catalogue import engine_of
from tui.engines.command_line import command_line
from tui.hosts.opening import OpenHosts
from tui.load.ceiling import CeilingGauge, known_ceiling, measure_ceiling
from tui.load.pool import LoadPool
from tui.load.wire import LoadProgress, LoadTarget
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.metrics.failure_outcome import evidence_of, outcome_of
from tui.metrics.reading import Event, GpuReading
from tui.metrics.reference import Reference
from tui.metrics.snapshot import FailureReport, Phase, ServerDeath, ServerStatus
from tui.metrics.summary import CellSummary
from tui.profile.overrides import arguments_in_words, with_arguments
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor
from tui.session.room import bytes_needed, free_bytes, in_words
from tui.session.store import SessionWriter

_log = logging.getLogger(__name__)

STALE_S = 3.0
"""Figures that are older, real time, are of a server that does not answer in time: they are not shown as if of now."""

MAX_LAUNCHES_IN_A_ROW = 3
RELAUNCH_BACK_OFF_S = (0.5, 5.0, 15.0)


class Testbed:
    """Owns the parts, and starts and stops them in the right order. Runs in the bench's event loop."""

    def __init__(
        self,
        profile: Profile,
        profile_path: Path | None,
        clock: SessionClock,
        writer: SessionWriter,
        snapshot_builder: SnapshotBuilder,
    ) -> None:
        self.profile = profile
        self.clock = clock
        self.writer = writer
        self.snapshot_builder = snapshot_builder
        server_log = log_file(Path(snapshot_builder.session_file).with_suffix(".server.log"))
        self.supervisor = Supervisor(profile, profile_path, server_log, on_event=self.keep_event)
        self._hosts = OpenHosts()
        self.pool: LoadPool | None = None
        self._shapes = RequestShapes(profile.load, engine_of(profile), self.supervisor)
        self._measuring_client: asyncio.Task[None] | None = None
        self.metrics: ServerMetrics | None = None
        self._metrics_at_ns = 0
        self.gpus: list[GpuReading] = []
        self._vram = VramReturn()
        self.failure: asyncio.Future[FailureReport] | None = None
        """Resolves when the server dies by itself; a new one for every launch."""
        self._watching: asyncio.Task[None] | None = None
        self._liveness = Liveness(
            self.supervisor,
            lambda text, level: self.say("engine", text, level),
            self._shapes.one_token,
            time_scale=clock.time_scale,
            request_timeout_s=profile.load.request_timeout_s,
        )
        self._intake = Intake(clock, writer, snapshot_builder, self._liveness.watch, keeps_gaps=profile.load.keep_gaps)
        self.output_forced: bool | None = None
        """Whether requests make the server give exactly as many tokens as they ask for."""
        self._can_be_asked = False
        """The load on the present server has been made ready."""
        self._tag = 0
        self._launches_before = 0
        """In earlier parts of this session."""
        self._sampling = sampling_for(
            profile,
            self.supervisor,
            self._take_gpus,
            lambda text: self.say("gpu", text, level="warning"),
            lambda: self._hosts.elsewhere,
        )
        self.asides = Asides(
            clock,
            self.supervisor.answer_as_it_comes,
            timeout_s=profile.load.request_timeout_s / clock.time_scale,
            say=partial(self.say, "load"),
        )
        self.references = seconds_of(snapshot_builder.beside.reference)
        """The reference's seconds by cell, where something is laid beside."""

    def number_from(self, last_tag: int, last_request_id: int, last_launch: int) -> None:
        """Go on with the numbers of an earlier part of this session."""
        self._tag = last_tag
        self._intake.next_request_id = last_request_id + 1
        self._launches_before = last_launch

    # -- start and stop ------------------------------------------------------------------------------------------

    async def launch(self) -> None:
        """Launch (or attach to) the server and get ready to load it. Raises LaunchError."""
        self.metrics = None
        self._can_be_asked = False
        if self.gauge.ceiling is None and self._measuring_client is None:
            self._measuring_client = background(self._measure_client(), name="measure-client")
        await self._hosts.open(self.profile)
        await self._sampling.start()
        await self.supervisor.launch()
        self.writer.set_server(self.status)
        self.snapshot_builder.server_is_back(self.clock.now_ns())
        self.snapshot_builder.simulated = self.simulated
        self.failure = asyncio.get_running_loop().create_future()
        self._watching = background(self._watch(self.failure), name="watch-server")
        if self._shapes.prompts is None:
            await self._shapes.learn(lambda text: self.say("load", text, level="warning"))
            self.writer.set_server(self.status)
        await self._start_pool()
        self._can_be_asked = True
        self._liveness.begin()

    def override(self, arguments: Mapping[str, str]) -> None:
        """Launch the server with these arguments in place of the profile's from now on, by flags without dashes."""
        if self.profile.server is None:
            return  # it is not launched
        self.profile = with_arguments(self.profile, arguments)
        self.supervisor.override(self.profile, arguments)
        self.snapshot_builder.command_line = command_line(self.profile)
        self.say("engine", f"launched from now on with {arguments_in_words(arguments)}, which the profile does not say")

    async def relaunch(self) -> None:
        """Launch the server again after it died; a few tries with growing pauses. Raises LaunchError."""
        for attempt in range(MAX_LAUNCHES_IN_A_ROW):
            await self.stop_server()
            await self._wait_for_vram()
            await asyncio.sleep(RELAUNCH_BACK_OFF_S[attempt])
            try:
                await self.launch()
            except LaunchError as error:
                self.say("engine", f"relaunch failed: {error}", level="error")
                if attempt + 1 == MAX_LAUNCHES_IN_A_ROW:
                    raise
            else:
                if self.profile.attach is not None:  # its front may be well while its engine is not back
                    await self._liveness.wait_for_token()
                self.say("engine", "relaunched and ready" if self.profile.attach is None else "it answers again")
                return

    async def _wait_for_vram(self) -> None:
        """Let no server be launched into the VRAM of the one before, which would not fit beside it."""
        # A simulated server takes its GPUs with it, and an attached one is not ours to end.
        if self.profile.server is None or self.profile.simulated:
            return
        report = await self._vram.wait()
        if report is not None:
            self.say("gpu", report.text, level="info" if report.returned else "warning")

    async def give_up_launch(self, error: BaseException) -> None:
        """End the server for a fault that is none of its own, and say so in its status."""
        await self.stop_server()
        await self.supervisor.give_up(error)
        self.writer.set_server(self.status)

    async def stop_server(self) -> None:
        """Cut the load first (vLLM's stop waits for open streams), then stop the server's whole tree."""
        if self._watching is not None:
            await end_task(self._watching)
            self._watching = None
        await self._liveness.end()
        await self.asides.cut()
        if self.pool is not None:
            await self.pool.cut()
        await self.supervisor.stop()
        self.writer.set_server(self.status)

    async def close(self) -> None:
        """End everything; nothing of it is left."""
        await self._stop_measuring_client()
        await self.stop_server()
        if self.pool is not None:
            await self.pool.stop()
            self.pool = None
        await self._sampling.stop()
        await self._hosts.close()

    async def _measure_client(self) -> None:
        """Learn what the load client can carry here: once per machine and version, while the server loads."""
        self.gauge.ceiling = known_ceiling()
        if self.gauge.ceiling is None:
            try:
                self.gauge.ceiling = await measure_ceiling()
            except (OSError, VrampError) as error:
                self.say("load", f"what the client can carry is not known: {error}", level="warning")

    async def _stop_measuring_client(self) -> None:
        """The load comes first: if the client is not measured by now, the next session will do it."""
        if self._measuring_client is not None:
            await end_task(self._measuring_client)

    async def _start_pool(self) -> None:
        attach = self.profile.attach
        assert self.supervisor.address is not None
        target = LoadTarget(
            address=self.supervisor.address,
            auth=self.supervisor.auth,
            verify=attach.verify if attach else False,  # the certificate of a server of ours is the profile's own
            request_timeout_s=self.profile.load.request_timeout_s / self.clock.time_scale,
            time_scale=self.clock.time_scale,
        )
        if self.pool is not None:
            if self.pool.target == target:
                return
            await self.pool.stop()
        self.pool = LoadPool(
            target,
            on_records=self._intake.take_records,
            on_progress=self._intake.take_progress,
            on_event=self.keep_event,
            first_request_id=self._intake.next_request_id,
            hosts=self._hosts.hosts,
            on_host_loss=self.profile.load.on_host_loss,
        )
        await self.pool.start()

    async def _watch(self, failure: asyncio.Future[FailureReport]) -> None:
        report = await self.supervisor.wait_died()
        self.snapshot_builder.deaths.append(
            ServerDeath(at_ns=self.clock.now_ns(), outcome=outcome_of(report), cause=evidence_of(report))
        )
        self.writer.set_server(self.status)
        if not failure.done():
            failure.set_result(report)

    async def engine_is_dead(self) -> bool:
        """Say whether the server gives no token any more, after requests failed; `failure` then resolves."""
        assert self.failure is not None
        return await self._liveness.check(self.failure)

    @property
    def silent_s(self) -> float | None:
        """Return for how long no token has come, session s, once that is too long; None while all is well."""
        return self._liveness.silent_s

    # -- asking ----------------------------------------------------------------------------------------------------

    @property
    def status(self) -> ServerStatus:
        """Return how the server is."""
        status = self.supervisor.status
        return msgspec.structs.replace(status, notes=[*status.notes, *self._shapes.notes])

    @property
    def simulated(self) -> bool:
        """Say whether a model of a server answers: one that the profile launches, or an attached one that says so."""
        return self.supervisor.simulated

    @property
    def ready(self) -> bool:
        """Say whether the server takes requests."""
        alive = self.failure is not None and not self.failure.done()
        return self._can_be_asked and alive and self.status.phase is Phase.READY

    @property
    def progress(self) -> LoadProgress | None:
        """Return what the load last told."""
        return self._intake.progress

    @property
    def gauge(self) -> CeilingGauge:
        """Return how near the load client is to what it can carry."""
        return self._intake.gauge

    async def configure(self, prompt_tokens: int) -> int:
        """Make requests that start from now on ask for this prompt size; return their tag."""
        assert self.pool is not None
        await self._stop_measuring_client()
        self._tag += 1
        shape = self._shapes.of(prompt_tokens)
        self.output_forced = shape.exact
        self.snapshot_builder.begin_tag(self._tag)
        self._liveness.watch.ask(self.snapshot_builder.users_wanted, prompt_tokens)
        await self.pool.configure(shape, self._shapes.source, self._tag)
        return self._tag

    async def tokens_per_event(self) -> float | None:
        """Return how many tokens an event bears by the server's tokenizer; None where that cannot be known.

        It is learned once, by an answer of its own, so nothing may be measured at the time.
        """
        return await self._shapes.tokens_per_event()

    def ask_by_hand(self, question: str) -> None:
        """Ask the model what a person wants to know, beside the load and in no figure; returns at once.

        Raises VrampError.
        """
        length = self.status.max_model_len
        most = min(MOST_TOKENS_BY_HAND, length // 2) if length else MOST_TOKENS_BY_HAND
        shapes = self._shapes.by_hand(most)
        self.asides.ask(question, shapes, self.progress.users_active if self.progress else 0)

    async def end_by_hand(self) -> None:
        """End a question by hand, and show it no more."""
        await self.asides.end()

    def asked_by_hand_since(self, at_ns: int) -> bool:
        """Say whether a question by hand was under way at that session time, or later."""
        return self.asides.was_under_way_since(at_ns)

    def collect(self, summary: CellSummary) -> None:
        """Add every record to a summary from now on, until `release`."""
        self._intake.collect(summary)

    def release(self, summary: CellSummary) -> None:
        """Stop adding to a summary."""
        self._intake.release(summary)

    async def scrape(self) -> ServerMetrics | None:
        """Read the server's own figures now."""
        self.metrics = await self.supervisor.read_metrics()
        self._metrics_at_ns = now_ns()
        return self.metrics

    @property
    def metrics_now(self) -> ServerMetrics | None:
        """Return the server's own figures for those who want to know how it is; None where they are not of now."""
        return self.metrics if now_ns() - self._metrics_at_ns <= STALE_S * NS_PER_S else None

    # -- taking in -------------------------------------------------------------------------------------------------

    def _take_gpus(self, readings: list[GpuReading], cost_s: float) -> None:
        self.gpus = [msgspec.structs.replace(reading, at_ns=self.clock.at(reading.at_ns)) for reading in readings]
        self._vram.take(self.own_gpus)
        self.writer.add_gpus(self.gpus)
        self.snapshot_builder.take_gpus(self.gpus, cost_s)

    @property
    def own_gpus(self) -> list[GpuReading]:
        """Return the last readings of the GPUs that the profile gives the server; of all where it names none."""
        wanted = self.profile.server.gpus if self.profile.server is not None else []
        return [gpu for gpu in self.gpus if not wanted or gpu.index in wanted]

    @property
    def conditions(self) -> Conditions:
        """Return under what conditions a cell is measured that begins now."""
        status, ready_ns = self.status, self.supervisor.ready_ns
        found = conditions_of(self.profile, status, self.supervisor.memory_told.weights_bytes)
        return msgspec.structs.replace(
            found,
            launch=status.launches and self._launches_before + status.launches,
            server_age_s=(self.clock.now_ns() - self.clock.at(ready_ns)) / NS_PER_S if ready_ns else None,
            driver=self._sampling.driver_version,
            hosts=self.progress.hosts if self.progress is not None else [],
        )

    @property
    def gpu_note(self) -> str:
        """Return why there are no GPU readings; empty when there are."""
        return self._sampling.unavailable

    def announce_sweep(self, cells: Sequence[Cell]) -> None:
        """Say what room measuring these cells will take in the session file, and whether it is there."""
        folder = self.writer.path.parent
        needed, free = bytes_needed(self.profile.load, cells), free_bytes(folder)
        text = f"this sweep will need about {in_words(needed)} in {folder}"
        if free is not None:
            text += f", where {in_words(free)} are free"
        self.say("session", text, level="warning" if free is not None and free < needed else "info")

    def keep_cell(self, result: CellResult) -> None:
        """Keep the result of a cell."""
        self.writer.add_cell(result)

    def keep_event(self, event: Event) -> None:
        """Keep what happened, cleaned, in session time."""
        event = msgspec.structs.replace(event, at_ns=self.clock.at(event.at_ns), text=safe_text(event.text, limit=4000))
        if event.source != "server":  # the server's own log has a file of its own
            self.writer.add_event(event)
        self.snapshot_builder.add_event(event)

    def show_users_wanted(self, users: int) -> None:
        """Show from now on that so many users are wanted."""
        self.snapshot_builder.users_wanted = users

    def show_notice(self, text: str) -> None:
        """Show a line of news until there is another."""
        self.snapshot_builder.notice = text

    def say(self, source: str, text: str, level: str = "info") -> None:
        """Tell the operator something, now."""
        self.keep_event(Event(at_ns=now_ns(), source=source, text=text, level=level))


def seconds_of(reference: Reference | None) -> dict[tuple[int, int], float]:
    """Return the time to resolve of each cell (users, prompt_tokens) of a reference that has some."""
    cells = reference.cells if reference is not None else []
    known = {(cell.users, cell.prompt_tokens): cell.time_to_resolve_s for cell in cells}
    return {place: seconds for place, seconds in known.items() if seconds is not None}
