"""`vramp ctl`: the keys of the app as commands, for scripts, stage clickers and CI. stdout is data."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from tui.core.errors import BenchLost, ExitCode
from tui.core.printing import complain, narrate, tell
from tui.link.client import BenchLink
from tui.link.launcher import RunningBench
from tui.link.protocol import Command, Export, StopBench
from tui.metrics.snapshot import Snapshot
from tui.remote.status import in_words, status_of
from tui.remote.waiting import CONDITIONS, LASTS_S, Found

_ONE_LOOK_HZ = 0.1
_WAITING_HZ = 4.0


@dataclass(frozen=True, slots=True)
class Control:
    """Steers one session, each call over a connection of its own, which keeps no session going."""

    bench: RunningBench
    as_json: bool = False

    def send(self, command: Command) -> ExitCode:
        """Give a command and tell what came of it. Raises BenchLost."""
        return asyncio.run(self._send(command))

    def status(self) -> ExitCode:
        """Tell what the session is doing. Raises BenchLost."""
        return asyncio.run(self._status())

    def wait(self, condition: str, timeout_s: float | None) -> ExitCode:
        """Wait until `condition` (`waiting.CONDITIONS`) holds, and tell how it came. Raises BenchLost."""
        return asyncio.run(self._wait(condition, timeout_s))

    @asynccontextmanager
    async def _line(self, *, read_only: bool = False, refresh_hz: float = _ONE_LOOK_HZ) -> AsyncIterator[BenchLink]:
        path = self.bench.socket_path
        link = await BenchLink.connect(path, read_only=read_only, refresh_hz=refresh_hz, passing=True)
        try:
            yield link
        finally:
            await link.close()

    async def _send(self, command: Command) -> ExitCode:
        async with self._line() as link:
            reply = await link.request(command)
        if self.as_json:
            self._tell_json({"ok": reply.ok, "message": reply.message})
        if not reply.ok:
            complain(reply.message)
            return ExitCode.UNEXPECTED
        if self.as_json:
            return ExitCode.OK
        match command:
            case Export():
                tell(reply.message)
            case StopBench():
                narrate(f"session {self.bench.session_id} has ended" + (f"; {reply.message}" if reply.message else ""))
            case _ if reply.message:
                narrate(reply.message)
        return ExitCode.OK

    async def _status(self) -> ExitCode:
        async with self._line(read_only=True) as link:
            snapshot = await _first(link)
        if self.as_json:
            tell(msgspec.json.encode(status_of(snapshot)).decode())
        else:
            tell("\n".join(in_words(snapshot)))
        return ExitCode.OK

    async def _wait(self, condition: str, timeout_s: float | None) -> ExitCode:
        async with self._line(read_only=True, refresh_hz=_WAITING_HZ) as link:
            found = await _within(timeout_s, _until(link, condition), condition)
        if self.as_json:
            self._tell_json({"ok": found.code is ExitCode.OK, "waited_for": condition, "message": found.sentence})
        elif found.code is ExitCode.OK:
            tell(found.sentence)
        if found.code is not ExitCode.OK:
            complain(found.sentence)
        return found.code

    def _tell_json(self, answer: dict[str, Any]) -> None:
        tell(msgspec.json.encode({"session": self.bench.session_id, **answer}).decode())


async def _first(link: BenchLink) -> Snapshot:
    async for snapshot in link.snapshots():
        return snapshot
    raise BenchLost(link.why_gone)


async def _until(link: BenchLink, condition: str) -> Found:
    holds, since_s = CONDITIONS[condition], math.inf
    found = None
    async for snapshot in link.snapshots():
        found = holds(snapshot)
        if found is None:
            since_s = math.inf
            continue
        since_s = min(since_s, time.monotonic())
        if found.lasting or time.monotonic() - since_s >= LASTS_S:
            return found
    if found is not None and link.farewell is not None and link.farewell.ok:
        return found
    raise BenchLost(link.why_gone)


async def _within(timeout_s: float | None, waiting: Awaitable[Found], condition: str) -> Found:
    try:
        async with asyncio.timeout(timeout_s):
            return await waiting
    except TimeoutError:
        return Found(f"not {condition} within {timeout_s:g} s", ExitCode.INTERRUPTED)
