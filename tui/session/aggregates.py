"""What SQLite counts up of a session by itself, so that a million requests need not be read one by one. Pure.

Rows come from a file, which is untrusted: they are checked here.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tui.core.errors import SessionError
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.metrics.reading import place_of

_T = TypeVar("_T", bound=msgspec.Struct)
MOST_SAID = 300
"""Characters of what was said of a failure by which alike ones are told."""
MAX_DEVICES = 1024
"""GPUs and slices of them."""


class RequestEnds(msgspec.Struct, frozen=True):
    """Requests that ended alike."""

    outcome: Outcome
    http_status: int | None
    error: str
    """What the server or the network said, its beginning."""
    count: int
    first_ns: int
    """When the first of them ended."""


class VramPoint(msgspec.Struct, frozen=True):
    """The most of a GPU's VRAM that was used in a stretch of time."""

    index: int
    mig_index: int | None
    at_ns: int
    used_bytes: int | None
    total_bytes: int | None
    host: str = ""

    @property
    def place(self) -> str:
        """Return which GPU or slice it is: "0", "0:1", or "node2/0:1"."""
        return place_of(self.index, self.mig_index, self.host)


def request_ends(row: tuple[Any, ...]) -> RequestEnds:
    """Return a row of outcome, HTTP status, error, count, first end. Raises SessionError."""
    outcome, status, error, count, first_ns = row
    return _converted((outcome, status, safe_line(str(error or "")), count, first_ns), RequestEnds)


def vram_point(row: tuple[Any, ...]) -> VramPoint:
    """Return a row of index, slice, moment, bytes used and in all, host. Raises SessionError."""
    *figures, host = row
    return _converted((*figures, safe_line(str(host or ""))), VramPoint)


def _converted(row: tuple[Any, ...], struct: type[_T]) -> _T:
    try:
        return msgspec.convert(dict(zip(struct.__struct_fields__, row, strict=True)), struct)
    except msgspec.ValidationError as error:
        raise SessionError(f"the session file is damaged: {error}") from None
