"""What the load engine costs and how it errs, against a paced server that logs its own sends.

    python benchmarks/load_engine.py [--users 1000] [--per-second 20] [--mode own|step|flood] [--seconds 10]

Prints one line per measurement. CPU counts all processes of the load: the workers, and this one, which stands for the
bench. Compiles the C server and the C client next to a temporary log; needs a C compiler and Linux.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from ground import compiled, gap_errors_ms, hosts_here, paced_server, quantiles, sends, ttft_excess_ms, waited_s

from tui.core.address import address_of
from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.load.local_host import LocalHost
from tui.load.pool import LoadPool, LoadProgress, LoadTarget, PromptSource
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.metrics.record import RequestRecord


@dataclass
class Settings:
    users: int
    per_second: float
    mode: str
    seconds: float
    workers: int
    tokens: int
    prompt_tokens: int
    burst: bool
    spread_s: float
    tls: bool
    one_more_s: float
    hosts: int = 0
    """So many agents with a worker each, in place of workers of its own."""


def cpu_s(pids: list[int]) -> float:
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)


class Run:
    """One measurement: the pool, what it told, what it cost."""

    def __init__(self, settings: Settings, port: int) -> None:
        self.settings = settings
        self.records: list[RequestRecord] = []
        self.progress: list[LoadProgress] = []
        self.events = 0
        self.tenths: list[int] = []
        """Tokens in each tenth of a second while the users stood."""
        self.waited = 0.0
        """For what share of that time the load was ready to run and had no core; may be more than 1."""
        self.hosts = hosts_here(settings.hosts)
        self.begin_tag: Callable[[int], Awaitable[None]]
        self.pool: LoadPool
        self._port = port

    def _take(self, progress: LoadProgress) -> None:
        self.progress.append(progress)
        self.events += progress.events

    async def measure(self) -> str:
        settings = self.settings
        begun = time.monotonic()
        self.pool = LoadPool(
            LoadTarget(address_of(f"{'https' if settings.tls else 'http'}://127.0.0.1:{self._port}"), verify=False),
            on_records=self.records.extend,
            on_progress=self._take,
            on_event=print,
            # One on each: a pool has a worker per host before any load asks for more.
            hosts=self.hosts or [LocalHost(1) for _ in range(settings.workers)],
        )
        await self.pool.start()
        shape = RequestShape(
            path="/v1/completions",
            headers=[("Content-Type", "application/json"), ("Accept", "text/event-stream")],
            body_head=b'{"model":"m","max_tokens":%d,"stream":true,"prompt":' % settings.tokens,
            body_tail=b"}",
            prompt_kind=TOKEN_IDS,
            dialect=openai_stream.NAME,
            prompt_tokens=settings.prompt_tokens,
            prompt_tokens_overhead=0,
            output_tokens=settings.tokens,
        )
        prompts = PromptSource(TOKEN_IDS, pack_token_ids(range(200, 130_000)))
        self.begin_tag = lambda tag: self.pool.configure(shape, prompts, tag)
        await self.begin_tag(1)
        ready_s = time.monotonic() - begun
        if settings.burst:
            for _ in range(4):
                await self.pool.burst(settings.users)
            cost = ""
        else:
            cost = await self._steady()
        await self.pool.stop()
        for host in self.hosts:
            await host.close()
        return f"ready {ready_s:.2f} s; {cost}"

    async def _steady(self) -> str:
        settings = self.settings
        steps = min(settings.users, 200)
        for step in range(1, steps + 1):
            await self.pool.set_users(settings.users * step // steps)
            await asyncio.sleep(settings.spread_s / steps)
        await asyncio.sleep(1.0)
        pids = [process.pid for process in (psutil.Process(), *psutil.Process().children(recursive=True))]
        cpu, events, begun = cpu_s(pids), self.events, time.monotonic()
        waited = sum(map(waited_s, pids))
        own = psutil.Process().cpu_times()
        told = len(self.progress)
        await self._stand()
        cpu, events, took_s = cpu_s(pids) - cpu, self.events - events, time.monotonic() - begun
        self.waited = (sum(map(waited_s, pids)) - waited) / took_s
        after = psutil.Process().cpu_times()
        own_s = after.user + after.system - own.user - own.system
        latest = self.progress[-1]
        # The last ones may still have tokens to come.
        tenths = Counter[int]()
        for progress in self.progress[told:-5]:
            tenths.update(dict(progress.tokens))
        self.tenths = [tenths[at] for at in sorted(tenths)[5:-5]]
        await self.pool.set_users(0, cut=settings.mode == "flood")
        await self.pool.drain()
        return (
            f"{events / took_s:.0f} events/s, "
            f"{cpu / events * 1e6:.1f} us/event (of it here {own_s / events * 1e6:.1f}), "
            f"busiest worker {latest.cpu_share:.0%}, lag p99 {(latest.lag_p99_s or 0) * 1e3:.2f} ms, "
            f"without a core {self.waited:.0%} of the time, stamps {latest.stamps}, "
            f"workers {latest.workers}, {latest.rss_bytes / 2**20 / latest.workers:.0f} MB each, "
            f"tokens in a tenth of a second {min(self.tenths)} to {max(self.tenths)}"
        )

    async def _stand(self) -> None:
        """Let the users stand; or, as the key for one user more does, begin another cell with one more, again and
        again."""
        settings = self.settings
        if not settings.one_more_s:
            await asyncio.sleep(settings.seconds)
            return
        for more in range(1, round(settings.seconds / settings.one_more_s) + 1):
            await self.begin_tag(1 + more)
            await self.pool.set_users(settings.users + more)
            await asyncio.sleep(settings.one_more_s)

    def beside_sends(self, log: Path) -> Iterator[tuple[RequestRecord, list[int]]]:
        """Yield each record that went well with the server's log of it."""
        truth = sends(log)
        for record in self.records:
            if record.ok and record.first_token_ns is not None:
                yield record, truth[record.prompt_tokens_usage or 0]

    def errors(self, log: Path) -> Iterator[str]:
        gap_ms, ttft_ms, delay_ms, behind_ms = [], [], [], []
        for record, sent in self.beside_sends(log):
            assert record.first_token_ns is not None
            ttft_ms.append(ttft_excess_ms(record, sent))
            delay_ms.append((record.start_ns - record.intended_start_ns) / 1e6)
            behind_ms.append((record.first_token_ns - sent[1]) / 1e6)
            gap_ms += gap_errors_ms(record, sent)
        yield f"ended: {dict(Counter(str(record.outcome) for record in self.records))}"
        if gap_ms:
            yield f"gap error, ms p50 / p99 / max: {quantiles(gap_ms)}"
            yield f"TTFT excess, ms p50 / p99 / max: {quantiles(ttft_ms)}"
            yield f"of it the client's own delay: {quantiles(delay_ms)}; the first token's way: {quantiles(behind_ms)}"


