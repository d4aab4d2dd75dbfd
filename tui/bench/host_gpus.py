"""The GPUs of other hosts on which the server is: read there, by a process that the agent starts, and put together.

Nothing is read of hosts that only load the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from tui.core.clock import NS_PER_S, now_ns
from tui.core.safe_text import safe_line
from tui.core.tasks import background, end_task
from tui.gpu.wire import Round, ServerWorkers, decode_round
from tui.gpu.workers import own_addresses
from tui.load.transport import Transport
from tui.metrics.gpu_hosts import HOST_CHARS, in_order
from tui.metrics.reading import GpuReading

PERIOD_S = 1.0
STALE_S = 5.0
"""What is older is not shown as if of now."""
RETRY_S = 10.0
_MOST_SAID = 3


class GpuHost(Protocol):
    """Another host."""

    @property
    def name(self) -> str:
        """Return what it is called."""

    async def open_sampler(self) -> Transport:
        """Have its GPUs read there. Raises OSError that says why that cannot be."""


@dataclass(frozen=True)
class Sought:
    """Where an attached server is: its cards are those of the hosts that are called so, or have such an address."""

    name: str
    addresses: frozenset[str]

    def is_called(self, host: str) -> bool:
        """Say whether a host is called so, be it with a port."""
        return self.name in (host, host.rpartition(":")[0])


class HostGpus:
    """The latest readings of some hosts."""

    def __init__(self, on_event: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        """`on_event` takes what a card reports by itself, in words; `on_lost` is called, again and again, while a
        process of the server's that was on a host is gone."""
        self._on_event = on_event
        self._on_lost = on_lost
        self._workers: Mapping[str, list[int]] = {}
        self._elsewhere: dict[str, list[int]] = {}
        """Those of other machines."""
        self._nodes: dict[str, list[str]] = {}
        """By each host's word, which of their addresses are its own."""
        self._left_out: set[str] = set()
        self._sought: Sought | None = None
        self._transports: dict[str, Transport] = {}
        self._latest: dict[str, tuple[int, Round]] = {}
        self._notes: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, hosts: Sequence[GpuHost], sought: Sought | None = None) -> None:
        """Begin; does nothing when it has begun. Hosts that are not the one `sought` are left at once."""
        if not self._tasks:
            self._sought = sought
            if sought is not None:
                self._elsewhere = {address: [] for address in sought.addresses}
            self._tasks = [background(self._follow(host), name=f"gpus-{host.name}") for host in hosts]

    async def stop(self) -> None:
        """End."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            await end_task(task)
        self._latest.clear()
        self._notes.clear()
        self._nodes.clear()
        self._left_out = set()

    def tell_workers(self, by_address: Mapping[str, list[int]]) -> None:
        """Take which processes are the server's, by the addresses of their nodes; none = that is not known."""
        if by_address == self._workers:
            return
        self._workers = by_address
        own = own_addresses()
        self._elsewhere = {address: pids for address, pids in by_address.items() if address not in own}
        self._nodes.clear()
        for transport in self._transports.values():
            self._tell(transport)
        self._leave_out()

    def latest(self) -> list[tuple[list[str], list[GpuReading]]]:
        """Return the latest readings, host by host, each after the addresses of the server's nodes that it is.

        Once all its nodes are found, hosts that are none of them have nothing of it and are left out, until other nodes
        are told: what becomes of their memory when the server ends is none of its own.
        """
        oldest_ns = now_ns() - round(STALE_S * NS_PER_S)
        return [
            (self._nodes.get(name, []), self._latest[name][1].readings)
            for name in sorted(self._latest, key=in_order)
            if self._latest[name][0] >= oldest_ns and name not in self._left_out
        ]

    @property
    def any_known(self) -> bool:
        """Say whether there is a host on which the server is, or may be."""
        return bool(self._tasks) and (self._sought is None or bool(self._latest or self._notes))

    @property
    def cost_s(self) -> float:
        """Return what the slowest of the latest rounds cost, s."""
        return max((latest.cost_s for _, latest in self._latest.values()), default=0.0)

    @property
    def driver_version(self) -> str:
        """Return the drivers, where they differ all of them; empty where none is known."""
        return ", ".join(dict.fromkeys(latest.driver for _, latest in self._latest.values() if latest.driver))

    @property
    def note(self) -> str:
        """Return which hosts tell nothing, or not all, and why; empty when all is well."""
        said = [f"{name}: {note}" for name, note in sorted(self._notes.items()) if note]
        if self._sought is None and self._unseen and self._all_answered:
            unseen = ", ".join(sorted(self._unseen)[:_MOST_SAID])
            said.append(f"no host of load.hosts is the server's node {unseen}, whose cards are not seen")
        more = f" (and {len(said) - _MOST_SAID} hosts more)" if len(said) > _MOST_SAID else ""
        return "; ".join(said[:_MOST_SAID]) + more

    @property
    def _unseen(self) -> set[str]:
        return set(self._elsewhere).difference(*self._nodes.values())

    @property
    def _all_answered(self) -> bool:
        return self._nodes.keys() >= self._latest.keys()

    def _leave_out(self) -> None:
        if self._workers and self._sought is None:
            if not self._unseen:
                self._left_out = {name for name in self._latest if not self._nodes.get(name)}
            elif self._all_answered:
                self._left_out = set()

    def _tell(self, transport: Transport) -> None:
        transport.send(msgspec.msgpack.encode(ServerWorkers(self._elsewhere)))

    async def _follow(self, host: GpuHost) -> None:
        name = safe_line(host.name, limit=HOST_CHARS)
        while True:
            try:
                transport = self._transports[name] = await host.open_sampler()
                self._tell(transport)
                try:
                    async for body in transport.frames():
                        told = decode_round(body)
                        if self._is_sought(name, told.nodes):
                            self._take(name, told)
                        elif told.nodes is not None:
                            return
                    self._say(name, f"its GPUs are read no more: {safe_line(transport.why_gone(), limit=200)}")
                finally:
                    self._transports.pop(name, None)
                    await transport.close()
            except (OSError, msgspec.DecodeError) as error:
                self._say(name, f"its GPUs cannot be read: {safe_line(str(error), limit=200)}")
            self._latest.pop(name, None)
            await asyncio.sleep(RETRY_S)

    def _is_sought(self, name: str, nodes: list[str] | None) -> bool:
        return self._sought is None or bool(nodes) or self._sought.is_called(name)

    def _say(self, name: str, note: str) -> None:
        if self._is_sought(name, self._nodes.get(name)):
            self._notes[name] = note

    def _take(self, name: str, told: Round) -> None:
        at_ns = now_ns()  # to the second, that of the host's clock is of no use
        readings = [_of(reading, name, at_ns) for reading in told.readings]
        self._latest[name] = at_ns, msgspec.structs.replace(told, readings=readings)
        self._notes[name] = safe_line(told.note, limit=300)
        if told.nodes is not None and self._elsewhere:
            self._nodes[name] = [address for address in told.nodes if address in self._elsewhere]
        self._leave_out()
        if told.lost:
            self._on_lost()
        for text in told.events:
            self._on_event(f"{name}: {safe_line(text, limit=300)}")


def _of(reading: GpuReading, host: str, at_ns: int) -> GpuReading:
    return msgspec.structs.replace(
        reading,
        at_ns=at_ns,
        host=host,
        name=safe_line(reading.name, limit=80),
        throttle=None if reading.throttle is None else safe_line(reading.throttle, limit=200),
        mig_uuid=safe_line(reading.mig_uuid, limit=80),
    )
