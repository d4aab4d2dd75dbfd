"""The server of a session: launched or attached to, watched, diagnosed, stopped. asyncio, in the bench."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tui.core.address import ServerAddress, address_of, addresses_of
from tui.core.clock import now_ns
from tui.core.errors import LaunchError, UsageError
from tui.core.safe_text import safe_line
from tui.core.secret_value import secret_of
from tui.core.tasks import background, end_task, reason_of
from tui.engines.base import FailureClass, RequestShape, ServerMetrics
from tui.engines.catalogue import engine_of, launch_of
from tui.engines.command_line import show_plan
from tui.engines.parts.auth import Auth
from tui.engines.parts.questions import Content
from tui.metrics.reading import Event
from tui.metrics.snapshot import FailureReport, Phase, ServerSettings, ServerStatus
from tui.profile.schema import AttachTable, Endpoint, Profile, ServerTable
from tui.server import probe, readiness, wrong_door
from tui.server.client import NoAnswer, ServerClient, ServerResponse
from tui.server.known_flags import FlagCheck
from tui.server.launched import LaunchedServer
from tui.server.memory_told import MemoryTold

_log = logging.getLogger(__name__)

LOADING_GRACE_S = 3.0
"""A server that is not ready has nothing to finish, and vLLM ignores SIGTERM until it is."""
PORT_TRIES = 3
ATTACHED_PERIOD_S = 2.0
ATTACHED_MISSES = 3
MODELS_NAMED = 5
_NOT_HERE = frozenset({404, 405})
_NO_EXECUTABLE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR}


class _Failed(Exception):
    def __init__(self, report: FailureReport) -> None:
        super().__init__(report.summary)
        self.report = report


class Supervisor:
    """Owns one server at a time; it may be launched again after it failed, died or was stopped."""

    def __init__(
        self, profile: Profile, profile_path: Path | None, log_file: Path, *, on_event: Callable[[Event], None]
    ) -> None:
        self._profile = profile
        self._profile_path = profile_path
        self._log_file = log_file
        self._on_event = on_event
        self._engine = engine_of(profile)
        self._phase = Phase.LAUNCHING
        self._failure: FailureReport | None = None
        self._launches = 0
        self._launched: LaunchedServer | None = None
        self._client: ServerClient | None = None
        self._probe = probe.Probe()
        contained = profile.server is not None and profile.server.container is not None
        # What is installed here says nothing of an image.
        self._flags = FlagCheck(None if contained else self._engine.launch, profile.server)
        self._kv_cache_tokens: int | None = None
        self._metrics = ServerMetrics()
        """The latest that told the size of the KV cache."""
        self.ready_ns = 0
        """Since when the present server has taken requests, CLOCK_MONOTONIC."""
        self._watching: asyncio.Task[None] | None = None
        self._died: asyncio.Future[FailureReport] | None = None
        self.address = address_of(profile.attach.base_url) if profile.attach else None
        """Where it is; of a server that vramp launches, known once that begins."""
        self._notes: list[str] = []
        self._other_addresses: list[ServerAddress] = []
        """What else the address may mean, where no place lists models."""
        self.model = _asked_model(profile)

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def status(self) -> ServerStatus:
        """Return what is to be shown of the server now; the figures of /metrics are the bench's to add."""
        launched = self._launched
        length = self._probe.max_model_lens.get(self.model)
        return ServerStatus(
            phase=self._phase,
            stages=launched.clock.stages() if launched else [],
            failure=self._failure,
            base_url=self.base_url,
            pid=launched.pid if launched else None,
            attached=self._profile.attach is not None,
            version=self._probe.version or (launched.version if launched else ""),
            model=self.model,
            max_model_len=length if length is not None else (launched.max_model_len if launched else None),
            kv_cache_tokens=(launched.kv_cache_tokens if launched else None) or self._kv_cache_tokens,
            max_concurrency=launched.max_concurrency if launched else None,
            launches=self._launches,
            missing=list(self._probe.missing),
            notes=list(self._notes),
            settings=self.settings,
        )

    @property
    def base_url(self) -> str:
        """Return the address as people write it; empty while there is none."""
        return str(self.address) if self.address is not None else ""

    @property
    def simulated(self) -> bool:
        """Say whether a model of a server answers: one that the profile launches, or an attached one that says so."""
        return self._profile.simulated or self._probe.simulated

    @property
    def auth(self) -> Auth:
        """Return what requests prove themselves by."""
        return self._engine.auth(self._profile)

    def pids(self) -> frozenset[int]:
        """Return the pids of the server's whole tree; empty for an attached one. Safe to call from any thread."""
        launched = self._launched
        return launched.pids() if launched is not None else frozenset()

    @property
    def memory_told(self) -> MemoryTold:
        """Return what the log of the server that runs says of its memory; nothing for an attached one."""
        return self._launched.memory_told if self._launched is not None else MemoryTold()

    @property
    def settings(self) -> ServerSettings:
        """Return how the server says that it is set up."""
        told = self._launched.arguments if self._launched is not None else {}
        metrics = self._metrics
        arguments = {**told, **{name: safe_line(value, limit=200) for name, value in metrics.arguments.items()}}
        return ServerSettings(
            arguments=arguments, kv_cache_blocks=metrics.kv_cache_blocks, block_size=metrics.block_size
        )

    # -- coming ------------------------------------------------------------------------------------------------------

    async def launch(self) -> None:
        """Launch the server, or attach to it, and return when it takes requests.

        Raises LaunchError when it does not come to that; `status.failure` then says why, and nothing of it runs.
        """
        await self._end()
        self._launches += 1
        self._failure = None
        self._probe = probe.Probe()
        self._notes = []
        self._kv_cache_tokens = None
        self._metrics = ServerMetrics()
        self._phase = Phase.LAUNCHING if self._launches == 1 else Phase.RELAUNCHING
        began = time.monotonic()
        checking = background(self._check_flags(), name="check-flags")
        try:
            self._expect_endpoint(self._profile.load.endpoint)
            if self._profile.attach is not None:
                await self._attach(self._profile.attach)
            else:
                assert self._profile.server is not None
                await self._start(self._profile.server)
        except _Failed as failed:
            self._fail(failed.report)
            await self._end()
            await self._suggest_flags(failed.report)
            raise LaunchError(_in_words(self._failure or failed.report)) from None
        except Exception as error:
            _log.exception("the launch has failed")
            await self.give_up(error)
            raise LaunchError(reason_of(error)) from error
        finally:
            await end_task(checking)  # a server that started knows all its flags
        if unseen := wrong_door.unseen_version(self._engine, self.status.version):
            self._notes.append(unseen)
        self._died = asyncio.get_running_loop().create_future()
        self._phase = Phase.READY
        self.ready_ns = now_ns()
        watch = self._watch_attached() if self._profile.attach else self._watch_launched()
        self._watching = background(watch, name="server-watch")
        verb = "attached to" if self._profile.attach else "ready after"
        what = self.base_url if self._profile.attach else f"{time.monotonic() - began:.1f} s at {self.base_url}"
        self._say(f"{verb} {what}, model {self.model}")
        for text in (*self._notes, *self._probe.missing):
            self._say(text, level="warning")

    def _expect_endpoint(self, endpoint: Endpoint) -> None:
        if endpoint not in self._engine.endpoints:
            there = " and ".join(f'"{each}"' for each in self._engine.endpoints)
            summary = f'{self._engine.title} takes no requests of endpoint = "{endpoint}"'
            raise _Failed(_report(FailureClass.BAD_VALUE, summary, "", f"Set endpoint = {there} in [load]."))

    async def _start(self, server: ServerTable) -> None:
        for attempt in range(1, PORT_TRIES + 1):
            try:
                await self._start_once(server)
                return
            except _Failed as failed:
                # Somebody may have taken the free port in the half minute until vLLM does.
                if server.port != 0 or failed.report.failure != FailureClass.PORT or attempt == PORT_TRIES:
                    raise
                self._say("the chosen port was taken meanwhile; starting again on another", level="warning")
                await self._end()

    async def _check_flags(self) -> None:
        if self._launches == 1:
            for warning in await self._flags.warnings():
                self._say(f"{warning} (by the help of the {self._engine.title} that is installed)", level="warning")

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
            raise _Failed(_report(FailureClass.CONTAINER_RUNTIME, summary, "", advice))
        plan = launch.plan(self._profile, _choose_port(server), self._profile_path)
        self.address = address_of(plan.base_url)
        # Its certificate is the profile's own, and seldom made out to an address of this machine.
        self._client = self._make_client(self.address, verify=False, direct=True)
        self._launched = launched = LaunchedServer(launch, plan, self._log_file, self._on_event)
        self._say(f"starting: {show_plan(plan)}")
        try:
            await launched.start()
        except OSError as error:
            launched.clock.finish(ready=False)
            raise _Failed(_not_started(plan.argv[0], error, contained=server.container is not None)) from None
        await self._wait_ready(launched, self._client, server.startup_timeout_s)
        try:
            self._probe = await probe.ask(self._client, self._engine.questions)
        except NoAnswer as error:
            if launched.failure.done():
                raise _Failed(launched.failure.result()) from None
            raise _Failed(_report(FailureClass.CRASH, "The server is ready but does not answer", str(error))) from None
        launched.mark_ready()
        if self._probe.models:
            self.model = self._probe.models[0]

    async def _wait_ready(self, launched: LaunchedServer, client: ServerClient, timeout_s: float) -> None:
        healthy = asyncio.create_task(readiness.wait_until_ready(client, self._engine.ready), name="health")
        try:
            waited_for: set[asyncio.Future[Any]] = {healthy, launched.failure}
            await asyncio.wait(waited_for, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            healthy.cancel()
        # Health is only believed of a server that runs: somebody else may answer on the port while ours is dying.
        if launched.failure.done():
            raise _Failed(launched.failure.result())
        if not launched.alive:
            raise _Failed(await launched.failure)
        if healthy.done():
            healthy.result()
        else:
            summary = f"The server was not ready within {timeout_s:g} s"
            advice = "Raise startup_timeout_s in [server] if it only needs more time; the log says how far it came."
            launched.clock.finish(ready=False)
            raise _Failed(_report(FailureClass.TIMEOUT, summary, launched.last_line(), advice))

    async def _attach(self, attach: AttachTable) -> None:
        for variable in self.auth.variables:
            _expect_secret(variable)
        try:
            await self._ask_who_is_there(attach)
        except NoAnswer as error:
            advice = "Check the address, and that the server runs."
            raise _Failed(
                _report(FailureClass.CRASH, f"Nothing answers at {self.base_url}", str(error), advice)
            ) from None
        if self._probe.status in (401, 403):
            summary = f"The server refuses us: HTTP {self._probe.status}"
            advice = "Name the environment variable that holds its key: api_key_env in [attach], or --api-key-env."
            raise _Failed(_report(FailureClass.BAD_VALUE, summary, "", advice))
        self._choose_model(attach, await self._what_else_is_there(attach))

    async def _what_else_is_there(self, attach: AttachTable) -> str:
        """Return, in words, what other system answers; one as good as any is not asked unless it lacks models."""
        lacking = not self._probe.models and attach.model is None
        if self._client is None or (self._engine.mark is None and not lacking):
            return ""
        found = await wrong_door.what_else(self._client, self._engine)
        if found:
            self._notes.append(f'{found}; the profile says "{self._engine.name}"')
        return found

    async def _ask_who_is_there(self, attach: AttachTable) -> None:
        """Ask at each place that the address may mean until one lists models; else the likeliest is kept.

        Raises NoAnswer when nothing answers.
        """
        found: list[tuple[ServerAddress, probe.Probe]] = []
        for address in addresses_of(attach.base_url):
            client = await self._turn_to(address, attach)
            self._probe = await probe.ask(client, self._engine.questions)
            if self._probe.models or self._probe.status in (401, 403):
                break
            found.append((address, self._probe))
        else:
            address, self._probe = found[0]
            client = await self._turn_to(address, attach)
            self._other_addresses = [address for address, _ in found[1:]]
        if client.proxy_variable:
            self._notes.append(
                f"{client.proxy_variable} is used for questions to the server; measured requests go directly"
            )

    async def _turn_to(self, address: ServerAddress, attach: AttachTable) -> ServerClient:
        await self._close_client()
        self.address = address
        self._client = self._make_client(address, verify=attach.verify)
        return self._client

    def _choose_model(self, attach: AttachTable, else_found: str) -> None:
        models = self._probe.models
        if attach.model is not None:
            self.model = attach.model
        elif models:
            self.model = models[0]
            if len(models) > 1:
                others = ", ".join(models[1:MODELS_NAMED])
                more = f" and {len(models) - MODELS_NAMED} more" if len(models) > MODELS_NAMED else ""
                self._notes.append(f"{len(models)} models are offered: {models[0]} is asked, not {others}{more}")
        else:
            summary = f"The server at {self.base_url} lists no model (HTTP {self._probe.status})"
            line = f"a redirect to {self._probe.location} is not followed" if self._probe.location else ""
            advice = f"Correct the profile: {else_found}." if else_found else "Name one: model in [attach], or --model."
            raise _Failed(_report(FailureClass.MODEL_MISSING, summary, line, advice))

    def _make_client(self, address: ServerAddress, *, verify: bool, direct: bool = False) -> ServerClient:
        try:
            return ServerClient(address, headers=self.auth.head(), verify=verify, direct=direct)
        except (LaunchError, UsageError) as error:
            summary = f"{address} cannot be asked from here"
            raise _Failed(_report(FailureClass.BAD_VALUE, summary, str(error))) from None

    async def _close_client(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

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
        assert self._client is not None
        misses = 0
        while misses < ATTACHED_MISSES:
            await asyncio.sleep(ATTACHED_PERIOD_S)
            try:
                await probe.first_answer(self._client, self._engine.questions)
                misses = 0
            except NoAnswer as error:
                misses += 1
                reason = str(error)
        self._report_death(
            _report(FailureClass.CRASH, f"{self.base_url} cannot be reached any more", reason, "See to that server.")
        )

    def _report_death(self, report: FailureReport) -> None:
        self._fail(report)
        if self._died is not None and not self._died.done():
            self._died.set_result(report)

    def _fail(self, report: FailureReport) -> None:
        self._failure = report
        self._phase = Phase.FAILED
        self._say(_in_words(report), level="error")

    async def give_up(self, error: BaseException) -> None:
        """End the server for a fault that is none of its own, and say so in the status."""
        await self._end()
        self._fail(_report(FailureClass.CRASH, "The launch was given up", reason_of(error)))

    async def is_healthy(self) -> bool:
        """Say whether its health check answers now, within some seconds."""
        return self._client is not None and await readiness.is_ready(self._client, self._engine.ready)

    def told_by_log(self) -> FailureReport | None:
        """Return what the log of a server of ours names as fatal to one that was ready; None where it names nothing."""
        return self._launched.told_by_log() if self._launched is not None else None

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
        await self._close_client()

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
            self._say(f"stopped in {took}; nothing of it is left")

    # -- asking ------------------------------------------------------------------------------------------------------

    async def read_metrics(self) -> ServerMetrics | None:
        """Return the server's own figures now, or None where it tells none."""
        if self._client is None:
            return None
        metrics = await probe.answer_to(self._client, self._engine.questions.metrics())
        if metrics is None:
            return None
        if metrics.kv_cache_tokens is not None:
            self._kv_cache_tokens, self._metrics = metrics.kv_cache_tokens, metrics
        return metrics

    async def tokenize(self, text_or_messages: Content) -> list[int] | None:
        """Return the token ids of a text, or of messages under the chat template; None where it cannot say."""
        if self._client is None:
            return None
        return await probe.tokens_of(self._client, self._engine.questions, self.model, text_or_messages)

    async def count(self, text_or_messages: Content) -> int | None:
        """Return how many tokens a prompt has, by the server; None where it cannot say."""
        if self._client is None:
            return None
        return await probe.count_of(self._client, self._engine.questions, self.model, text_or_messages)

    async def try_request(self, shape: RequestShape, body: bytes) -> ServerResponse:
        """Send a request as the load would, and return how it is taken. Raises NoAnswer.

        Where no models were listed and this place knows no such request, the others that the address may mean are
        tried as well; the first that knows it is kept.
        """
        response, first = await self._try_here(shape, body), self.address
        attach = self._profile.attach
        while response.status in _NOT_HERE and self._other_addresses and attach is not None:
            await self._turn_to(self._other_addresses.pop(0), attach)
            elsewhere = await self._try_here(shape, body)
            if elsewhere.status not in _NOT_HERE:
                return elsewhere
            assert first is not None
            await self._turn_to(first, attach)
        return response

    async def _try_here(self, shape: RequestShape, body: bytes) -> ServerResponse:
        client, headers = self._as_the_load_asks(shape, body)
        return await client.try_post(shape.path, headers, body)

    async def whole_answer(self, shape: RequestShape, body: bytes) -> ServerResponse:
        """Send a request as the load would, and return its answer as a whole. Raises NoAnswer."""
        client, headers = self._as_the_load_asks(shape, body)
        return await client.post(shape.path, headers, body)

    def _as_the_load_asks(self, shape: RequestShape, body: bytes) -> tuple[ServerClient, list[tuple[str, str]]]:
        """Return whom to ask, with which headers."""
        if self._client is None or self.address is None:
            raise NoAnswer("there is no server")
        headers = list(shape.headers)
        try:
            if (sign := self.auth.load_signer()) is not None:
                url = self.address.origin + self.address.target(shape.path)
                headers += sign(self.auth.settings, "POST", url, headers, body)
        except UsageError as error:
            raise NoAnswer(str(error)) from None
        return self._client, headers

    async def simulated_gpus(self) -> bytes | None:
        """Return what a simulated server says of its virtual GPUs, as JSON; None where there are none."""
        return await self._get("/simulated/gpus") if self._profile.simulated else None

    async def _get(self, path: str) -> bytes | None:
        if self._client is None:
            return None
        try:
            response = await self._client.fetch(path)
        except NoAnswer:
            return None
        return response.content if response.is_ok else None

    def _say(self, text: str, *, level: str = "info") -> None:
        self._on_event(Event(at_ns=now_ns(), source="engine", text=safe_line(text), level=level))


def _expect_secret(variable: str) -> None:
    try:
        value = secret_of(variable)
    except UsageError as error:
        advice = "Set it to the key alone, on one line."
        raise _Failed(_report(FailureClass.BAD_VALUE, str(error), "", advice)) from None
    if value is None:
        summary = f"The environment variable {variable} is not set"
        raise _Failed(_report(FailureClass.BAD_VALUE, summary, "", "Set it to the server's API key."))


def _choose_port(server: ServerTable) -> int:
    try:
        if server.port == 0:
            return readiness.free_port(server.host)
        problem = readiness.port_problem(server.host, server.port)
    except OSError as error:
        problem = str(error)
    if problem is None:
        return server.port
    advice = "Set port = 0 in [server] for a free one, or end what listens there."
    summary = f"{server.host} port {server.port} cannot be had"
    raise _Failed(_report(FailureClass.PORT, summary, problem, advice))


def _not_started(executable: str, error: OSError, *, contained: bool) -> FailureReport:
    reason = error.strerror or str(error)
    if error.errno not in _NO_EXECUTABLE:
        return _report(FailureClass.CRASH, f"{executable} was not started", reason, "Launch it again.")
    advice = "Install it, or name it by its full path: executable in [server]."
    if contained:
        advice = "Install it, or use a container runtime that is here: runtime in [server.container]."
    return _report(FailureClass.EXECUTABLE, f"{executable} cannot be started", reason, advice)


def _report(failure: FailureClass, summary: str, line: str, advice: str = "") -> FailureReport:
    return FailureReport(failure=failure.value, summary=safe_line(summary), line=safe_line(line), advice=advice)


def _in_words(report: FailureReport) -> str:
    return " · ".join(part for part in (report.summary, report.line, report.advice) if part)


def _asked_model(profile: Profile) -> str:
    if profile.attach is not None:
        return profile.attach.model or ""
    return profile.server.model if profile.server is not None else ""
