"""What this client can carry on this machine: measured once against an echo server of its own, then remembered.

`python -m tui.load.ceiling` measures for 2 s with the real load worker, every event decoded and recorded, writes what
it found to the user's cache folder and prints it. It is a process of its own, so that no loop that measures is touched.

The ceiling is events/s over the CPU share that they took: where a worker would have no time left. Asking for so many
in fact would tell less: behind its time, a worker gets several events by one read, and these cost it less each.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import resource
import socket
import sys
from collections import deque
from pathlib import Path

import msgspec
import uvloop

from tui import __version__
from tui.core.address import address_of
from tui.core.clock import NS_PER_S
from tui.core.errors import VrampError
from tui.core.files import atomic_file
from tui.core.paths import cache_dir
from tui.core.safe_text import safe_line
from tui.load.echo import EchoServer
from tui.load.local_host import LocalHost
from tui.load.pool import LoadPool
from tui.load.wire import REPORT_PERIOD_S, LoadProgress, LoadTarget

MEASURED_S = 2
STREAMS = 256
GAP_S = 0.0125
TOKENS_PER_REQUEST = 64
# What a stream is taken to bring when streams are counted: a brisk reading pace.
TOKENS_PER_S_PER_STREAM = 20
SPARE_DESCRIPTORS = 64
TIMEOUT_S = 30.0
REPORTS_PER_S = round(1 / REPORT_PERIOD_S)
_GAUGE_WINDOW_NS = NS_PER_S


class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """What one worker process can carry."""

    key: str
    """Where and of what this was measured: host, CPU, version."""
    tokens_per_s: float
    """One per event and read, at a whole core."""
    streams: int
    """At TOKENS_PER_S_PER_STREAM each; not more than a process may open connections."""
    us_per_event: float
    """CPU of the worker, user and system, µs."""


class CeilingGauge:
    """How near the load is to what its workers can carry, over the last second."""

    def __init__(self) -> None:
        self.ceiling: Ceiling | None = None
        """None = not measured (yet): only CPU shares tell."""
        self._recent: deque[LoadProgress] = deque()

    def take(self, progress: LoadProgress) -> None:
        """Take what the pool tells; times are of the clock, not of a modelled session."""
        self._recent.append(progress)
        while progress.at_ns - self._recent[0].at_ns > _GAUGE_WINDOW_NS:
            self._recent.popleft()

    @property
    def share(self) -> float | None:
        """Return events/s over the ceiling of all workers, or the busiest worker's CPU share when that is larger.

        Events, not tokens: one that bears several costs the client no more. None before anything was told.
        """
        if not self._recent:
            return None
        first, last = self._recent[0], self._recent[-1]
        cpu_share = last.cpu_share
        elapsed_s = (last.at_ns - first.at_ns) / NS_PER_S
        if self.ceiling is None or elapsed_s <= 0 or not last.workers:
            return cpu_share
        events = sum(progress.events for progress in self._recent) - first.events
        return max(cpu_share, events / elapsed_s / (self.ceiling.tokens_per_s * last.workers))

    @property
    def users_max(self) -> int | None:
        """Return how many users all cores carry at TOKENS_PER_S_PER_STREAM each; None while it was not measured."""
        return None if self.ceiling is None else self.ceiling.streams * (os.cpu_count() or 1)


def known_ceiling() -> Ceiling | None:
    """Return what was measured on this machine with this version before; None when nothing was, or it is unreadable."""
    try:
        known = msgspec.json.decode(_file().read_bytes(), type=Ceiling)
    except (OSError, VrampError, msgspec.DecodeError):
        return None
    return known if known.key == _key() and known.tokens_per_s > 0 and known.streams > 0 else None


async def measure_ceiling() -> Ceiling:
    """Measure in a process of its own, some 3 s. Raises VrampError. Cancelled, it leaves no process."""
    # -P: a folder that the operator happens to be in must not lend the process its modules.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tui.load.ceiling"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
        return msgspec.json.decode(out, type=Ceiling)
    except (TimeoutError, msgspec.DecodeError):
        said = "" if process.returncode is None else safe_line(err.decode("utf-8", "replace")[-500:], limit=300)
        raise VrampError(f"the load client could not measure itself: {said or 'no answer'}") from None
    finally:
        if process.returncode is None:
            process.kill()  # its worker ends with the socket between them
            await process.wait()


def _key() -> str:
    return f"{socket.gethostname()} / {_cpu()} x {os.cpu_count()} / vramp {__version__}"


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return safe_line(line.partition(":")[2].strip(), limit=100)
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _file() -> Path:
    """Return the file of this machine and version; homes are shared between machines."""
    return cache_dir() / f"client-ceiling-{hashlib.sha256(_key().encode()).hexdigest()[:16]}.json"


async def _measure() -> Ceiling:
    server = EchoServer(GAP_S)
    url = await server.start()
    told: list[LoadProgress] = []
    news = asyncio.Event()

    def take(progress: LoadProgress) -> None:
        told.append(progress)
        news.set()

    async def next_reports(count: int) -> list[LoadProgress]:
        told.clear()
        while len(told) < count:
            news.clear()
            await news.wait()
        return told[:count]

    pool = LoadPool(
        LoadTarget(address_of(url)),
        on_records=lambda _: None,
        on_progress=take,
        on_event=lambda _: None,
        hosts=[LocalHost(1)],
    )
    try:
        await pool.start()
        await pool.configure(server.shape(TOKENS_PER_REQUEST), server.prompts, 1)
        await pool.set_users(STREAMS)
        while (await next_reports(1))[0].in_flight < STREAMS:
            pass
        seconds = [await next_reports(REPORTS_PER_S) for _ in range(MEASURED_S)]
    finally:
        await pool.stop()
        await server.stop()
    events = sum(progress.events for second in seconds for progress in second)
    cpu_s = sum(second[-1].cpu_share for second in seconds)  # each is that of the last second
    if not events or not cpu_s:
        raise VrampError("the echo server was not heard")
    tokens_per_s = events / cpu_s
    connections = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE_DESCRIPTORS
    return Ceiling(
        key=_key(),
        tokens_per_s=round(tokens_per_s, 1),
        streams=max(1, min(round(tokens_per_s / TOKENS_PER_S_PER_STREAM), connections)),
        us_per_event=round(1e6 / tokens_per_s, 2),
    )


def main() -> int:
    """Measure, remember, print."""
    ceiling = uvloop.run(_measure())
    encoded = msgspec.json.encode(ceiling)
    try:
        with atomic_file(_file()) as file:
            file.write(encoded.decode())
    except VrampError:
        pass  # it will be measured again
    sys.stdout.write(encoded.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
