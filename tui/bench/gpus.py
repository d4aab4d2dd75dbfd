"""Where a session's GPU readings come from: NVML in a thread, or the virtual GPUs of a simulated server.

The cards of this machine are none of a server's on another: then there are none, which is said.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from typing import Protocol

from tui.bench.host_gpus import STALE_S, GpuHost, HostGpus, Sought
from tui.bench.vram import split_by_log
from tui.core.address import ServerAddress, address_of
from tui.core.clock import NS_PER_S, now_ns
from tui.core.tasks import background, end_task
from tui.gpu.nvml import NvmlBackend
from tui.gpu.sampler import GpuSampler
from tui.gpu.simulated import readings
from tui.gpu.workers import Workers, own_addresses
from tui.metrics.reading import GpuReading
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor

OnSample = Callable[[list[GpuReading], float], None]
"""Takes one round of readings and what it cost, s. Called in the event loop."""

PERIOD_S = 1.0
RESOLVE_TIMEOUT_S = 5.0
THIS_MACHINE = ""
"""What the lines of its own processes in a server's log have for an address."""


class Sampling(Protocol):
    """Readings once a second between start and stop."""

    @property
    def unavailable(self) -> str:
        """Why there are no readings; empty when there are."""

    @property
    def driver_version(self) -> str:
        """The version of the cards' driver; empty where it is not known."""

    async def start(self) -> None:
        """Begin; does nothing when it has begun."""

    async def stop(self) -> None:
        """End."""


OnEvent = Callable[[str], None]
"""Takes what a card reports by itself (Xid and ECC errors), in words. Called in the event loop."""


def sampling_for(
    profile: Profile,
    supervisor: Supervisor,
    on_sample: OnSample,
    on_event: OnEvent,
    elsewhere: Callable[[], Sequence[GpuHost]] = tuple,
) -> Sampling:
    """Return the readings that fit a profile. `elsewhere`: the other machines from which users ask, once it begins."""
    if profile.simulated:
        return _Simulated(supervisor, on_sample)
    together = _Together(profile, supervisor, on_sample, on_event, elsewhere)
    here: Sampling = _Nvml(supervisor, together.take_here, on_event)
    together.here = here if profile.attach is None else _Attached(address_of(profile.attach.base_url), here)
    return together


async def is_here(address: ServerAddress) -> bool:
    """Say whether an address is one of this machine's own; a name by what it resolves to, within RESOLVE_TIMEOUT_S."""
    if address.is_loopback:
        return True
    own = own_addresses()
    if address.host in own:
        return True
    places = await _places_of(address)
    return bool(places) and all(place in own or ipaddress.ip_address(place).is_loopback for place in places)


async def _places_of(address: ServerAddress) -> frozenset[str]:
    """Return what a server's name resolves to; nothing where it does not, within RESOLVE_TIMEOUT_S."""
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError):
        return frozenset()
    return frozenset(str(where[0]).partition("%")[0] for *_, where in found)


class _Together:
    """This machine's readings with those of the other hosts on which the server is; alone where there are none."""

    def __init__(
        self,
        profile: Profile,
        supervisor: Supervisor,
        on_sample: OnSample,
        on_event: OnEvent,
        elsewhere: Callable[[], Sequence[GpuHost]],
    ) -> None:
        self.here: Sampling
        self._profile = profile
        self._supervisor = supervisor
        self._on_sample = on_sample
        self._elsewhere = elsewhere
        self._others = HostGpus(on_event, supervisor.look_for_workers)
        self._own: tuple[int, list[GpuReading], float] = (0, [], 0.0)
        self._telling: asyncio.Task[None] | None = None

    @property
    def unavailable(self) -> str:
        if not self._others.any_known:
            over_nodes = self._profile.server is not None and self._profile.server.ray is not None
            unseen = "the cards of its other nodes are seen where load.hosts names them" if over_nodes else ""
            return "; ".join(filter(None, [self.here.unavailable, unseen]))
        # With the cards of its own host, it is no lack that this machine has none.
        alone = self._profile.attach is not None
        return "; ".join(note for note in ("" if alone else self.here.unavailable, self._others.note) if note)

    @property
    def driver_version(self) -> str:
        return ", ".join(filter(None, dict.fromkeys([self.here.driver_version, self._others.driver_version])))

    async def start(self) -> None:
        if self._telling is None and (hosts := self._elsewhere()) and await self._start_others(hosts):
            self._telling = background(self._tell(), name="gpus-of-hosts")
        await self.here.start()

    async def _start_others(self, hosts: Sequence[GpuHost]) -> bool:
        """Have those of the other hosts read on which the server is, or may be; say whether there are any."""
        server, attach = self._profile.server, self._profile.attach
        if server is not None:
            if server.ray is not None:
                self._others.start(hosts)
            return server.ray is not None
        assert attach is not None
        address = address_of(attach.base_url)
        if await is_here(address):
            return False
        self._others.start(hosts, Sought(address.host, await _places_of(address)))
        return True

    async def stop(self) -> None:
        if self._telling is not None:
            await end_task(self._telling)
            self._telling = None
        await self._others.stop()
        await self.here.stop()

    def take_here(self, readings: list[GpuReading], cost_s: float) -> None:
        """Take a round of this machine's."""
        own = self._split(readings, (THIS_MACHINE,))
        self._own = now_ns(), own, cost_s
        if self._telling is None:
            self._on_sample(own, cost_s)

    async def _tell(self) -> None:
        """Tell of all hosts together, once a period."""
        while True:
            await asyncio.sleep(PERIOD_S)
            if self._profile.server is not None:
                self._others.tell_workers(self._supervisor.workers)
            at_ns, own, cost_s = self._own
            own = own if now_ns() - at_ns < STALE_S * NS_PER_S else []
            others = [each for nodes, found in self._others.latest() for each in self._split(found, nodes)]
            if own or others:
                self._on_sample([*own, *others], max(cost_s, self._others.cost_s))

    def _split(self, readings: Sequence[GpuReading], nodes: Sequence[str]) -> list[GpuReading]:
        weights_bytes, kv_cache_bytes = self._supervisor.memory_told.at(nodes)
        return [split_by_log(reading, weights_bytes, kv_cache_bytes) for reading in readings]


