"""When servers died and were back, from the states that a session keeps of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tui.metrics.failure_outcome import evidence_of, outcome_of
from tui.metrics.snapshot import Phase, ServerDeath, ServerStatus

MAX_STATES = 200
"""The latest of them are looked at: a death and its relaunch are four at most."""


def deaths_of(states: Iterable[tuple[int, ServerStatus]]) -> list[ServerDeath]:
    """Return the deaths among states in the order of time: a failure of a server that was ready before.

    One that never was failed to launch. A server counts as back from when one is ready again.
    """
    deaths: list[ServerDeath] = []
    was_ready = False
    for at_ns, status in states:
        if status.phase is Phase.READY:
            if deaths and deaths[-1].back_ns is None:
                deaths[-1] = msgspec.structs.replace(deaths[-1], back_ns=at_ns)
            was_ready = True
        elif status.failure is not None and was_ready:
            failure = status.failure
            deaths.append(ServerDeath(at_ns=at_ns, outcome=outcome_of(failure), cause=evidence_of(failure)))
            was_ready = False
        elif status.phase is not Phase.FAILED:
            was_ready = False
    return deaths
