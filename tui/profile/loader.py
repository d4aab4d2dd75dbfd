"""Reads a profile's TOML and tells every mistake in one line: file, key, what was found, what is expected.

A profile is text from outside: its size is limited, nothing in it is executed, and what is echoed of it is short,
free of control characters and never a secret. All mistakes are told at once. Pure but for reading the one file.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tui.core.errors import ProfileError
from tui.core.safe_text import safe_line
from tui.core.toml_text import TOO_DEEP, TomlError, parse_toml
from tui.profile.mistakes import describe, nul_mistakes, one_server_mistake, secret_mistakes
from tui.profile.schema import Profile

MAX_PROFILE_BYTES = 256 * 1024
MAX_PROBLEMS = 50
_POSITION = re.compile(r"\s*\(at (?:line (?P<line>\d+), column \d+|end of document)\)\s*$")


def load_profile(path: Path) -> Profile:
    """Return the profile in `path`, whose name must be the file's stem.

    Raises ProfileError with all mistakes, one line each, unreadable files included.
    """
    source = str(path)
    profile = parse_profile(read_text(path), source)
    if profile.name != path.stem:
        found = safe_line(profile.name, limit=80)
        raise _refusal(source, [f'name: found "{found}", expected "{path.stem}", as the file is named'])
    return profile


def parse_profile(text: str | dict[str, Any], source: str) -> Profile:
    """Return the profile that `text` (TOML, or what it says) describes; `source` is what messages call it.

    Raises ProfileError with all mistakes, one line each.
    """
    document = parse_toml_of(text, source) if isinstance(text, str) else text
    problems = secret_mistakes(document) + nul_mistakes(document)
    try:
        profile = Profile.model_validate(document)
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        problems = [describe(mistake, document) for mistake in mistakes] + problems
        if all(mistake["loc"] for mistake in mistakes):
            # pydantic looks at a model as a whole only when each part is right; we want it all at once.
            problems += one_server_mistake(document)
    if problems:
        raise _refusal(source, problems)
    return profile


def read_text(path: Path, expected: str = "a profile (TOML)") -> str:
    """Return what is in a file that describes a server, of bounded size. Raises ProfileError."""
    source = str(path)
    try:
        if path.exists() and not path.is_file():
            raise _refusal(source, [f"found a folder or a device, expected {expected}"])
        with path.open("rb") as file:
            content = file.read(MAX_PROFILE_BYTES + 1)
        if len(content) > MAX_PROFILE_BYTES:
            raise _refusal(source, [f"found more than {MAX_PROFILE_BYTES:,} bytes, expected {expected}"])
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refusal(source, [f"found a byte that is not UTF-8 at {error.start}, expected {expected}"]) from None
    except FileNotFoundError:
        raise _refusal(source, [f"found no such file, expected {expected}"]) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refusal(source, [f"found it unreadable ({reason}), expected {expected}"]) from None


def parse_toml_of(text: str, source: str) -> dict[str, Any]:
    """Return what TOML says. Raises ProfileError."""
    try:
        return parse_toml(text)
    except TomlError as error:
        problem = _syntax_problem(str(error), last_line=text.count("\n") + 1)
    raise _refusal(source, [problem])


def _syntax_problem(message: str, *, last_line: int) -> str:
    if message == TOO_DEEP:
        return "found values nested too deep, expected a profile"
    position = _POSITION.search(message)
    if position is None:  # int() refuses more than 4,300 digits, and tomllib does not say where
        return "found a number that is too long, expected TOML"
    reason = safe_line(_POSITION.sub("", message), limit=160)
    return f"line {position['line'] or last_line}: found a syntax error ({reason}), expected TOML"


def _refusal(source: str, problems: list[str]) -> ProfileError:
    shown = list(dict.fromkeys(problems))
    more = len(shown) - MAX_PROBLEMS
    if more > 0:
        shown = [*shown[:MAX_PROBLEMS], f"found {more} more mistakes"]
    place = safe_line(source, limit=200)
    return ProfileError([f"{place}: {safe_line(problem, limit=400)}" for problem in shown])
