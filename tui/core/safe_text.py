"""Cleans text from outside: logs, model output, names, error bodies, files.

Control characters never reach a terminal, lone surrogates never reach a file, and the secrets that this process knows
reach neither.
"""

from __future__ import annotations

import re

from tui.core.known_secrets import hide_known

# CSI and OSC sequences go as a whole, so that no "[31m" is left behind; the rest character by character.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
# C0, DEL, C1, and the characters that reorder or hide text: bidi controls, zero-width marks, BOM, surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def safe_text(text: str, *, limit: int | None = None) -> str:
    """Return `text` without control characters and known secrets, cut to `limit` characters.

    Tabs become spaces, newlines stay.
    """
    # Hidden before, for a secret may hold what is taken out; and after, for it may only come together by that.
    text = _CONTROL.sub("", _ESCAPE_SEQUENCE.sub("", hide_known(text)))
    text = hide_known(text).replace("\t", "    ")
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    return text


def safe_line(text: str, *, limit: int | None = None) -> str:
    """Return `text` as one line: as `safe_text`, with newlines made spaces."""
    if not text:
        return text
    text = hide_known(text)  # of several lines, perhaps
    return safe_text(text.replace("\r\n", " ").replace("\n", " ").replace("\r", " "), limit=limit)
