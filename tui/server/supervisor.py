"""The server of a session: launched or attached to, watched, diagnosed, stopped. asyncio, in the bench."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from tui.core.address import address_of
from tui.core.clock import now_ns
from tui.core.errors import LaunchError
from tui.core.safe_text import safe_line
from tui.core.tasks import background, end_task, reason_of
from tui.engines.base import FailureClass, ServerMetrics
from tui.engines.catalogue import launch_of
from tui.engines.command_line import show_plan
from tui.metrics.reading import Event
from tui.metrics.snapshot import FailureReport, Phase, ServerSettings, ServerStatus
from tui.profile.schema import Endpoint, Profile, ServerTable
from tui.server import probe, readiness, wrong_door
from tui.server.asked import AskedServer
from tui.server.attaching import attach_to, wait_lost
from tui.server.client import NoAnswer, ServerClient
from tui.server.known_flags import FlagCheck
from tui.server.launch_failure import LaunchFailed, choose_port, failure_in_words, failure_report, not_started
from tui.server.launched import LaunchedServer
from tui.server.memory_told import MemoryTold
from tui.server.on_cluster import OnCluster

_log = logging.getLogger(__name__)

LOADING_GRACE_S = 3.0
"""A server that is not ready has nothing to finish, and vLLM ignores SIGTERM until it is."""
PORT_TRIES = 3


class Supervisor(AskedServer):
    """Owns one server at a time; it may be launched again after it failed, died or was stopped."""

    def __init__(
        self, profile: Profile, profile_path: Path | None, log_file: Path, *, on_event: Callable[[Event], None]
    ) -> None:
        super().__init__(profile)
        self._profile_path = profile_path
        self._log_file = log_file
        self._on_event = on_event
        self._phase = Phase.LAUNCHING
        self._failure: FailureReport | None = None
        self._launches = 0
        self._launched: LaunchedServer | None = None
        self._on_cluster: OnCluster | None = None
        """What the present launch has on other machines."""
        contained = profile.server is not None and profile.server.container is not None
        # What is installed here says nothing of an image.
        self._flags = FlagCheck(None if contained else self.engine.launch, profile.server)
        self._overrides: dict[str, str] = {}
        self._kv_cache_tokens: int | None = None
        self._metrics = ServerMetrics()
        """The latest that told the size of the KV cache."""
        self.ready_ns = 0
        """Since when the present server has taken requests, CLOCK_MONOTONIC."""
        self._watching: asyncio.Task[None] | None = None
        self._died: asyncio.Future[FailureReport] | None = None

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def status(self) -> ServerStatus:
        """Return what is to be shown of the server now; the figures of /metrics are the bench's to add."""
        launched = self._launched
        length = self.told.max_model_lens.get(self.model)
        return ServerStatus(
            phase=self._phase,
            stages=launched.clock.stages() if launched else [],
            failure=self._failure,
            base_url=self.base_url,
            pid=launched.pid if launched else None,
            attached=self._profile.attach is not None,
            version=self.told.version or (launched.version if launched else ""),
            model=self.model,
            max_model_len=length if length is not None else (launched.max_model_len if launched else None),
            kv_cache_tokens=(launched.kv_cache_tokens if launched else None) or self._kv_cache_tokens,
            max_concurrency=launched.max_concurrency if launched else None,
            launches=self._launches,
            missing=list(self.told.missing),
            notes=list(self.notes),
            settings=self.settings,
            overrides=dict(self._overrides),
            nodes=dict(self._on_cluster.nodes) if self._on_cluster else {},
        )

    def pids(self) -> frozenset[int]:
        """Return the pids of the server's whole tree; empty for an attached one. Safe to call from any thread."""
        launched = self._launched
        return launched.pids() if launched is not None else frozenset()

    @property
    def workers(self) -> dict[str, list[int]]:
        """Return the processes of a server over several machines by the addresses of these; replaced as a whole."""
        on_cluster = self._on_cluster
        return on_cluster.workers if on_cluster is not None else {}

    def look_for_workers(self) -> None:
        """Learn anew which these are, since one of them is gone. Returns at once."""
        if self._on_cluster is not None:
            self._on_cluster.look_again()

    @property
    def memory_told(self) -> MemoryTold:
        """Return what the log of the server that runs says of its memory; nothing for an attached one."""
        return self._launched.memory_told if self._launched is not None else MemoryTold()

    @property
    def settings(self) -> ServerSettings:
        """Return how the server says that it is set up."""
        told = self._launched.arguments if self._launched is not None else {}
        metrics = self._metrics
        asked = {**self.told.arguments, **metrics.arguments}
        return ServerSettings(
            arguments={**told, **{name: safe_line(value, limit=200) for name, value in asked.items()}},
            kv_cache_blocks=metrics.kv_cache_blocks,
            block_size=metrics.block_size,
            state_blocks=metrics.state_blocks,
        )

    def override(self, profile: Profile, arguments: Mapping[str, str]) -> None:
        """Launch by `profile` from now on, in which `arguments` stand in place of those it was read with."""
        self._profile = profile
        self._overrides |= arguments

    # -- coming ------------------------------------------------------------------------------------------------------

    async def launch(self) -> None:
        """Launch the server, or attach to it, and return when it takes requests.

        Raises LaunchError when it does not come to that; `status.failure` then says why, and nothing of it runs.
        """
        await self._end()
        self._launches += 1
        self._failure = None
        self.told = probe.Probe()
        self.notes = []
        self._kv_cache_tokens = None
        self._metrics = ServerMetrics()
        self._phase = Phase.LAUNCHING if self._launches == 1 else Phase.RELAUNCHING
        began = time.monotonic()
        checking = background(self._check_flags(), name="check-flags")
        try:
            self._expect_endpoint(self._profile.load.endpoint)
            if self._profile.attach is not None:
                await attach_to(self, self._profile.attach)
            else:
                assert self._profile.server is not None
                await self._start(self._profile.server)
        except LaunchFailed as failed:
            self._fail(failed.report)
            await self._end()
            await self._suggest_flags(failed.report)
            raise LaunchError(failure_in_words(self._failure or failed.report)) from None
        except Exception as error:
            _log.exception("the launch has failed")
            await self.give_up(error)
            raise LaunchError(reason_of(error)) from error
        finally:
            await end_task(checking)  # a server that started knows all its flags
        if unseen := wrong_door.unseen_version(self.engine, self.status.version):
            self.notes.append(unseen)
        self._died = asyncio.get_running_loop().create_future()
        self._phase = Phase.READY
        self.ready_ns = now_ns()
        watch = self._watch_attached() if self._profile.attach else self._watch_launched()
        self._watching = background(watch, name="server-watch")
        verb = "attached to" if self._profile.attach else "ready after"
        what = self.base_url if self._profile.attach else f"{time.monotonic() - began:.1f} s at {self.base_url}"
        self._say(f"{verb} {what}, model {self.model}")
        for text in (*self.notes, *self.told.missing):
            self._say(text, level="warning")

    def _expect_endpoint(self, endpoint: Endpoint) -> None:
        if endpoint not in self.engine.endpoints:
            there = " and ".join(f'"{each}"' for each in self.engine.endpoints)
            summary = f'{self.engine.title} takes no requests of endpoint = "{endpoint}"'
            raise LaunchFailed(
                failure_report(FailureClass.BAD_VALUE, summary, "", f"Set endpoint = {there} in [load].")
            )

    async def _start(self, server: ServerTable) -> None:
        for attempt in range(1, PORT_TRIES + 1):
            try:
                await self._start_once(server)
                return
            except LaunchFailed as failed:
                # Somebody may have taken the free port in the half minute until vLLM does.
                if server.port != 0 or failed.report.failure != FailureClass.PORT or attempt == PORT_TRIES:
                    raise
                self._say("the chosen port was taken meanwhile; starting again on another", level="warning")
                await self._end()

    async def _check_flags(self) -> None:
        if self._launches == 1:
            for warning in await self._flags.warnings():
                self._say(f"{warning} (by the help of the {self.engine.title} that is installed)", level="warning")

    async def _suggest_flags(self, report: FailureReport) -> None:
        """Name the nearest flag to an unknown one, which may mean to wait for the server's help."""
        if report.failure == FailureClass.BAD_FLAG and (found := await self._flags.nearest(report.line)):
            self._failure = msgspec.structs.replace(report, advice=safe_line(f"{found} {report.advice}"))
            self._say(found, level="error")

    async def _start_once(self, server: ServerTable) -> None:
        launch = launch_of(self._profile)
        if other := launch.elsewhere(server):
            summary = f"The container's daemon is on {other}, and so would be its port and its GPUs"
            advice = f"Run vramp on {other}, or start the server there and attach to it: [attach]."
            raise LaunchFailed(failure_report(FailureClass.CONTAINER_RUNTIME, summary, "", advice))
        plan = launch.plan(self._profile, choose_port(server), self._profile_path)
        self.address = address_of(plan.base_url)
        # Its certificate is the profile's own, and seldom made out to an address of this machine.
        self.client = self.make_client(self.address, verify=False, direct=True)
        self._launched = launched = LaunchedServer(launch, plan, self._log_file, self._on_event, server)
        self._on_cluster = None
        if plan.ray is not None:
            on_cluster = OnCluster(launch.command(server), plan, plan.ray, self._say_at_level)
            await on_cluster.expect_room(launch.gpus_needed(server))
            self._on_cluster = on_cluster
        self._say(f"starting: {show_plan(plan)}")
        try:
            await launched.start()
        except OSError as error:
            launched.clock.finish(ready=False)
            raise LaunchFailed(not_started(plan.argv[0], error, contained=server.container is not None)) from None
        await self._wait_ready(launched, self.client, server.startup_timeout_s)
        try:
            self.told = await probe.ask(self.client, self.engine.questions, launched.kv_cache_tokens)
        except NoAnswer as error:
            if launched.failure.done():
                raise LaunchFailed(launched.failure.result()) from None
            raise LaunchFailed(
                failure_report(FailureClass.CRASH, "The server is ready but does not answer", str(error))
            ) from None
        launched.mark_ready()
        if self._on_cluster is not None:
            await self._on_cluster.look()
        if self.told.models:
            self.model = self.told.models[0]

    async def _wait_ready(self, launched: LaunchedServer, client: ServerClient, timeout_s: float) -> None:
        async def wait() -> None:
            await launched.may_be_asked.wait()
            await readiness.wait_until_ready(client, self.engine.ready)

        healthy = asyncio.create_task(wait(), name="health")
        try:
            waited_for: set[asyncio.Future[Any]] = {healthy, launched.failure}
            await asyncio.wait(waited_for, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            healthy.cancel()
        # Health is only believed of a server that runs: somebody else may answer on the port while ours is dying.
        if launched.failure.done():
            raise LaunchFailed(launched.failure.result())
        if not launched.alive:
            raise LaunchFailed(await launched.failure)
        if healthy.done():
            healthy.result()
        else:
            summary = f"The server was not ready within {timeout_s:g} s"
            advice = "Raise startup_timeout_s in [server] if it only needs more time; the log says how far it came."
            launched.clock.finish(ready=False)
            raise LaunchFailed(failure_report(FailureClass.TIMEOUT, summary, launched.last_line(), advice))

    # -- dying -------------------------------------------------------------------------------------------------------

    async def wait_died(self) -> FailureReport:
        """Return why, once a server that was ready dies by itself, or an attached one cannot be reached any more."""
        assert self._died is not None
        return await asyncio.shield(self._died)

    async def _watch_launched(self) -> None:
        assert self._launched is not None
        self._report_death(await asyncio.shield(self._launched.failure))
        # An API server that was killed leaves its engine behind, with all its VRAM.
        await self._end_launched(LOADING_GRACE_S)

    async def _watch_attached(self) -> None:
        self._report_death(await wait_lost(self))

    def _report_death(self, report: FailureReport) -> None:
        self._fail(report)
        if self._died is not None and not self._died.done():
            self._died.set_result(report)

    def _fail(self, report: FailureReport) -> None:
        self._failure = report
        self._phase = Phase.FAILED
        self._say(failure_in_words(report), level="error")

    async def give_up(self, error: BaseException) -> None:
        """End the server for a fault that is none of its own, and say so in the status."""
        await self._end()
        self._fail(failure_report(FailureClass.CRASH, "The launch was given up", reason_of(error)))

    def told_by_log(self) -> FailureReport | None:
        """Return what the log of a server of ours names as fatal to one that was ready; None where it names nothing."""
        return self._launched.told_by_log() if self._launched is not None else None

    def outlive_log(self) -> None:
        """Take it that the server goes on behind all that its log, if it has one, has said so far."""
        if self._launched is not None:
            self._launched.outlive_log()

    def declare_dead(self, report: FailureReport) -> None:
        """Take it that a server which was ready is dead, though its process may live: it does nothing any more."""
        self._report_death(report)

    # -- going -------------------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Stop the server and make sure that nothing of it is left; an attached one is only left. Idempotent."""
        if self._phase is not Phase.FAILED:
            self._phase = Phase.STOPPING
        await self._end()
        if self._phase is Phase.STOPPING:
            self._phase = Phase.ENDED

    async def _end(self) -> None:
        if self._watching is not None:
            await end_task(self._watching)
            self._watching = None
        if self._launched is not None:
            server = self._profile.server
            grace_s = server.stop_grace_s if server is not None else 0.0
            await self._end_launched(grace_s if self._phase is Phase.STOPPING else LOADING_GRACE_S)
        await self.close_client()

    async def _end_launched(self, grace_s: float) -> None:
        launched = self._launched
        assert launched is not None
        if launched.ended:
            return
        grace_s = grace_s if launched.ready else min(grace_s, LOADING_GRACE_S)
        began = time.monotonic()
        ending = await launched.end(grace_s)
        took = f"{time.monotonic() - began:.1f} s"
        if ending.survivors:
            self._say(f"could not be ended: {', '.join(ending.survivors)}", level="error")
        elif ending.killed:
            self._say(
                f"stopped by force after {took}: {', '.join(ending.killed)}; nothing of it is left", level="warning"
            )
        else:
            self._say(f"stopped in {took}; nothing of it is left" + (" here" if self._on_cluster else ""))
        if self._on_cluster is not None:
            await self._on_cluster.ended()
            self._on_cluster = None

    # -- asking ------------------------------------------------------------------------------------------------------

    async def read_metrics(self) -> ServerMetrics | None:
        """Return the server's own figures now, or None where it tells none."""
        if self.client is None:
            return None
        size = self._launched.kv_cache_tokens if self._launched is not None else None
        metrics = await probe.figures_of(self.client, self.engine.questions, size)
        if metrics is None:
            return None
        if metrics.kv_cache_tokens is not None:
            self._kv_cache_tokens, self._metrics = metrics.kv_cache_tokens, metrics
        return metrics

    def _say_at_level(self, text: str, level: str) -> None:
        self._say(text, level=level)

    def _say(self, text: str, *, level: str = "info") -> None:
        self._on_event(Event(at_ns=now_ns(), source="engine", text=safe_line(text), level=level))
