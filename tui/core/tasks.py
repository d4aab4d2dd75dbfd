"""No task dies unseen: what ends one, or a thread, goes at once to the exception handler of its event loop.

asyncio tells of a task's exception only when the task is forgotten, and a task that somebody holds never is. The loop's
handler also hears of what is raised in plain callbacks; what runs the loop decides there what a fault means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from weakref import WeakSet

from tui.core.errors import in_a_sentence
from tui.core.safe_text import safe_line

_T = TypeVar("_T")
_ending: WeakSet[asyncio.Task[Any]] = WeakSet()
_REASON_CHARS = 300


def background(work: Coroutine[Any, Any, _T], *, name: str) -> asyncio.Task[_T]:
    """Return a task for `work` that nobody need wait for: its end by an exception is told to the loop's handler."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_tell)
    return task


async def end_task(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, however it ends.

    It is cancelled once, whoever wants it to end, and not again where the waiting is cancelled: a second cancellation
    would interrupt what the first has begun, such as the end of a process. Nor is it left behind then, for the end of
    the loop to interrupt: the waiting goes on to its end, and is cancelled after it.
    """
    if not task.done() and task not in _ending:
        _ending.add(task)
        task.cancel()
    called_off: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            called_off = error
    if not task.cancelled():
        task.exception()  # told already, or none of the caller's business
    if called_off is not None:
        raise called_off


def report_fault(loop: asyncio.AbstractEventLoop, name: str, error: BaseException) -> None:
    """Tell the handler of `loop` what ended a thread, or some work that bears no task of its own. From any thread."""
    try:
        loop.call_soon_threadsafe(loop.call_exception_handler, {"message": f"{name} has failed", "exception": error})
    except RuntimeError:
        pass  # the loop has ended, and all front ends with it


def reason_of(error: BaseException) -> str:
    """Return what an exception says to the operator, as one line."""
    return safe_line(in_a_sentence(error), limit=_REASON_CHARS)


def _tell(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    message = f"{task.get_name()} has failed"
    task.get_loop().call_exception_handler({"message": message, "exception": error, "task": task})
