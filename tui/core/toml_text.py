"""Reads TOML from outside within bounds. The only user of tomllib.

tomllib's work and memory grow with the square of a key's parts: 40 kB of one dotted key take 1.6 GB. Nobody writes keys
of more than a few parts, so longer ones are refused before it sees them.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_KEY_PARTS = 24
TOO_DEEP = "Values nested too deep"
_PART = r"(?:[A-Za-z0-9_-]+|\"[^\"\n]*\"|'[^'\n]*')"
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_.-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_KEY_PARTS}}}")


class TomlError(ValueError):
    """The text is no TOML, or none that is read here; the message is tomllib's, or names the bound."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the document that `text` is. Raises TomlError."""
    if (found := _LONG_KEY.search(text)) is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise TomlError(f"A key of more than {MAX_KEY_PARTS} parts (at line {line}, column 1)")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TomlError(TOO_DEEP) from None
    except ValueError as error:  # TOMLDecodeError, and what int() refuses
        raise TomlError(str(error)) from None
