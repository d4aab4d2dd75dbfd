"""Which tool a JSON file or a folder of them is of, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.core.errors import SessionError
from tui.metrics.measured import Measured
from tui.session.formats import aiperf, guidellm, inferencex, sglang, vllm_bench
from tui.session.formats.fields import MOST_CELLS, Fields, decoded

SUFFIXES = (".json", ".jsonl")
MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Format:
    """The results of one tool."""

    tool: str
    recognises: Callable[[Fields], bool]
    read: Callable[[str, Sequence[Fields]], Measured]


FORMATS = (
    Format(aiperf.TOOL, aiperf.recognises, aiperf.read),
    Format(guidellm.TOOL, guidellm.recognises, guidellm.read),
    Format(inferencex.TOOL, inferencex.recognises, inferencex.read),
    Format(sglang.TOOL, sglang.recognises, sglang.read),
    Format(vllm_bench.TOOL, vllm_bench.recognises, vllm_bench.read),
)


def read_results(path: Path) -> Measured:
    """Return what a tool's result file, or all result files of a folder, say. Raises SessionError."""
    try:
        if not path.is_dir():
            return results_of(path.name, _documents(path), str(path))
        files = sorted(each for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file())
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from None
    if not files or len(files) > MOST_CELLS:
        raise SessionError(f"{path}: expected from 1 to {MOST_CELLS} files {' or '.join(SUFFIXES)}, found {len(files)}")
    documents = [document for each in files for document in _documents(each)]
    return results_of(path.resolve().name, documents, str(path), strangers_pass=True)


def results_of(name: str, documents: Sequence[Any], source: str, *, strangers_pass: bool = False) -> Measured:
    """Return what documents say; `source` is named in errors, `strangers_pass` leaves out what no tool wrote."""
    rows = [row for each in documents for row in (each if isinstance(each, list) else [each])]
    fields = [Fields(row) for row in rows if isinstance(row, dict)]
    known = [(each, form) for each in fields if (form := _form_of(each)) is not None]
    forms = {form.tool: form for _, form in known}
    try:
        if not known or (len(known) < len(rows) and not strangers_pass):
            tools = ", ".join(form.tool for form in FORMATS)
            raise SessionError(f"expected a session, an export, or results of {tools}; found something else")
        if len(forms) > 1:
            raise SessionError(f"expected results of one tool, found {' and '.join(forms)}")
        (form,) = forms.values()
        return form.read(name, [each for each, _ in known])
    except SessionError as error:
        raise SessionError(f"{source}: {error}") from None


def _form_of(document: Fields) -> Format | None:
    return next((form for form in FORMATS if form.recognises(document)), None)


def _documents(path: Path) -> list[Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SessionError(f"{path}: expected at most {MAX_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise SessionError(f"{path}: {error.strerror}") from None
    try:
        return decoded(content)
    except SessionError as error:
        raise SessionError(f"{path}: {error}") from None
