"""Summaries of sessions that are not written any more, remembered: two thousand of them are listed in a moment.

One JSON file in the cache folder. It can be removed at any time: what it lacks is read from the sessions, and an entry
counts only while its session file is the same, by size, time and inode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tui import __version__
from tui.core.errors import VrampError
from tui.core.files import atomic_file
from tui.core.paths import cache_dir
from tui.session.session_summary import SessionSummary

# What a summary holds goes with the version of vramp, and with this number where it changes in between.
_VERSION = f"{__version__}/3"
_MAX_BYTES = 64 * 1024 * 1024

Identity = tuple[int, ...]
"""Size, time of the last change (ns) and inode, of the file and of its -wal."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    identity: Identity
    summary: SessionSummary


class _Index(msgspec.Struct, frozen=True):
    version: str
    entries: dict[str, _Entry]
    """By the session file's name."""


class ShelfIndex:
    """What is remembered of the sessions in one folder."""

    def __init__(self, folder: Path) -> None:
        """Read it; what is not there, of another version, or damaged counts as empty."""
        self._entries: dict[str, _Entry] = {}
        self._changed = False
        self._file: Path | None = None
        try:
            name = hashlib.sha256(str(folder.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
            self._file = cache_dir() / f"sessions-{name}.json"
            with self._file.open("rb") as file:
                index = msgspec.json.decode(file.read(_MAX_BYTES), type=_Index)
            if index.version == _VERSION:
                self._entries = index.entries
        except (OSError, VrampError, msgspec.DecodeError):
            pass

    def get(self, path: Path, identity: Identity) -> SessionSummary | None:
        """Return the summary of a session file that is the same as when it was put; else None."""
        entry = self._entries.get(path.name)
        return entry.summary if entry is not None and entry.identity == identity else None

    def put(self, path: Path, identity: Identity, summary: SessionSummary) -> None:
        """Remember a summary."""
        self._entries[path.name] = _Entry(identity, summary)
        self._changed = True

    def save(self, kept: Iterable[Path]) -> None:
        """Write what changed, without what is not `kept` any more. Where that is impossible, it is all read again."""
        names = {path.name for path in kept}
        entries = {name: entry for name, entry in self._entries.items() if name in names}
        if self._file is None or not (self._changed or len(entries) < len(self._entries)):
            return
        try:
            with atomic_file(self._file) as file:
                file.write(msgspec.json.encode(_Index(_VERSION, entries)).decode())
        except (VrampError, UnicodeEncodeError):
            pass
