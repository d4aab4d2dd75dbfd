"""JSON of other tools, read within bounds: what is absent or no number of the field is None, never a guess. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult
from tui.metrics.circumstances import Circumstances
from tui.metrics.measured import Measured
from tui.metrics.percentile import sample_floor
from tui.profile.schema import MAX_TOKENS, MAX_USERS

_PERCENTILE = re.compile(r"(?:ttft|tpot|e2e)_p([0-9]+)_s")
MOST_CELLS = 2_000
MOST_NUMBER = 1e15
_TEXT_LIMIT = 160


class Fields:
    """A JSON object whose members are asked for by their path."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def at(self, *path: str) -> object:
        """Return what is at a path of keys; None where there is nothing."""
        found: object = self._document
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found

    def has(self, *keys: str) -> bool:
        """Say whether it has all of these members."""
        return all(key in self._document for key in keys)

    def number(self, *path: str) -> float | None:
        """Return a finite number that is not negative."""
        return number_of(self.at(*path))

    def seconds(self, *path: str) -> float | None:
        """Return milliseconds as seconds."""
        value = self.number(*path)
        return None if value is None else value / 1e3

    def count(self, *path: str) -> int | None:
        """Return a whole number that is not negative."""
        value = self.number(*path)
        return None if value is None or value != int(value) else int(value)

    def text(self, *path: str) -> str:
        """Return a text as one safe line; "" where there is none."""
        found = self.at(*path)
        return safe_line(found, limit=_TEXT_LIMIT) if isinstance(found, str) else ""

    def numbers(self, *path: str) -> list[float]:
        """Return a list of numbers; those that are none are left out."""
        found = self.at(*path)
        return [value for each in found if (value := number_of(each)) is not None] if isinstance(found, list) else []

    def objects(self, *path: str) -> list[Fields]:
        """Return the objects of a list."""
        found = self.at(*path)
        return [Fields(each) for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def number_of(value: object) -> float | None:
    """Return a finite number that is not negative, of JSON's own kinds; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MOST_NUMBER and math.isfinite(value) else None


def cell_of(
    users: float | None,
    prompt_tokens: float | None,
    output_tokens: float | None,
    mode: str,
    *,
    ok: int | None,
    failed: int,
    simulated: bool,
    **figures: Any,
) -> CellResult:
    """Return a cell of a tool's figures; percentiles over so few requests that they carry none are left out.

    `ok` = None: how many requests were answered is not told. Raises SessionError for sizes that no cell can have.
    """
    sizes = {"users": (users, MAX_USERS), "prompt tokens": (prompt_tokens, MAX_TOKENS)}
    for name, (size, most) in sizes.items():
        if size is None or not 1 <= round(size) <= most:
            raise SessionError(f"expected from 1 to {most:,} {name}, found {'none' if size is None else size}")
    assert users is not None and prompt_tokens is not None
    return CellResult(
        users=round(users),
        prompt_tokens=round(prompt_tokens),
        output_tokens=min(round(output_tokens or 0), MAX_TOKENS),
        mode=mode,
        outcome=Outcome.HTTP_ERROR if ok == 0 else Outcome.OK,
        tag=1,
        requests_ok=ok or 0,
        requests_failed=failed,
        simulated=simulated,
        **({} if ok == 0 else {name: value for name, value in figures.items() if _carried(name, ok)}),
    )


def _carried(figure: str, requests: int | None) -> bool:
    """Say whether so many requests carry a percentile; gaps are many more than requests."""
    found = _PERCENTILE.fullmatch(figure)
    return requests is None or found is None or requests >= sample_floor(float(found[1]))


def side_of(
    name: str,
    tool: str,
    cells: Sequence[CellResult],
    told: Mapping[str, str],
    notes: Iterable[str],
    *,
    sizes_are_means: bool = False,
    source: str = "",
) -> Measured:
    """Return what a tool measured as a side of a comparison. Raises SessionError for none, and for too many cells."""
    if not cells:
        raise SessionError(f"expected results of {tool}, found none")
    if len(cells) > MOST_CELLS:
        raise SessionError(f"expected at most {MOST_CELLS} cells, found {len(cells)}")
    simulated = any(cell.simulated for cell in cells)
    known = {"measured by": tool, "figures": "simulated" if simulated else "measured"}
    known |= {key: value for key, value in told.items() if value}
    modes = sorted({cell.mode for cell in cells})
    outputs = sorted({cell.output_tokens for cell in cells if cell.output_tokens})
    known["mode"] = ", ".join(modes)
    if outputs:
        known["output tokens"] = ", ".join(map(str, outputs[:8]))
    return Measured(
        name=safe_line(name, limit=80),
        source=source or f"result of {tool}",
        simulated=simulated,
        circumstances=Circumstances(told=known),
        cells=list(cells),
        sizes_are_means=sizes_are_means,
        notes=list(dict.fromkeys(notes)),
    )


def is_simulated(model: str) -> bool:
    """Say whether a model's name is one of a simulated server of vramp: other tools tell no more of it."""
    return model.lower().startswith("vramp/simulated")


def decoded(content: bytes) -> list[Any]:
    """Return the document of JSON, or all documents of JSON lines. Raises SessionError."""
    try:
        return [_document(content)]
    except RecursionError:
        raise SessionError("expected JSON: values nested too deep") from None
    except ValueError as error:
        lines = [line for line in content.splitlines() if line.strip()]
        if len(lines) < 2 or len(lines) > MOST_CELLS:
            raise SessionError(f"expected JSON: {safe_line(str(error), limit=200)}") from None
        try:
            return [_document(line) for line in lines]
        except (ValueError, RecursionError) as wrong:
            raise SessionError(f"expected JSON lines: {safe_line(str(wrong), limit=200)}") from None


def _document(content: bytes) -> Any:
    """Decode JSON, and what Python writes in its place for numbers that JSON has none for: Infinity, NaN."""
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return json.loads(content)
