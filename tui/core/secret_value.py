"""The one place where secrets are read: values of environment variables that profiles name, never in a message."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from tui.core.errors import UsageError
from tui.core.known_secrets import learn

# Keys are pasted: line breaks, spaces and byte order marks around them are not theirs.
_AROUND = " \t\r\n\v\f\u00a0\u200b\ufeff"
# A byte order mark that was read as Latin-1 by whatever set the variable.
_MARK = "\u00ef\u00bb\u00bf"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNFIT = re.compile(r"[^\x00-\xff]")
_lent: dict[str, str] = {}


def lend(values: Mapping[str, str]) -> None:
    """Have values for variables that this process's environment lacks. They come into no environment."""
    _lent.update(values)


def raw_secrets(variables: Iterable[str]) -> dict[str, str]:
    """Return those of the variables that are set, with their values as they are: for a process that is to use them."""
    found = ((variable, _raw(variable)) for variable in variables)
    return {variable: value for variable, value in found if value}


def _raw(variable: str) -> str:
    return _lent.get(variable) or os.environ.get(variable, "")


def secret_of(variable: str) -> str | None:
    """Return the value of an environment variable, or the one that was lent for it; None where it is unset or empty.

    White space around it is not its own. Raises UsageError, which names the variable and not the value, for one that no
    header can carry. The value is known from then on, and hidden wherever it turns up.
    """
    raw = _raw(variable)
    value = raw.strip(_AROUND).removeprefix(_MARK).strip(_AROUND)
    learn(raw)
    learn(value)
    if _CONTROL.search(value):
        raise UsageError(f"The environment variable {variable} holds a line break or another control character")
    if _UNFIT.search(value):
        raise UsageError(f"The environment variable {variable} holds a character that no header can carry")
    return value or None
