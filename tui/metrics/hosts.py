"""The hosts that users ask from, as the screen and the session show them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

SHOWN_FROM_S = 0.001
"""An offset that is surer than this moves no figure that can be seen."""


class HostReading(msgspec.Struct, frozen=True, kw_only=True):
    """One host at one moment."""

    name: str
    """"" = the machine that the bench runs on."""
    workers: int = 0
    users_active: int = 0
    in_flight: int = 0
    clock_error_s: float | None = None
    """How far its place on our time axis may be out, either way; None = it is of the bench's own clock."""
    clock_drift_ppm: float | None = None
    """By how much its clock gains on ours."""
    round_trip_s: float | None = None
    """The shortest of the last minutes."""
    lost: str = ""
    """Why it is out of reach; empty = it is there."""

    def __str__(self) -> str:
        """Return its name, and how sure its times are, as exports tell it."""
        known = "" if self.clock_error_s is None else f" ±{self.clock_error_s * 1e3:.3f} ms"
        return f"{self.name or 'local'}{known}{' (lost)' if self.lost else ''}"


def clock_error_s(hosts: Sequence[HostReading]) -> float | None:
    """Return the widest error of all hosts; None where all is by one clock."""
    return max((host.clock_error_s for host in hosts if host.clock_error_s is not None), default=None)


def in_words(hosts: Sequence[HostReading]) -> str:
    """Return how many hosts there are and what is to be told of them; empty without any."""
    if not hosts:
        return ""
    there = sum(not host.lost for host in hosts)
    return ", ".join(filter(None, (f"{there} host{'' if there == 1 else 's'}", news(hosts))))


def news(hosts: Sequence[HostReading]) -> str:
    """Return which hosts are lost, and how sure times between them are where that is not very; else empty."""
    lost = [host.name or "this machine" for host in hosts if host.lost]
    told = []
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        told.append(f"host{'' if len(lost) == 1 else 's'} lost: {', '.join(lost[:3])}{more}")
    error_s = clock_error_s(hosts)
    if error_s is not None and error_s > SHOWN_FROM_S:
        told.append(f"clocks of the hosts agree to ±{error_s * 1e3:.1f} ms")
    return ", ".join(told)
