"""The export of a session that goes on, whether or not its file can be kept."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from tui.core.errors import UsageError
from tui.session.export import export_folder, export_open_session, export_session
from tui.session.reader import SessionReader
from tui.session.store import SessionWriter


def export_now(writer: SessionWriter, folder: Path | None) -> Path:
    """Write what the session holds by now into `folder`, or beside its file; return where. Raises VrampError."""
    name = export_folder(writer.path)
    writer.flush()
    if not writer.failure:
        folder = folder or writer.path.with_name(name)
        export_session(writer.path, folder)
        return folder
    # Where the session cannot be kept its export cannot either.
    *others, last = [folder] if folder else [Path.cwd() / name, Path(tempfile.gettempdir()) / name]
    for place in others:
        with suppress(UsageError):
            return _from_memory(writer, place)
    return _from_memory(writer, last)


def _from_memory(writer: SessionWriter, folder: Path) -> Path:
    with SessionReader(writer.path, writer.in_memory()) as reader:
        export_open_session(reader, folder)
    return folder
