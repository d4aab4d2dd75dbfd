"""Carries out the commands of front ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import msgspec

from tui.bench.measure import why_too_long
from tui.bench.scheduler import Scheduler
from tui.bench.system_under_test import SystemUnderTest
from tui.core.errors import VrampError
from tui.core.outcome import Outcome
from tui.core.tasks import reason_of, report_fault
from tui.link import protocol as p
from tui.metrics.snapshot import Phase
from tui.profile.schema import MAX_TOKENS, MAX_USERS

STOPPED = "stopped by the operator"
FINISHED = "finished"
MAX_CELLS_AGAIN = 4096


class RunningSession(Protocol):
    """What commands are carried out on; `Bench` is one."""

    @property
    def scheduler(self) -> Scheduler:
        """What decides what is asked next."""

    @property
    def testbed(self) -> SystemUnderTest:
        """The server and its load."""

    def launch(self) -> None:
        """Launch the server; returns at once."""

    @property
    def results(self) -> p.Results:
        """What was measured."""

    @property
    def unkept(self) -> str:
        """Why the session file does not hold everything; empty = it does."""

    async def export(self, folder: Path | None) -> Path:
        """Write the session out; return where. Raises VrampError."""

    async def close(self, how: str) -> None:
        """Cut the load, stop the server, close the file, which says `how` it ended."""

    def end(self, how: str) -> None:
        """Let the session end; returns at once."""


class CommandExecutor:
    """Carries commands out, one at a time in the order of their coming."""

    def __init__(self, session: RunningSession) -> None:
        self._session = session
        self._turn = asyncio.Lock()

    async def execute(self, command: p.Command) -> p.Reply:
        """Carry a command out; a failure that the operator can understand is the reply."""
        async with self._turn:
            try:
                message = "" if isinstance(command, p.ReadResults) else await self._carry_out(command) or ""
                results = self._session.results if isinstance(command, p.StopBench | p.ReadResults) else None
                return p.Reply(0, True, message, results)
            except VrampError as error:
                return p.Reply(0, False, str(error))
            except Exception as error:
                report_fault(asyncio.get_running_loop(), "command", error)
                return p.Reply(0, False, reason_of(error))

    async def _carry_out(self, command: p.Command) -> str | None:
        scheduler = self._session.scheduler
        match command:
            case p.SetUsers(users=users, cut=cut):
                return await self._set_users(users, cut)
            case p.ChangeUsers(delta=delta, cut=cut):
                return await self._set_users(scheduler.users + delta, cut)
            case p.RestoreUsers():
                await self._restore_users()
            case p.SetPromptTokens(prompt_tokens=prompt_tokens):
                if prompt_tokens < 1:
                    raise VrampError(f"prompt tokens: found {prompt_tokens}, expected at least 1")
                await self._set_prompt_tokens(prompt_tokens)
            case p.StepPromptTokens(step=step):
                await self._set_prompt_tokens(scheduler.next_prompt_tokens(step))
            case p.StartSweep() | p.FindEdge() | p.MeasureAgain() | p.StartRamp():
                self._need_server()
                await self._begin_measuring(command)
            case p.StopSweep():
                await scheduler.stop()
            case p.StopRamp():
                await scheduler.set_users(scheduler.users)
            case p.AskByHand(question=question):
                self._need_server()
                self._session.testbed.ask_by_hand(question)
            case p.EndByHand():
                await self._session.testbed.end_by_hand()
            case p.Relaunch(remedied=remedied):
                self._relaunch(remedied=remedied)
            case p.Export(out_dir=out_dir):
                return str(await self._session.export(Path(out_dir) if out_dir else None))
            case p.StopBench():
                # `vramp run` asks for this as well, when all is measured.
                how = FINISHED if scheduler.is_done else STOPPED
                await self._session.close(how)
                asyncio.get_running_loop().call_soon(self._session.end, how)
                return self._session.unkept
            case _:
                raise VrampError("the bench does not know this command")
        return None

    def _cells_meant(self, cells: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the cells to measure again: those named, or all that are implied. Raises VrampError."""
        for users, prompt_tokens in cells:
            if not (1 <= users <= MAX_USERS and 1 <= prompt_tokens <= MAX_TOKENS):
                raise VrampError(f"found {users} users x {prompt_tokens} tokens, which is no cell")
        known = self._session.scheduler.results
        implied = [(cell.users, cell.prompt_tokens) for cell in known if cell.outcome is Outcome.IMPLIED]
        if not (cells or implied):
            raise VrampError("no cell is implied: pick one in the grid to measure it again")
        return cells[:MAX_CELLS_AGAIN] or implied

    async def _begin_measuring(self, command: p.StartSweep | p.FindEdge | p.MeasureAgain | p.StartRamp) -> None:
        scheduler = self._session.scheduler
        match command:
            case p.StartSweep(again=again):
                if not (again or scheduler.cells_open):
                    raise VrampError("all cells of the grid have an outcome: nothing is left to measure")
                await scheduler.start_sweep(again=again)
            case p.FindEdge(prompt_tokens=prompt_tokens):
                if prompt_tokens is not None and not 1 <= prompt_tokens <= MAX_TOKENS:
                    raise VrampError(f"found {prompt_tokens} prompt tokens, which is no size")
                await scheduler.find_edge(prompt_tokens)
            case p.MeasureAgain(cells=cells):
                await scheduler.measure_again(self._cells_meant(cells))
            case p.StartRamp():
                await scheduler.start_ramp()

    async def _restore_users(self) -> None:
        self._need_server()
        if not self._session.scheduler.users_before:
            raise VrampError("no users to bring back: none asked when a server died")
        await self._session.scheduler.restore_users()

    async def _set_prompt_tokens(self, prompt_tokens: int) -> None:
        """Ask with prompts of this size; one that is too long is refused, and the users go on as they are."""
        why = self._session.scheduler.refuse_too_long(prompt_tokens)
        if why:
            raise VrampError(f"too long: {why}; the prompt size stays {self._session.scheduler.prompt_tokens}")
        await self._session.scheduler.set_prompt_tokens(prompt_tokens)

    async def _set_users(self, users: int, cut: bool) -> str | None:
        scheduler = self._session.scheduler
        await scheduler.set_users(min(max(users, 0), MAX_USERS), cut=cut)
        # Such users are stopped at once: the operator must see why, not only the log.
        why = why_too_long(self._session.testbed, scheduler.prompt_tokens) if users > 0 else ""
        return why or None

    def _need_server(self) -> None:
        if not self._session.testbed.ready:
            raise VrampError("the server is not ready")

    def _relaunch(self, *, remedied: bool) -> None:
        status = self._session.testbed.status
        if status.phase is not Phase.FAILED:
            raise VrampError("the server has not failed")
        if self._session.scheduler.activity != "idle" or self._session.scheduler.relaunching:
            raise VrampError("the server is being launched again already")
        if remedied:
            if status.failure is None or not status.failure.remedy:
                raise VrampError("its failure names no argument that would help")
            self._session.testbed.override(status.failure.remedy)
        self._session.launch()


def in_words(command: p.Command) -> str:
    """Return what a command asks for: its name, with its values."""
    values = [f"{value:+d}" if isinstance(command, p.ChangeUsers) else str(value) for value in _numbers(command)]
    name = str(command.__struct_config__.tag)
    return " ".join([name, *values])


def _numbers(command: p.Command) -> list[int]:
    values = msgspec.structs.astuple(command)
    return [value for value in values if isinstance(value, int) and not isinstance(value, bool)]
