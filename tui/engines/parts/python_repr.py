"""Values as Python prints them, for servers whose logs tell their arguments so. Pure; nothing is ever evaluated."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

DEEPEST = 8
"""What is nested deeper stays text."""
_OPENING, _CLOSING = "([{<", ")]}>"
_ENUM = re.compile(r"<[\w.]{1,200}\.(\w{1,200})(?:: (.*))?>", re.DOTALL)
_OBJECT = re.compile(r"[A-Za-z_][\w.]{0,200}\(")
_NOTHING = frozenset({"None", "null", ""})


@dataclass(frozen=True, slots=True)
class Member:
    """One of an enum: `<Mode.NONE: 0>`, or `<Mode.NONE>`."""

    name: str
    value: Value


Value: TypeAlias = "str | Member | list[Value] | dict[str, Value] | None"
"""A number or a truth value is its text; an object is what it was made of, by name."""


def value_of(text: str, depth: int = 0) -> Value:
    """Return what was printed; of a text that was cut off, what is whole of it."""
    text = text.strip()
    if depth >= DEEPEST:
        return text
    if text.startswith("{"):
        return _members(parts_of(text[1:]), ":", depth)
    if text.startswith(("[", "(")):
        return [value_of(part, depth + 1) for part in parts_of(text[1:])]
    if enum := _ENUM.fullmatch(text):
        return Member(enum[1], value_of(enum[2] or "", depth + 1))
    if made := _OBJECT.match(text):
        return _members(parts_of(text[made.end() :]), "=", depth)
    return None if text in _NOTHING else unquoted(text)


def _members(parts: list[str], sign: str, depth: int) -> dict[str, Value] | list[Value]:
    """Return what is named, by its name; where nothing is, as of a set, a list."""
    found = [part.partition(sign) for part in parts]
    if parts and not any(between for _, between, _ in found):
        return [value_of(part, depth + 1) for part in parts]
    return {unquoted(name): value_of(value, depth + 1) for name, between, value in found if between}


def parts_of(text: str) -> list[str]:
    """Return what stands between the outermost commas, up to the bracket that closes the whole; not what is cut off."""
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
                last = text[begun:place]
                return [*parts, last] if last.strip() else parts
        elif char == "," and not depth:
            parts.append(text[begun:place])
            begun = place + 1
    return parts  # what came last may have been cut


def unquoted(text: str) -> str:
    """Return a text without the quotes around it."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
