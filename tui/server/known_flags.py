"""Asks an installed server for its flags, once per installation: vLLM's help takes it half a minute."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.core.errors import UsageError, VrampError
from tui.core.files import atomic_file
from tui.core.paths import cache_dir
from tui.core.tasks import background
from tui.engines.engine import KnownFlags, Launch
from tui.profile.schema import ServerTable
from tui.server.process import output_of

HELP_TIMEOUT_S = 90.0
_MAX_BYTES = 1024 * 1024


class FlagCheck:
    """Compares a profile's flags with those of the server that it names, while that starts."""

    def __init__(self, launch: Launch | None, server: ServerTable | None) -> None:
        self._launch = launch
        self._flags = launch.known_flags if launch is not None else None
        self._server = server
        self._asking: asyncio.Task[list[str]] | None = None

    async def warnings(self) -> list[str]:
        """Return a sentence for each flag of the profile that is not known; none where the server cannot be asked."""
        if self._server is None or self._flags is None:
            return []
        return self._flags.unknown(self._flags.given(self._server), await self._known(self._flags, self._server))

    async def nearest(self, line: str) -> str:
        """Return the nearest flags to those that a line of the log calls unknown, in words; "" when there are none."""
        if self._server is None or self._flags is None:
            return ""
        return self._flags.suggestions(line, await self._known(self._flags, self._server))

    async def _known(self, flags: KnownFlags, server: ServerTable) -> list[str]:
        assert self._launch is not None
        if self._asking is None or self._asking.cancelled():
            asking = _flags_of(flags, self._launch.command(server), self._launch.environment(server))
            self._asking = background(asking, name="server-help")
        return await self._asking


async def _flags_of(known: KnownFlags, executable: list[str], environment: dict[str, str]) -> list[str]:
    command = known.help_command(executable)
    if command is None:
        return []
    file = _cache_file(executable)
    if flags := _read(known, file):
        return flags
    # Its help imports as much as its start does, which must not be slowed by it.
    command = ["nice", *command] if shutil.which("nice") else command
    # tritonserver's goes to stderr, with exit status 1.
    flags = known.flags_in(await output_of(command, environment, HELP_TIMEOUT_S, all_of_it=True))
    if flags and file is not None:
        _write(file, flags)
    return flags


def _cache_file(executable: Sequence[str]) -> Path | None:
    """Return where the flags of an installation are kept: by its path and its date, which every upgrade changes."""
    path = shutil.which(executable[0])
    if path is None:
        return None
    try:
        key = [*executable, str(Path(path).resolve()), str(Path(path).stat().st_mtime_ns)]
        return cache_dir() / f"server-flags-{hashlib.sha256(msgspec.json.encode(key)).hexdigest()[:16]}.json"
    except (OSError, VrampError):
        return None


def _read(known: KnownFlags, file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        with file.open("rb") as opened:
            return known.flags_in(" ".join(msgspec.json.decode(opened.read(_MAX_BYTES), type=list[str])))
    except (OSError, msgspec.DecodeError):
        return []


def _write(file: Path, flags: list[str]) -> None:
    try:
        with atomic_file(file) as opened:
            opened.write(msgspec.json.encode(flags).decode())
    except UsageError:
        pass  # it will be asked again
