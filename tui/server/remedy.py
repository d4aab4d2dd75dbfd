"""What of a diagnosis' advice can be done at once: arguments of the server with other values. Pure."""

from __future__ import annotations

import re

from tui.engines.base import Change, Diagnosis
from tui.profile.overrides import given_argument
from tui.profile.schema import ServerTable

_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,40}")
"""A log line tells it: nothing else of it may get into a command."""


def remedy_of(diagnosis: Diagnosis, server: ServerTable | None) -> dict[str, str]:
    """Return arguments, by their flags without dashes, for which `server` has other values; none = nothing helps so."""
    if server is None:
        return {}
    wanted = {change.flag: _value_of(change, server) for change in diagnosis.remedy}
    return {flag: value for flag, value in wanted.items() if value and given_argument(server, flag) != value}


def _value_of(change: Change, server: ServerTable) -> str:
    """Return the new value; empty where there is none that makes sense."""
    if change.to:
        return change.to if _VALUE.fullmatch(change.to) and change.to != "0" else ""
    if not (change.by or change.times):
        return ""
    try:
        now = float(given_argument(server, change.flag) or change.now or change.usual)
    except ValueError:
        return ""
    if change.times:
        value: float = int(now * change.times)
        if value <= 0:
            return change.otherwise
    else:
        value = round(now + change.by, 3)
    return f"{value:.10g}" if change.least <= value <= change.most else ""
