"""What each command of a front end does to a session, and what is answered when it cannot be done."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from tests.fakes.testbed import FakeTestbed
from tests.unit.session import made
from tui.bench.commands import CommandExecutor
from tui.bench.scheduler import Scheduler
from tui.core.errors import UsageError
from tui.core.outcome import Outcome
from tui.link import protocol as p
from tui.metrics.snapshot import FailureReport, Phase
from tui.profile.schema import MAX_USERS


class Session:
    """A session on a testbed without processes, with a record of what was done to it."""

    def __init__(self, *, ready: bool = True) -> None:
        self.testbed = FakeTestbed(lambda users, prompt_tokens: None, users=[1, 2, 4], prompt_tokens=[30, 300])
        if not ready:
            self.testbed.failure = None
        self.scheduler = Scheduler(self.testbed)
        self.executor = CommandExecutor(self)
        self.done: list[str] = []
        self.exported: Path | None = None
        self.results = p.Results(made.meta(), [])
        self.unkept = ""

    def launch(self) -> None:
        self.done.append("launch")

    async def export(self, folder: Path | None) -> Path:
        if folder == Path("/nowhere"):
            raise UsageError("/nowhere: cannot be written")
        self.exported = folder
        return folder or Path("/sessions/s")

    async def close(self, how: str) -> None:
        self.done.append(f"close: {how}")
        await self.scheduler.close()

    def end(self, how: str) -> None:
        self.done.append(f"end: {how}")

    async def told(self, command: p.Command) -> str:
        """Carry a command out and return what is said to it."""
        reply = await self.executor.execute(command)
        assert reply.ok, reply.message
        return reply.message

    async def refused(self, command: p.Command) -> str:
        reply = await self.executor.execute(command)
        assert not reply.ok
        return reply.message

    def fail(self) -> None:
        self.testbed.status = msgspec.structs.replace(self.testbed.status, phase=Phase.FAILED)


@pytest.mark.parametrize(
    ("commands", "users"),
    [
        ([p.SetUsers(2)], 2),
        ([p.SetUsers(2), p.ChangeUsers(2)], 4),
        ([p.SetUsers(2), p.ChangeUsers(-5)], 0),
        ([p.SetUsers(-1)], 0),
        ([p.SetUsers(MAX_USERS + 1)], MAX_USERS),
    ],
)
async def test_users_are_set_and_changed_within_bounds(commands: list[p.Command], users: int) -> None:
    session = Session(ready=False)
    for command in commands:
        assert await session.told(command) == ""
    assert session.scheduler.users == session.testbed.users_wanted == users
    await session.scheduler.close()


async def test_users_whose_prompts_cannot_fit_are_told_so() -> None:
    session = Session()
    await session.told(p.SetPromptTokens(998))
    assert "exceed the server's limit of 1000" in await session.told(p.SetUsers(2))
    assert await session.told(p.SetUsers(0)) == ""
    await session.scheduler.close()


async def test_prompt_sizes_are_set_and_stepped() -> None:
    session = Session()
    await session.told(p.SetPromptTokens(77))
    assert session.scheduler.prompt_tokens == 77
    await session.told(p.StepPromptTokens(1))
    assert session.scheduler.prompt_tokens == 300
    await session.told(p.StepPromptTokens(-1))
    assert session.scheduler.prompt_tokens == 30
    assert await session.refused(p.SetPromptTokens(0)) == "prompt tokens: found 0, expected at least 1"
    assert session.scheduler.prompt_tokens == 30
    await session.scheduler.close()


@pytest.mark.parametrize(
    ("start", "activity", "stop"), [(p.StartSweep(), "sweep", p.StopSweep()), (p.StartRamp(), "ramp", p.StopRamp())]
)
async def test_sweep_and_ramp_begin_and_end(start: p.Command, activity: str, stop: p.Command) -> None:
    session = Session()
    await session.told(start)
    assert session.scheduler.activity == activity
    await session.told(stop)
    assert session.scheduler.activity != activity
    await session.scheduler.close()


@pytest.mark.parametrize("command", [p.StartSweep(), p.StartRamp()])
async def test_nothing_is_swept_without_a_server(command: p.Command) -> None:
    session = Session(ready=False)
    assert await session.refused(command) == "the server is not ready"
    assert session.scheduler.activity == "idle"


async def test_only_a_failed_server_is_launched_again_and_only_once() -> None:
    session = Session()
    assert await session.refused(p.Relaunch()) == "the server has not failed"
    session.fail()
    await session.told(p.StartRamp())
    assert await session.refused(p.Relaunch()) == "the server is being launched again already"
    await session.told(p.StopSweep())
    async with asyncio.timeout(10):
        while session.scheduler.activity != "idle":
            await asyncio.sleep(0.01)
    await session.told(p.Relaunch())
    assert session.done == ["launch"]


async def test_a_relaunch_follows_the_advice_of_a_failure_that_names_an_argument() -> None:
    session = Session()
    session.fail()
    assert await session.refused(p.Relaunch(remedied=True)) == "its failure names no argument that would help"
    assert session.done == []
    failure = FailureReport(failure="oom-kv", summary="s", line="l", advice="a", remedy={"max-model-len": "2048"})
    session.testbed.status = msgspec.structs.replace(session.testbed.status, failure=failure)
    await session.told(p.Relaunch(remedied=True))
    assert session.done == ["launch"]
    assert session.testbed.profile.server is not None
    assert session.testbed.profile.server.args == {"max-model-len": 2048}


async def test_an_export_answers_with_its_folder_and_a_failed_one_with_the_reason() -> None:
    session = Session()
    assert await session.told(p.Export()) == "/sessions/s"
    assert session.exported is None
    assert await session.told(p.Export("/elsewhere")) == "/elsewhere"
    assert await session.refused(p.Export("/nowhere")) == "/nowhere: cannot be written"


async def test_a_stop_is_answered_when_all_is_closed_and_ends_the_session_after_it() -> None:
    session = Session()
    await session.told(p.StopBench())
    assert session.done == ["close: stopped by the operator"]
    await asyncio.sleep(0)
    assert session.done == ["close: stopped by the operator", "end: stopped by the operator"]


async def test_a_stop_behind_a_whole_sweep_says_that_it_finished() -> None:
    session = Session()
    await session.told(p.StartSweep())
    async with asyncio.timeout(60):
        while not session.scheduler.sweep_status.finished:
            await asyncio.sleep(0.005)
    await session.told(p.StopBench())
    assert session.done == ["close: finished"]


async def test_a_stop_of_users_who_came_after_the_sweep_is_the_operators() -> None:
    session = Session()
    await session.told(p.StartSweep())
    async with asyncio.timeout(60):
        while session.scheduler.activity != "idle":
            await asyncio.sleep(0.005)
    await session.told(p.SetUsers(2))
    await session.told(p.StopBench())
    assert session.done == ["close: stopped by the operator"]


async def test_a_stop_is_answered_with_the_results_and_with_what_the_file_lacks() -> None:
    session = Session()
    session.unkept = "the disk is full"
    reply = await session.executor.execute(p.StopBench())
    assert (reply.ok, reply.message, reply.results) == (True, "the disk is full", session.results)


async def test_commands_are_carried_out_in_their_order() -> None:
    session = Session()
    commands: list[p.Command] = [p.SetUsers(3), p.ChangeUsers(1), p.ChangeUsers(1), p.ChangeUsers(-2)]
    replies = await asyncio.gather(*map(session.executor.execute, commands))
    assert all(reply.ok for reply in replies) and session.scheduler.users == 3
    await session.scheduler.close()


async def test_what_is_the_links_to_answer_is_no_command_of_the_session() -> None:
    assert await Session().refused(p.Linger()) == "the bench does not know this command"


async def test_a_prompt_that_is_too_long_is_refused_and_the_users_go_on() -> None:
    session = Session()
    await session.told(p.SetUsers(2))
    async with asyncio.timeout(60):
        while session.scheduler.current is None:
            await asyncio.sleep(0.005)
    why = await session.refused(p.SetPromptTokens(998))
    assert why.startswith("too long: 998 prompt + 3 output tokens exceed the server's limit of 1000")
    assert (session.scheduler.users, session.scheduler.prompt_tokens) == (2, 30)
    assert session.scheduler.activity == "users"
    assert [cell.outcome for cell in session.testbed.kept if cell.prompt_tokens == 998] == [Outcome.TOO_LONG]
    await session.scheduler.close()


async def test_a_sweep_of_a_full_grid_says_so_and_measures_all_of_it_anew_when_told() -> None:
    session = Session()

    async def swept() -> int:
        async with asyncio.timeout(60):
            while session.scheduler.activity != "idle":
                await asyncio.sleep(0.005)
        return len(session.testbed.pool.asked)

    await session.told(p.StartSweep())
    assert await swept() == 6
    assert "nothing is left to measure" in await session.refused(p.StartSweep())
    assert await swept() == 6
    await session.told(p.StartSweep(again=True))
    assert await swept() == 12
    assert session.scheduler.sweep_status.finished


async def test_a_question_by_hand_is_asked_of_a_server_that_is_ready_and_ended() -> None:
    session = Session()
    await session.told(p.AskByHand("why?"))
    await session.told(p.EndByHand())
    assert session.testbed.by_hand == ["why?", ""]
    assert "not ready" in await Session(ready=False).refused(p.AskByHand("why?"))
