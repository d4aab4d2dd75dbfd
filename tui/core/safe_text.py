"""Cleans text from outside: logs, model output, names, error bodies, files.

Control characters never reach a terminal, lone surrogates never reach a file, and the secrets that this process knows
reach neither.
"""

from __future__ import annotations

import re
import unicodedata

from tui.core.known_secrets import hide_known

# CSI and OSC sequences go as a whole, so that no "[31m" is left behind; the rest character by character.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
# C0, DEL, C1, and the characters that reorder or hide text: bidi controls, zero-width marks, fillers, BOM, surrogates,
# tags.
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
# No language stacks more marks on one letter; a flood of them covers the lines around it.
_MOST_MARKS = 4
_MAY_BE_MARKS = re.compile(f"[^\x00-\u02ff]{{{_MOST_MARKS + 1},}}")


def safe_text(text: str, *, limit: int | None = None) -> str:
    """Return `text` without control characters and known secrets, cut to `limit` characters.

    Tabs become spaces, newlines stay.
    """
    # Hidden before, for a secret may hold what is taken out; and after, for it may only come together by that.
    text = _CONTROL.sub("", _ESCAPE_SEQUENCE.sub("", hide_known(text)))
    text = hide_known(text).replace("\t", "    ")
    if not text.isascii():
        text = _MAY_BE_MARKS.sub(_without_flood, text)
    if limit is not None and len(text) > limit:
        text = text[: max(0, limit - 1)] + "…"
    return text


def _without_flood(found: re.Match[str]) -> str:
    kept, marks = [], 0
    for character in found[0]:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def safe_line(text: str, *, limit: int | None = None) -> str:
    """Return `text` as one line: as `safe_text`, with newlines made spaces."""
    if not text:
        return text
    text = hide_known(text)  # of several lines, perhaps
    return safe_text(text.replace("\r\n", " ").replace("\n", " ").replace("\r", " "), limit=limit)
