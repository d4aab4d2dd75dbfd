"""Cleans text from outside: logs, model output, names, error bodies, files.

Control characters never reach a terminal, and lone surrogates never reach a file.
"""

from __future__ import annotations

import re

# CSI and OSC sequences go as a whole, so that no "[31m" is left behind; the rest character by character.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
# C0, DEL, C1, and the characters that reorder or hide text: bidi controls, zero-width marks, BOM, surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def safe_text(text: str, *, limit: int | None = None) -> str:
    """Return `text` without control characters; tabs become spaces, newlines stay; cut to `limit` characters."""
    text = _CONTROL.sub("", _ESCAPE_SEQUENCE.sub("", text)).replace("\t", "    ")
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    return text


def safe_line(text: str, *, limit: int | None = None) -> str:
    """Return `text` as one line: as `safe_text`, with newlines made spaces."""
    return safe_text(text.replace("\r\n", " ").replace("\n", " ").replace("\r", " "), limit=limit)
