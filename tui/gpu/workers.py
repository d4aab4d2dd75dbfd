"""The server's processes on this host, where a Ray cluster tells their numbers by the addresses of its nodes.

A number is believed only of a process that a raylet of this host started: where Ray runs in a container it has numbers
of its own, and whoever has one of them here is somebody else.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence

import psutil

from tui.metrics.reading import GpuReading

LOOK_S = 5.0
"""So long what was found holds: to look through all processes of a host takes some tens of milliseconds."""
_RAYLET = "raylet"


class Workers:
    """Which of the processes told are here. `tell` may be called from another thread than the rest."""

    def __init__(self) -> None:
        self._told: Mapping[str, Sequence[int]] = {}
        self._sought: Mapping[str, Sequence[int]] = {}
        self._look_again_s = 0.0
        self._heads: dict[int, float] = {}
        """When each began that was found."""
        self._pids: frozenset[int] = frozenset()
        self._wanted = self._missing = 0
        self.nodes: list[str] | None = None
        """Which of the addresses told are this host's; None while none is told."""
        self.lost = False
        """One that was found is gone."""

    def tell(self, by_address: Mapping[str, Sequence[int]]) -> None:
        """Take which processes are the server's, by the addresses of their nodes."""
        if by_address != self._told:
            self._told = by_address

    def pids(self) -> frozenset[int]:
        """Return those of this host with all that they started; none unless all that are told of it are found."""
        told = self._told
        anew = told is not self._sought
        if anew or time.monotonic() >= self._look_again_s:
            self._look(told, anew)
            self._sought, self._look_again_s = told, time.monotonic() + LOOK_S
        return self._pids

    def note(self, readings: Sequence[GpuReading]) -> str:
        """Return why it is not known whose memory it is; empty where it is, or where nothing of it is told."""
        if not self._wanted or not readings:
            return ""
        if self._missing:
            which = f"{self._missing} of the {self._wanted} processes that Ray tells of are not seen (in a container?)"
        elif all(reading.vram_server_bytes is None for reading in readings):
            which = "the driver names none of the server's processes (in a container?)"
        else:
            return ""
        return f"whose memory it is, is not known: {which}"

    def _look(self, told: Mapping[str, Sequence[int]], anew: bool) -> None:
        own = own_addresses() if told else frozenset()
        nodes = [address for address in told if address in own]
        wanted = {pid for node in nodes for pid in told[node]}
        parents = _parents() if wanted else {}
        heads = {pid: began for pid in wanted if pid in parents and (began := _began_under_ray(pid, parents))}
        known = {} if anew else self._heads
        same = {pid for pid, began in heads.items() if known.get(pid, began) == began}
        self.lost = not known.keys() <= same
        self._heads = {**heads, **known}
        self._wanted, self._missing = len(wanted), len(wanted - same)
        whole = wanted and not self._missing
        self._pids = frozenset(pid for pid in parents if _is_below(pid, heads, parents)) if whole else frozenset()
        self.nodes = nodes if told else None


def own_addresses() -> frozenset[str]:
    """Return the addresses of this machine."""
    return frozenset(one.address.partition("%")[0] for each in psutil.net_if_addrs().values() for one in each)


def _parents() -> dict[int, int]:
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found[process.pid] = process.ppid()
    return found


def _line(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Yield a process and those above it; numbers may have been used again meanwhile, and so go round in circles."""
    for _ in range(len(parents)):
        yield pid
        if pid not in parents:
            return
        pid = parents[pid]


def _is_below(pid: int, heads: Mapping[int, float], parents: Mapping[int, int]) -> bool:
    return any(each in heads for each in _line(pid, parents))


def _began_under_ray(pid: int, parents: Mapping[int, int]) -> float:
    """Return when a process began; 0 for one that no raylet started, or that has ended."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            above = [each for each in _line(pid, parents) if each != pid]
            return process.create_time() if any(_name(each) == _RAYLET for each in above) else 0.0
    return 0.0


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return ""