class _Attached:
    """This machine's readings for a server that is on it; for one that is not, why there are none."""

    def __init__(self, address: ServerAddress, here: Sampling) -> None:
        self._address = address
        self._here = here
        self._elsewhere = False

    @property
    def unavailable(self) -> str:
        if not self._elsewhere:
            return self._here.unavailable
        return (
            f"The server is on another machine ({self._address.host}): its GPUs are not seen from here. "
            "Name it in load.hosts, and they are. KV cache and queue are as its metrics tell."
        )

    @property
    def driver_version(self) -> str:
        return "" if self._elsewhere else self._here.driver_version

    async def start(self) -> None:
        self._elsewhere = not await is_here(self._address)
        if not self._elsewhere:
            await self._here.start()

    async def stop(self) -> None:
        await self._here.stop()


class _Simulated:
    def __init__(self, supervisor: Supervisor, on_sample: OnSample) -> None:
        self._supervisor = supervisor
        self._on_sample = on_sample
        self._task: asyncio.Task[None] | None = None

    @property
    def unavailable(self) -> str:
        return ""

    @property
    def driver_version(self) -> str:
        return ""

    async def start(self) -> None:
        if self._task is None:
            self._task = background(self._poll(), name="simulated-gpus")

    async def stop(self) -> None:
        if self._task is not None:
            await end_task(self._task)
            self._task = None

    async def _poll(self) -> None:
        while True:
            asked_ns = now_ns()
            payload = await self._supervisor.simulated_gpus()
            if payload is not None:
                self._on_sample(readings(payload, now_ns()), (now_ns() - asked_ns) / 1e9)
            await asyncio.sleep(PERIOD_S)


class _Nvml:
    def __init__(self, supervisor: Supervisor, on_sample: OnSample, on_event: OnEvent) -> None:
        loop = asyncio.get_running_loop()

        def deliver(sample: list[GpuReading], cost_s: float) -> None:
            self._lacking = self._workers.note(sample)
            if not loop.is_closed():
                loop.call_soon_threadsafe(on_sample, sample, cost_s)
                if self._workers.lost:
                    loop.call_soon_threadsafe(supervisor.look_for_workers)

        def report(text: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(on_event, text)

        def pids() -> frozenset[int]:
            # Ray's workers on this machine are children of its own daemon, none of the server's.
            self._workers.tell(supervisor.workers)
            return supervisor.pids() | self._workers.pids()

        self._workers = Workers()
        self._lacking = ""
        self._sampler = GpuSampler(NvmlBackend, deliver, pids, period_s=PERIOD_S, on_event=report)
        self._started = False

    @property
    def unavailable(self) -> str:
        return "; ".join(filter(None, [self._sampler.unavailable, self._lacking]))

    @property
    def driver_version(self) -> str:
        return self._sampler.driver_version

    async def start(self) -> None:
        if not self._started:
            self._started = True
            self._sampler.start()

    async def stop(self) -> None:
        if self._started:
            self._started = False
            await asyncio.to_thread(self._sampler.stop)
