"""The one place where secrets are read: values of environment variables that profiles name, never in a message."""

from __future__ import annotations

import os
import re

from tui.core.errors import UsageError
from tui.core.known_secrets import learn

# Keys are pasted: line breaks, spaces and byte order marks around them are not theirs.
_AROUND = " \t\r\n\v\f\u00a0\u200b\ufeff"
# A byte order mark that was read as Latin-1 by whatever set the variable.
_MARK = "\u00ef\u00bb\u00bf"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_UNFIT = re.compile(r"[^\x00-\xff]")


def secret_of(variable: str) -> str | None:
    """Return the value of an environment variable, without white space around it; None where it is unset or empty.

    Raises UsageError, which names the variable and not the value, for one that no header can carry. The value is
    known from then on, and hidden wherever it turns up.
    """
    raw = os.environ.get(variable, "")
    value = raw.strip(_AROUND).removeprefix(_MARK).strip(_AROUND)
    learn(raw)
    learn(value)
    if _CONTROL.search(value):
        raise UsageError(f"The environment variable {variable} holds a line break or another control character")
    if _UNFIT.search(value):
        raise UsageError(f"The environment variable {variable} holds a character that no header can carry")
    return value or None
