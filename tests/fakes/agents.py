"""Hosts whose agents are plain processes of this machine: all but the way there is as on another machine."""

from __future__ import annotations

import sys

from tui.hosts.line import Line
from tui.hosts.remote_host import RemoteHost

AGENT = (sys.executable, "-P", "-m", "tui.hosts.agent")


class HostHere(RemoteHost):
    """A host that the test can kill, and bring back."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self._open, shared=False)
        self.argv: tuple[str, ...] = AGENT
        self.lines: list[Line] = []
        self.is_down = False

    async def _open(self) -> Line:
        if self.is_down:
            raise OSError(f"{self.name} is down")
        self.lines.append(await Line.open(self.argv, explain=lambda said: f"is gone{': ' if said else ''}{said}"))
        return self.lines[-1]

    @property
    def agent_pid(self) -> int:
        return self.lines[-1].pid
