"""A session as one archive to send to somebody: its export, its report, its logs, without a secret in any of them."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tui.core.errors import UsageError
from tui.core.files import atomic_file
from tui.core.known_secrets import hide_known
from tui.core.secrets import NOT_KEPT, hide_in_text
from tui.report.facts import OnStep
from tui.report.report import write_report
from tui.session import shelf
from tui.session.export import export_session
from tui.session.export_csv import REQUESTS_FILE

MOST_BYTES = 1_000_000_000
"""Of all files before they are compressed."""
LOG_HEAD_BYTES, LOG_TAIL_BYTES = 1_000_000, 4_000_000
"""Of a long log its beginning and its end are sent: how it was started, and why it died."""
_BLOCK, _MOST_BLOCK = 64 * 1024, 1024 * 1024
_QUICK = 1
"""The level of the compression: of figures, the best one makes a tenth less of it in ten times the time."""
_KEY_BEGIN, _KEY_END = "-----BEGIN ", "-----END "
REPORT_FILE = "report.html"


@dataclass(slots=True)
class Packed:
    """What was packed."""

    path: Path
    files: int = 0
    hidden: int = 0
    """Places at which something that looks like a secret was made unreadable."""


def pack(session: Path, out: Path, on_step: OnStep = lambda said: None, *, requests: bool = True) -> Packed:
    """Write a session's archive, a zip, whole or not at all; without `requests`, without the file that lists them.

    Raises SessionError (the session cannot be read), UsageError (`out` cannot be written; more than `MOST_BYTES`).
    """
    packed = Packed(out)
    with atomic_file(out) as file, tempfile.TemporaryDirectory(prefix="vramp-pack-", dir=out.absolute().parent) as name:
        folder = Path(name)
        on_step("exporting")
        written = export_session(session, folder, on_progress=lambda share: on_step(f"exporting {share:.0%}"))
        written.append(write_report([session], folder / REPORT_FILE, on_step))
        logs = [path for path in shelf.log_files(session) if path.is_file()]
        if not requests:
            written = [path for path in written if path.name != REQUESTS_FILE]
        _check_size(written, requests=requests)
        top = session.stem.lstrip(".") or "session"
        with zipfile.ZipFile(file.buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=_QUICK) as archive:
            for path in written:
                on_step(f"packing {path.name}")
                _add(archive, f"{top}/{path.name}", _lines(path), packed)
            for path in logs:
                on_step(f"packing {path.name}")
                _add(archive, f"{top}/{path.name}", _log_lines(path), packed)
    return packed


def default_name(session: Path) -> Path:
    """Return the archive's path where none was given: of the session's name, in the present folder."""
    return Path(f"{session.stem.lstrip('.') or 'session'}.zip")


def _check_size(paths: Iterable[Path], *, requests: bool) -> None:
    total = sum(path.stat().st_size for path in paths)
    if total > MOST_BYTES:
        hint = "; --without-requests leaves out the largest of them" if requests else ""
        raise UsageError(f"its export has {total / 1e9:.1f} GB, an archive may have {MOST_BYTES / 1e9:.0f}{hint}")


def _add(archive: zipfile.ZipFile, name: str, lines: Iterable[str], packed: Packed) -> None:
    with archive.open(name, "w", force_zip64=True) as raw, io.TextIOWrapper(raw, encoding="utf-8", newline="") as file:
        for block in _blocks(lines):
            clean = hide_in_text(hide_known(block, NOT_KEPT), NOT_KEPT)
            packed.hidden += clean.count(NOT_KEPT) - block.count(NOT_KEPT)
            file.write(clean)
    packed.files += 1


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines by many; what is written over several lines, as a private key is, is not parted."""
    block: list[str] = []
    size, within = 0, False
    for line in lines:
        block.append(line)
        size += len(line)
        within = _KEY_END not in line if _KEY_BEGIN in line else within and _KEY_END not in line
        if size >= _MOST_BLOCK or (size >= _BLOCK and not within):
            yield "".join(block)
            block, size = [], 0
    yield "".join(block)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        yield from file


def _log_lines(path: Path) -> Iterator[str]:
    """Yield a log, of a long one its beginning and its end; lines that are cut are left out: they may cut a secret."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= LOG_HEAD_BYTES + LOG_TAIL_BYTES:
            yield from _decoded(file.read(LOG_HEAD_BYTES + LOG_TAIL_BYTES))
            return
        head, _, _ = file.read(LOG_HEAD_BYTES).rpartition(b"\n")
        yield from _decoded(head + b"\n")
        yield f"... {size - LOG_HEAD_BYTES - LOG_TAIL_BYTES:,} bytes left out ...\n"
        file.seek(size - LOG_TAIL_BYTES)
        _, _, tail = file.read(LOG_TAIL_BYTES).partition(b"\n")
        yield from _decoded(tail)


def _decoded(content: bytes) -> Iterator[str]:
    return iter(content.decode("utf-8", "replace").splitlines(keepends=True))
