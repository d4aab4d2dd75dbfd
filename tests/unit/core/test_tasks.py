"""What ends a task, a thread or a callback reaches the loop's handler at once."""

from __future__ import annotations

import ast
import asyncio
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

import tui
from tui.core.errors import UsageError
from tui.core.tasks import background, end_task, reason_of, report_fault
from tui.link.protocol import BenchSpec


class Heard:
    def __init__(self) -> None:
        self.contexts: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: self.contexts.put_nowait(context))

    async def next(self) -> dict[str, Any]:
        return await asyncio.wait_for(self.contexts.get(), 10)


async def boom() -> None:
    raise RuntimeError("boom")


async def test_a_task_that_is_held_and_never_asked_is_heard_of_at_once() -> None:
    heard = Heard()
    task = background(boom(), name="scraping")
    context = await heard.next()
    assert str(context["exception"]) == "boom"
    assert context["task"] is task
    assert "scraping" in context["message"]


async def test_an_end_and_a_cancellation_are_no_faults() -> None:
    heard = Heard()
    waiting = background(asyncio.sleep(100), name="waiting")
    assert await background(asyncio.sleep(0, "done"), name="done") == "done"
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0)
    assert heard.contexts.empty()


async def test_a_task_is_cancelled_once_and_ends_what_it_has_begun_to_end() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def with_a_process() -> None:
        try:
            begun.set()
            await asyncio.sleep(100)
        finally:
            await may_end.wait()
            ended.set()

    task = background(with_a_process(), name="measuring")
    await begun.wait()
    impatient = asyncio.create_task(end_task(task))
    await asyncio.sleep(0)
    impatient.cancel()
    patient = asyncio.create_task(end_task(task))
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    await asyncio.wait_for(patient, 10)
    assert ended.is_set() and task.cancelled()
    await end_task(task)
    # Whoever was to stop waiting has waited as well, so that the end of its loop interrupts nothing.
    await asyncio.wait({impatient})
    assert impatient.cancelled()


def test_what_is_being_ended_is_not_left_to_the_end_of_the_loop() -> None:
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # as a process takes to end
            ended.append("in order")

    async def launch() -> None:
        try:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
        finally:
            await end_task(task)

    async def main() -> None:
        launching = asyncio.create_task(launch())
        while len(asyncio.all_tasks()) < 3:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        await end_task(launching)

    asyncio.run(main())
    assert ended == ["in order"]


async def test_a_thread_tells_the_loop() -> None:
    heard = Heard()
    arguments = (asyncio.get_running_loop(), "sampling", RuntimeError("boom"))
    threading.Thread(target=report_fault, args=arguments).start()
    assert "sampling" in (await heard.next())["message"]


def test_a_loop_that_has_ended_is_told_nothing() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    report_fault(loop, "sampling", RuntimeError("boom"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UsageError("no such thing"), "no such thing"),
        (ValueError("bad\n\x1b[31mthing"), "internal error: ValueError: bad thing"),
        (KeyError("x" * 1000), "internal error: KeyError: 'xxx"),
    ],
)
def test_reasons(error: Exception, reason: str) -> None:
    assert reason_of(error).startswith(reason)
    assert len(reason_of(error)) <= 300


def test_a_load_worker_ends_by_its_own_fault(tmp_path: Path) -> None:
    """A request that a callback dropped would never be answered; a worker that is gone is noticed and replaced."""
    code = (
        "import asyncio\n"
        "from tui.load.worker import _end_by_fault\n"
        "async def main():\n"
        "    loop = asyncio.get_running_loop()\n"
        "    loop.set_exception_handler(_end_by_fault)\n"
        "    peer = {'message': 'Fatal write error', 'exception': BrokenPipeError(), 'transport': None}\n"
        "    loop.call_exception_handler(peer)\n"
        "    loop.call_soon(int, 'boom')\n"
        "    await asyncio.sleep(30)\n"
        "asyncio.run(main())\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("ValueError: invalid literal for int() with base 10: 'boom'")


def test_a_bench_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    spec = msgspec.json.encode(
        BenchSpec(
            session_id="s",
            session_file=str(tmp_path / "s.vramp"),
            profile_toml="",
            profile_json="{}",
            profile_path=None,
        )
    )
    command = [sys.executable, "-m", "tui.bench"]
    ended = subprocess.run(command, input=spec, capture_output=True, env=env, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stdout.startswith(b"internal error: ValidationError: ")


# Tasks whose end somebody waits for where they are begun.
AWAITED = {
    "server/supervisor.py": 1,
    "bench/__main__.py": 2,
    "bench/measure.py": 1,
    "link/client.py": 1,
    "core/tasks.py": 1,
}
WATCHED = ("core", "server", "load", "gpu", "session", "link", "bench")


def test_no_task_is_begun_that_could_die_unseen() -> None:
    root = Path(tui.__file__).parent
    begun: Counter[str] = Counter()
    for path in (path for folder in WATCHED for path in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
            if name in ("create_task", "ensure_future"):
                begun[path.relative_to(root).as_posix()] += 1
    assert begun == AWAITED
