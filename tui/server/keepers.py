"""What a bench has of one launch: the watcher, the way to its guardian, and what both hold. asyncio."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tui.server.scratch import make_scratch, remove_scratch


@dataclass(slots=True)
class Keepers:
    """Made by `start`. Afterwards `dismiss` or, once the watcher has ended, `let_go`."""

    watcher: asyncio.subprocess.Process
    """Our child; the guardian is its child, and ends before it unless the watcher was killed."""
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    scratch: str
    _lease: int | None

    @classmethod
    async def start(cls, log_file: Path, removal: Sequence[str] = ()) -> Keepers:
        """Start a watcher, which starts a guardian. `removal`: the command that removes the server's container.

        Raises OSError.
        """
        with ExitStack() as unless_started:
            scratch = make_scratch()
            unless_started.callback(remove_scratch, scratch)
            leased, lease = os.pipe()
            unless_started.callback(os.close, lease)
            ours, theirs = socket.socketpair()
            unless_started.callback(ours.close)
            try:
                watcher = await _start_watcher(theirs, lease, log_file, scratch, *removal)
            finally:
                theirs.close()
                os.close(leased)  # the guardian opens it again, for the server alone
            unless_started.pop_all()
        ours.setblocking(False)
        try:
            reader, writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            ours.close()
            await asyncio.shield(watcher.wait())
            os.close(lease)
            remove_scratch(scratch)
            raise
        return cls(watcher, reader, writer, scratch, lease)

    def say(self, message: Mapping[str, object]) -> None:
        """Tell the guardian, if it can still be told."""
        if not self.writer.is_closing():
            self.writer.write(json.dumps(message).encode() + b"\n")

    async def dismiss(self) -> None:
        """End them, who then end what they have started, and let go."""
        self.writer.close()
        await asyncio.shield(self.watcher.wait())
        self.let_go()

    def let_go(self) -> None:
        """Give back what a launch has of this process, once nothing of its server is left."""
        remove_scratch(self.scratch)
        if self._lease is not None:
            os.close(self._lease)
            self._lease = None


async def _start_watcher(
    bench: socket.socket, lease: int, log_file: Path, scratch: str, *removal: str
) -> asyncio.subprocess.Process:
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tui.server.watcher",
            scratch,
            *removal,
            stdin=bench.fileno(),
            stdout=lease,
            stderr=descriptor,
            start_new_session=True,
        )
    finally:
        os.close(descriptor)
