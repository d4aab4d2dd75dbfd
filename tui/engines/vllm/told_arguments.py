"""The arguments in vLLM's line "non-default args: {...}", Python's repr of a dict that may hold any object's."""

from __future__ import annotations

from tui.core.secrets import is_secret_name
from tui.engines.parts.python_repr import DEEPEST, parts_of, unquoted

MOST = 100
LONGEST = 2000
"""A configuration is printed whole, with all of its defaults: 1,235 characters of one that gives three of them."""


def arguments_in(text: str) -> dict[str, str]:
    """Return what stands between the braces, by flag; a value is as it was printed, without quotes around it.

    What is cut off or not understood keeps the rest readable. Nothing by a secret's name is taken, however deep.
    """
    found: dict[str, str] = {}
    for part in parts_of(text):
        name, colon, value = part.partition(":")
        flag = unquoted(name).replace("_", "-")
        if colon and flag and len(flag) <= LONGEST and not is_secret_name(flag) and len(found) < MOST:
            found[flag] = _without_secrets(unquoted(value))[:LONGEST]
    return found


def _without_secrets(text: str, depth: int = 0) -> str:
    if not text.startswith("{"):
        return text
    if depth >= DEEPEST:
        return "{}"
    kept = []
    for part in parts_of(text[1:]):
        name, colon, value = part.strip().partition(": ")
        if not is_secret_name(unquoted(name)):
            kept.append(name + colon + _without_secrets(value, depth + 1))
    return "{" + ", ".join(kept) + "}"
