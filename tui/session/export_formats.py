"""A session in the formats of other tools: a file for each cell that was answered, the latest measure of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.files import atomic_file
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.session.formats import export_llmd, export_vllm
from tui.session.formats.cell_requests import CellRequests
from tui.session.kept_profile import profile_of
from tui.session.reader import SessionReader, latest_cells
from tui.session.tables import sanitised

FORMATS = ("vllm", "llm-d")
OnProgress = Callable[[float], None]


def write(reader: SessionReader, folder: Path, form: str, on_progress: OnProgress = lambda share: None) -> list[Path]:
    """Write a file for each answered cell into a folder of `folder`; return their paths.

    Raises SessionError (a damaged session), UsageError (a folder that cannot be written).
    """
    written = []
    cells = [
        cell for cell in latest_cells(reader.cells(), None) if cell.outcome is Outcome.OK and cell.tag and cell.measured
    ]
    for number, (cell, told) in enumerate(_documents(reader, cells, form), start=1):
        path = folder / form / f"{cell.mode}-{cell.users:05d}x{cell.prompt_tokens:07d}.json"
        with atomic_file(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(sanitised(told)), indent=1).decode() + "\n")
        written.append(path)
        on_progress(number / len(cells))
    return written


def _documents(
    reader: SessionReader, cells: list[CellResult], form: str
) -> Iterator[tuple[CellResult, dict[str, Any]]]:
    meta, profile, server = reader.meta, profile_of(reader.meta), reader.server
    model = server.model if server is not None else ""
    if not model and profile is not None and profile.server is not None:
        model = profile.server.model
    for cell, requests in _requests_of(reader, {cell.tag: cell for cell in cells}):
        if not requests.e2e:
            continue
        if form == "vllm":
            yield cell, export_vllm.document(meta, profile, model, cell, requests)
        else:
            end_ns = cell.started_at_ns + round((cell.duration_s or 0.0) * NS_PER_S)
            series = list(reader.series(since_ns=cell.started_at_ns, until_ns=end_ns, last=export_llmd.MOST_POINTS))
            yield cell, export_llmd.document(meta, profile, server, cell, requests, series)


def _requests_of(reader: SessionReader, due: dict[int, CellResult]) -> Iterator[tuple[CellResult, CellRequests]]:
    """Yield each cell, by its tag, with its requests as soon as all of them are read: the file is read once."""
    left = reader.count_by_tag(due)
    begun: dict[int, CellRequests] = {}
    for record in reader.requests_of(due):
        tag = record.tag
        if tag not in due:
            continue  # it was written since they were counted
        begun.setdefault(tag, CellRequests()).add(record)
        left[tag] = left.get(tag, 0) - 1
        if left[tag] == 0:
            yield due.pop(tag), begun.pop(tag)
    yield from ((due[tag], requests) for tag, requests in begun.items())