def c_client(folder: Path, port: int, settings: Settings) -> str:
    program = compiled("epoll_client", folder)
    arguments = [str(each) for each in (port, settings.users, settings.tokens, settings.seconds)]
    done = subprocess.run([program, *arguments], check=True, capture_output=True, text=True)
    events, us = done.stdout.split()
    return f"{int(events) / settings.seconds:.0f} events/s, {us} us/event"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--mode", choices=["own", "step", "flood"], default="own")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--hosts", type=int, default=0, help="agents on this machine with a worker each")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--prompt-tokens", type=int, default=50)
    parser.add_argument("--spread-s", type=float, default=1.0)
    parser.add_argument("--burst", action="store_true")
    parser.add_argument("--tls", action="store_true", help="needs OpenSSL and its headers")
    parser.add_argument("--one-more-s", type=float, default=0.0, help="one user more each time so many seconds went by")
    parser.add_argument("--c-client", action="store_true", help="the C client in place of the load engine")
    parser.add_argument("--own-stamps", action="store_true", help="without the kernel's time stamps")
    options = vars(parser.parse_args())
    use_c, own_stamps = options.pop("c_client"), options.pop("own_stamps")
    settings = Settings(**options)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if own_stamps:  # in the load workers, which inherit it
            os.environ["LD_PRELOAD"] = str(compiled("no_stamps", folder, "-shared", "-fPIC"))
        with paced_server(folder, round(1e6 / settings.per_second), settings.mode, tls=settings.tls) as (port, log):
            if use_c:
                print("C client:", c_client(folder, port, settings))
                return
            run = Run(settings, port)
            print("load engine:", asyncio.run(run.measure()))
        for line in run.errors(log):
            print(line)


if __name__ == "__main__":
    main()
