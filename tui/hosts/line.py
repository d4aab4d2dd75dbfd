"""The stream of bytes to one agent or to many: a process of this machine that leads there, such as ssh. asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from tui.core.frames import read_frame
from tui.core.safe_text import safe_line
from tui.core.secrets import without_secrets
from tui.core.tasks import background, end_task
from tui.hosts.wire import MAX_BYTES, ToAgent, pack, pack_message, unpack

END_GRACE_S = 3.0
STDERR_LINES = 20
MOST_GREETING_LINES = 1000


class Listener(Protocol):
    """Who wants to hear what comes from one place."""

    def hear(self, worker: int, body: bytes) -> None:
        """Take a frame of a worker, or of the agent where that is 0."""

    def hear_no_more(self, why: str) -> None:
        """Take it that the line has ended; called once."""


class Line:
    """A process that leads to agents."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        explain: Callable[[str], str],
        mark: bytes = b"",
        end_grace_s: float = END_GRACE_S,
    ) -> None:
        """`explain`: makes a sentence of what the process said last, which has `end_grace_s` to end by itself.

        `mark`: what comes before the first frame, at the end of a line; whatever is said before it is no frame.
        """
        self._process = process
        self._explain = explain
        self._mark = mark
        self._end_grace_s = end_grace_s
        self._said: deque[str] = deque(maxlen=STDERR_LINES)
        self._greeting: deque[str] = deque(maxlen=STDERR_LINES)
        """What was said in the place of frames."""
        self._listeners: dict[int, Listener] = {}
        self.ended = False
        self._tasks = [
            background(self._listen(), name="line-stderr"),
            background(self._read(), name="line"),
        ]

    @classmethod
    async def open(
        cls,
        argv: Sequence[str],
        *,
        explain: Callable[[str], str],
        mark: bytes = b"",
        end_grace_s: float = END_GRACE_S,
    ) -> Line:
        """Start the process, with no secret in its environment but those of ssh and Ray. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=without_secrets(os.environ, but=("SSH_", "RAY_")),
            start_new_session=True,  # a Ctrl-C in the terminal is for the bench to deal with
        )
        return cls(process, explain, mark, end_grace_s)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def listen_at(self, place: int, listener: Listener) -> None:
        """Tell `listener` what comes from a place from now on."""
        self._listeners[place] = listener
        if self.ended:
            listener.hear_no_more(self.why_ended())

    def forget(self, place: int) -> None:
        """Tell nobody any more what comes from a place."""
        self._listeners.pop(place, None)

    def send(self, place: int, worker: int, body: bytes) -> None:
        """Send a worker's frame; nothing happens when the line has ended."""
        self._write(pack(place, worker, body))

    def say(self, place: int, message: ToAgent) -> None:
        """Say a word to an agent."""
        self._write(pack_message(place, message))

    def why_ended(self) -> str:
        """Return why, in words that follow the name of a host."""
        said = (
            [*self._said, f"something else than an agent answers there: {self.greeting}"]
            if self.greeting
            else self._said
        )
        return self._explain(safe_line(" / ".join(said), limit=1000))

    @property
    def greeting(self) -> str:
        """Return what came in the place of frames so far, as one line; empty where frames come."""
        return safe_line(" / ".join(self._greeting), limit=300)

    async def close(self) -> None:
        """End it and wait until the process is gone."""
        self._listeners.clear()
        await self._end_process()
        for task in self._tasks:
            await end_task(task)

    def _write(self, frame: bytes) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        if not self.ended and not stdin.is_closing():
            stdin.write(frame)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            await self._pass_over_greeting(self._process.stdout)
            while (body := await read_frame(self._process.stdout, MAX_BYTES)) is not None:
                place, worker, said = unpack(body)
                listener = self._listeners.get(place)
                if listener is not None:
                    listener.hear(worker, said)
        except ValueError as error:
            self._greeting.append(str(error))
        finally:
            self.ended = True
        await self._end_process()
        await asyncio.wait(self._tasks[:1], timeout=END_GRACE_S)
        why = self.why_ended()
        for listener in list(self._listeners.values()):
            listener.hear_no_more(why)

    async def _pass_over_greeting(self, stdout: asyncio.StreamReader) -> None:
        """Read up to the mark. Raises ValueError when there is too much before it."""
        if not self._mark:
            return
        for _ in range(MOST_GREETING_LINES):
            line = await stdout.readline()
            if line.endswith(self._mark):
                self._greeting.clear()
                return
            if words := line.decode("utf-8", "replace").strip():
                self._greeting.append(words)
            if not line:
                return
        raise ValueError(f"{MOST_GREETING_LINES} lines")

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):  # a line without end
            while line := await self._process.stderr.readline():
                if words := line.decode("utf-8", "replace").strip():
                    self._said.append(words)

    async def _end_process(self) -> None:
        """End it by the end of its input, which it passes on; else by force."""
        self.ended = True
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(self._end_grace_s):
                await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
