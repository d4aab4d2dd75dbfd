"""The arguments in vLLM's line "non-default args: {...}", Python's repr of a dict that may hold any object's."""

from __future__ import annotations

from tui.core.secrets import is_secret_name

MOST = 100
LONGEST = 200
_OPENING, _CLOSING = "([{<", ")]}>"


def arguments_in(text: str) -> dict[str, str]:
    """Return what stands between the braces, by flag; a value is as it was printed, without quotes around it.

    What is cut off, nested or not understood keeps the rest readable. Nothing by a secret's name is taken.
    """
    found: dict[str, str] = {}
    for part in _parts(text):
        name, colon, value = part.partition(":")
        flag = _unquoted(name).replace("_", "-")
        if colon and flag and len(flag) <= LONGEST and not is_secret_name(flag) and len(found) < MOST:
            found[flag] = _unquoted(value)[:LONGEST]
    return found


def _parts(text: str) -> list[str]:
    """Return what stands between the outermost commas, up to the brace that closes the whole."""
    parts: list[str] = []
    begun = depth = 0
    quote = ""
    escaped = False
    for place, char in enumerate(text):
        if quote:
            if char == quote and not escaped:
                quote = ""
            escaped = char == "\\" and not escaped
        elif char in "'\"":
            quote, escaped = char, False
        elif char in _OPENING:
            depth += 1
        elif char in _CLOSING:
            depth -= 1
            if depth < 0:
                return [*parts, text[begun:place]]
        elif char == "," and not depth:
            parts.append(text[begun:place])
            begun = place + 1
    return parts  # what came last may have been cut


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
