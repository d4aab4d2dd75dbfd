"""One run of a server that vramp launched: its process, its log, its stages, and the first sign of its failure."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tui.core.clock import now_ns
from tui.core.known_secrets import hide_known, learn
from tui.core.secrets import is_secret
from tui.core.tasks import background
from tui.engines.base import Diagnosis, FailureClass, LaunchPlan
from tui.engines.engine import Launch
from tui.metrics.reading import Event
from tui.metrics.snapshot import FailureReport
from tui.profile.schema import ServerTable
from tui.server.diagnosis import LINE_CHARS, explain, oom_kill_count, report_of
from tui.server.log_reader import LogExcerpt, LogReader
from tui.server.log_room import LogRoom
from tui.server.memory_told import MemoryTold
from tui.server.process import Ending, ServerProcess
from tui.server.stages import StageClock
from tui.server.weights_read import WeightsRead, weight_files

LINES_PER_S = 100
"""Of the log, handed on as events; a flood beyond that stays in the file."""
LOOK_AGAIN_S = 0.5
WEIGHTS_PERIOD_S = 1.0
DEATH_TIMEOUT_S = 15.0
"""A ready server whose engine has died ends within seconds; one that stays up counts as dead after this long."""
SIGNALLED = 128
"""A container runtime's exit code is this and the number of the signal that ended what it ran, as a shell's is."""
_LEVEL = re.compile(r"\b(ERROR|CRITICAL|FATAL|WARNING)\b")


class LaunchedServer:
    """From the start of the process to the proof that nothing of it is left. Used once."""

    def __init__(
        self,
        launch: Launch,
        plan: LaunchPlan,
        log_file: Path,
        on_event: Callable[[Event], None],
        server: ServerTable | None = None,
    ) -> None:
        """`server`: what `plan` was made of, for what a failure says of its arguments."""
        self._launch = launch
        self._server = server
        self._plan = plan
        self._log_file = log_file
        self._on_event = on_event
        self.clock = StageClock(launch.stages, launch.may_return_to)
        self.version = ""
        self.kv_cache_tokens: int | None = None
        self.max_concurrency: float | None = None
        self.max_model_len: int | None = None
        self.memory_told = MemoryTold()
        self.arguments: dict[str, str] = {}
        """With which it says that it runs."""
        self.failure: asyncio.Future[FailureReport] = asyncio.get_running_loop().create_future()
        """Why it failed, as soon as that is certain: at the decisive line of the log, or when the process ends."""
        self._excerpt = LogExcerpt()
        for name, value in plan.env.items():
            if is_secret(name, value):
                learn(value)
        self._process: ServerProcess | None = None
        self._reader: LogReader | None = None
        self._room: LogRoom | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._look: asyncio.TimerHandle | None = None
        self._death: asyncio.TimerHandle | None = None
        self.may_be_asked = asyncio.Event()
        """Set once it is to be believed that it takes requests: at once, unless its log alone tells."""
        if not launch.says_ready:
            self.may_be_asked.set()
        self.ready = False
        self.ended = False
        self._ending = False
        self._oom_kills_before = oom_kill_count()
        self._allowance = float(LINES_PER_S)
        self._allowance_at_ns = now_ns()
        self._left_out = 0

    async def start(self) -> None:
        """Start it. Raises OSError when it cannot be started."""
        self._reader = LogReader(self._log_file, self._take_lines)
        try:
            self._room = LogRoom(self._log_file, self._tell_of_room)
            plan = self._plan
            self._process = await ServerProcess.start(
                plan.argv, plan.env, self._log_file, plan.scratch_variables, plan.container
            )
        except BaseException:
            self._reader.close()
            if self._room is not None:
                self._room.close()
            raise
        self._tasks = [
            background(self._reader.follow(), name="server-log"),
            background(self._room.watch(), name="server-log-room"),
            background(self._wait_exit(self._process), name="server-exit"),
        ]
        if self._launch.loading and self._server is not None and plan.container is None:
            self._tasks.append(background(self._follow_weights(self._server.model), name="weights-read"))
        if plan.container is not None:
            self._tasks.append(background(self._process.find_container(), name="find-container"))

    @property
    def pid(self) -> int | None:
        """Return the pid of the process that was started; None before and after."""
        return self._process.pid if self._process is not None and not self._process.exited.done() else None

    @property
    def alive(self) -> bool:
        """Say whether the process that was started runs."""
        return self.pid is not None

    def pids(self) -> frozenset[int]:
        """Return the pids of the whole tree. Safe to call from any thread."""
        return self._process.pids() if self._process is not None else frozenset()

    def mark_ready(self) -> None:
        """Take note that it answers: from now on an out-of-memory error is one at run time."""
        self.ready = True
        self.clock.finish(ready=True)

    def last_line(self) -> str:
        """Return the latest line of the log."""
        lines = self._excerpt.lines()
        return lines[-1] if lines else ""

    def outlive_log(self) -> None:
        """Take it that it goes on behind all that its log has said so far, be it an end that was waited for."""
        self._excerpt.outlive()
        if self._death is not None:
            self._death.cancel()
            self._death = None

    def told_by_log(self) -> FailureReport | None:
        """Return what its log names as fatal; None where it names nothing."""
        found = self._launch.diagnose(self._excerpt.lines(), started=self.ready, exit_code=None)
        return report_of(found, None, self._server) if found is not None else None

    async def end(self, grace_s: float) -> Ending:
        """End the whole tree and return how that went. Idempotent; what the log says meanwhile is no failure."""
        self._ending = True
        for timer in (self._look, self._death):
            if timer is not None:
                timer.cancel()
        ending = await self._process.end(grace_s) if self._process is not None else Ending()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks and self._reader is not None and self._room is not None:
            self._tasks = []
            self._room.close()
            with suppress(Exception):  # a log that cannot be read has been told of by the task that follows it
                self._reader.catch_up()
            self._reader.close()
        self.ended = True
        return ending

    async def _follow_weights(self, model: str) -> None:
        """Tell the clock how much of the weights has been read, as long as they are being loaded."""
        files = await asyncio.to_thread(weight_files, model, {**os.environ, **self._plan.env})
        read = WeightsRead(files)
        while files and not self.ready:  # /proc has nothing to wait for
            if self.clock.current == self._launch.loading:
                self.clock.note_read(await asyncio.to_thread(lambda: read.look(self.pids())), sum(files.values()))
            await asyncio.sleep(WEIGHTS_PERIOD_S)

    # -- the log -----------------------------------------------------------------------------------------------------

    def _take_lines(self, lines: list[str]) -> None:
        for line in map(hide_known, lines):
            fact = self._launch.read_log_line(line)
            if fact is not None:
                self.clock.note(fact)
                if fact.stage == self._launch.stages[-1]:
                    self.may_be_asked.set()
                self.version = fact.version or self.version
                known = max(self.kv_cache_tokens or 0, fact.kv_cache_tokens_least or 0)
                self.kv_cache_tokens = fact.kv_cache_tokens or known or None
                self.max_concurrency = fact.max_concurrency or self.max_concurrency
                self.max_model_len = fact.max_model_len or self.max_model_len
                self.memory_told.note(fact)
                self.arguments |= fact.arguments
            is_error = self._excerpt.add(line, telling=fact is not None)
            self._hand_on(line, important=is_error or fact is not None)
            if is_error and self._look is None and not self._ending and not self.failure.done():
                # Errors come in dumps of a hundred lines; they are judged together.
                self._look = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._look_for_failure)

    def _look_for_failure(self) -> None:
        self._look = None
        if self._ending or self.failure.done():
            return
        found = self._launch.diagnose(self._excerpt.lines(), started=self.ready, exit_code=None)
        if found is None:
            return
        if self.ready:
            # Most errors of a running server are those of single requests; one that is fatal ends the process.
            if self._death is None and not self._launch.mends_itself:
                self._death = asyncio.get_running_loop().call_later(DEATH_TIMEOUT_S, self._check_death, found)
        elif found.failure is not FailureClass.CRASH:
            # What is specific is certain, 5 to 40 s before the process ends. The rest is told by its end.
            self._fail(report_of(found, None, self._server))

    def _check_death(self, found: Diagnosis) -> None:
        self._fail(report_of(found, None, self._server))

    def _hand_on(self, line: str, *, important: bool) -> None:
        now = now_ns()
        self._allowance = min(self._allowance + (now - self._allowance_at_ns) / 1e9 * LINES_PER_S, float(LINES_PER_S))
        self._allowance_at_ns = now
        # Important lines may overdraw, for their own number is bounded by what an excerpt keeps.
        if self._allowance < 1 and not (important and self._allowance > -LogExcerpt.ERRORS):
            self._left_out += 1
            return
        if self._left_out:
            text = f"… {self._left_out} lines left out; they are in {self._log_file.name}"
            self._on_event(Event(at_ns=now, source="server", text=text, level="warning"))
            self._left_out = 0
        self._allowance -= 1
        self._on_event(Event(at_ns=now, source="server", text=line[:LINE_CHARS], level=_level_of(line)))

    def _tell_of_room(self, text: str, level: str) -> None:
        self._on_event(Event(at_ns=now_ns(), source="engine", text=text, level=level))

    # -- the end -----------------------------------------------------------------------------------------------------

    async def _wait_exit(self, process: ServerProcess) -> None:
        exit_code = await process.exited
        if exit_code is not None and exit_code > SIGNALLED and self._plan.container is not None:
            exit_code = SIGNALLED - exit_code
        assert self._reader is not None
        self._reader.catch_up()
        if self._ending:
            return
        oom_kills = oom_kill_count() - self._oom_kills_before
        self._fail(
            explain(
                self._launch,
                self._excerpt.lines(),
                started=self.ready,
                exit_code=exit_code,
                oom_kills=oom_kills,
                server=self._server,
            )
        )

    def _fail(self, report: FailureReport) -> None:
        if not self.failure.done():
            self.clock.finish(ready=False)
            self.failure.set_result(report)


def _level_of(line: str) -> str:
    found = _LEVEL.search(line, 0, 80)
    if found is None:
        return "info"
    return "warning" if found[1] == "WARNING" else "error"
