"""What it takes to merge the reports of many load workers, at sizes for which no machine is at hand.

    python benchmarks/merge_at_scale.py [--users 100000] [--hosts 50] [--workers 4] [--per-second 20] [--seconds 10]
    python benchmarks/merge_at_scale.py --seconds 30 --write

The real pool, summary, window, session file and snapshots take reports that are made beforehand, second by second,
without hosts, sockets and requests; time passes as fast as they are taken. CPU is the process's, and apart from it that
of the thread which also answers front ends; what makes the reports is not counted. --write puts the
figures of several sizes into `docs/scale.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import msgspec
import psutil
import uvloop
from ground import HERE, machine, write_table
from played_reports import PROMPT_TOKENS, TICKS_PER_S, TOKENS, Made, PlayedHost, PlayedWorker
from tabulate import tabulate

from tui.bench.clock import SessionClock
from tui.bench.grid import Grid
from tui.bench.intake import Intake
from tui.bench.measure import add_under_way
from tui.bench.silence import LEAST_S, SilenceWatch
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.core.address import address_of
from tui.core.clock import NS_PER_S
from tui.core.steps import in_turns
from tui.core.tasks import end_task
from tui.engines.base import RequestShape
from tui.engines.parts import openai_stream
from tui.load import pool as load_pool
from tui.load.pool import LoadPool
from tui.load.prompts import TOKEN_IDS, pack_token_ids
from tui.load.wire import REPORT_PERIOD_S, LoadTarget, PromptSource
from tui.metrics.reading import Event
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import LoadStatus, Phase, ServerStatus, SweepStatus
from tui.metrics.summary import CellSummary
from tui.metrics.window import LiveWindow
from tui.profile.schema import Mode
from tui.session.meta import SessionMeta
from tui.session.store import SessionWriter

SNAPSHOTS_PER_S = 4
WARM_UP_S = 3
SIZES = ((10_000, 4), (30_000, 15), (60_000, 30), (100_000, 50))
"""Users and hosts."""
DOC = HERE.parent / "docs" / "scale.md"


SHAPE = RequestShape(
    path="/v1/completions",
    headers=[],
    body_head=b'{"prompt":',
    body_tail=b"}",
    prompt_kind=TOKEN_IDS,
    dialect=openai_stream.NAME,
    prompt_tokens=PROMPT_TOKENS,
    prompt_tokens_overhead=0,
    output_tokens=TOKENS,
)


class Bench:
    """The parts of a bench that reports go through, as the testbed wires them."""

    def __init__(self, folder: Path, users: int, seconds: float) -> None:
        self.clock = SessionClock()
        meta = SessionMeta(
            session_id="scale",
            started_at="2026-01-01T00:00:00Z",
            started_at_ns=self.clock.start_ns,
            vramp_version="",
            profile_name="scale",
            profile_toml="",
            engine="openai",
            simulated=False,
        )
        self.writer = SessionWriter(folder / "scale.vramp", meta)
        self.builder = SnapshotBuilder(
            started_at_ns=self.clock.start_ns,
            started_at="",
            session_id="scale",
            session_file="",
            simulated=False,
            time_scale=1.0,
            profile_name="scale",
            profile_title="scale",
            engine="openai",
            gpu_summary="",
            command_line="",
            window=LiveWindow(),
        )
        self.builder.users_wanted = users
        self.summary = CellSummary(Mode.STEADY, tag=1, start_ns=self.clock.start_ns, lasting_s=seconds)
        watch = SilenceWatch(least_s=LEAST_S, most_s=seconds)
        self.intake = Intake(self.clock, self.writer, self.builder, watch)
        self.intake.collect(self.summary)

    def snapshot(self, at_ns: int) -> int:
        """Put a snapshot together and encode it, as for a front end; return its bytes."""
        grid = Grid("steady", [1], [PROMPT_TOKENS], TOKENS)
        whole = self.builder.snapshot(
            at_ns,
            server=ServerStatus(phase=Phase.READY),
            load=LoadStatus(),
            grid=grid,
            current=None,
            queueing=[],
            edges=[],
            sweep=SweepStatus(),
            carried=[],
            gpu_note="",
            notice="",
        )
        return len(msgspec.msgpack.encode(whole))


@dataclass
class Totals:
    """What was taken, and what that cost."""

    records: int = 0
    events: int = 0
    size: int = 0
    reports: int = 0
    cpu_s: float = 0.0
    loop_s: float = 0.0
    seconds: int = 0
    longest_s: float = 0.0
    snapshot_bytes: int = 0
    memory_mb: list[float] = field(default_factory=list)
    placing_s: float = 0.0
    ending_s: float = 0.0
    """CPU of a cell's result."""
    pause_s: float = 0.0
    """The longest part of it in which the loop does nothing else."""


def made_second(
    workers: list[PlayedWorker], made: Made, first_tick: int, now_ns: int, totals: Totals
) -> list[list[tuple[PlayedWorker, bytes]]]:
    """Return a second's reports: tick by tick, each worker's by itself."""
    ticks = []
    for step in range(TICKS_PER_S):
        at_ns = now_ns + round((step + 1) * REPORT_PERIOD_S * NS_PER_S)
        bodies = []
        for worker in workers:
            body, records, events = made.of_tick(worker, first_tick + step, at_ns, 1)
            bodies.append((worker, body))
            totals.records += records
            totals.events += events
            totals.size += len(body) + 4
            totals.reports += 1
        ticks.append(bodies)
    return ticks


async def take_second(
    bench: Bench, pool: LoadPool, ticks: list[list[tuple[PlayedWorker, bytes]]], now_ns: int, totals: Totals
) -> None:
    """Have a second's reports merged, the second closed, and snapshots made of it."""
    cpu_s, loop_s = time.process_time(), time.thread_time()
    for bodies in ticks:
        began_s = time.thread_time()
        for worker, body in bodies:
            worker.put(body)
        while any(  # noqa: ASYNC110 - what is waited for is this loop's own work
            handle.seq < worker.given for handle, (worker, _) in zip(pool._crew.handles, bodies, strict=True)
        ):
            await asyncio.sleep(0)
        totals.longest_s = max(totals.longest_s, time.thread_time() - began_s)
    bench.builder.tick(now_ns, bench.intake.progress, None, PROMPT_TOKENS)
    for number in range(SNAPSHOTS_PER_S):
        totals.snapshot_bytes = bench.snapshot(now_ns + number)
    bench.writer.flush()
    totals.cpu_s += time.process_time() - cpu_s
    totals.loop_s += time.thread_time() - loop_s
    totals.seconds += 1
    totals.memory_mb.append(psutil.Process().memory_full_info().pss / 1e6)


async def measure(options: argparse.Namespace) -> Totals:
    said: list[Event] = []
    workers: list[PlayedWorker] = []
    hosts = [PlayedHost(f"host{number}", options.workers, workers) for number in range(1, options.hosts + 1)]
    count = options.hosts * options.workers
    load_pool.USERS_PER_WORKER = -(-options.users // count)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options.users, options.seconds)
        pool = LoadPool(
            LoadTarget(address_of("http://127.0.0.1:1")),
            on_records=bench.intake.take_records,
            on_progress=bench.intake.take_progress,
            on_event=said.append,
            hosts=hosts,
        )
        await pool.start()
        await pool.configure(SHAPE, PromptSource(TOKEN_IDS, pack_token_ids(range(200, 1200))), 1)
        await pool.set_users(count)  # which has all workers started
        placing_s = time.process_time()
        await pool.set_users(options.users)
        placing_s = time.process_time() - placing_s
        for number, worker in enumerate(workers):
            worker.users = list(range(number, options.users, len(workers)))
        made, totals, now_ns = Made(options.per_second), Totals(), bench.clock.start_ns
        for second in range(WARM_UP_S + options.seconds):
            if second == WARM_UP_S:
                totals = Totals()
                bench.summary.begin(now_ns)
            ticks = made_second(workers, made, second * TICKS_PER_S, now_ns, totals)
            now_ns += NS_PER_S
            await take_second(bench, pool, ticks, now_ns, totals)
        totals.placing_s = placing_s
        bench.summary.end(now_ns)
        under_way = [made.under_way(worker, user, now_ns, 1) for worker in workers for user in worker.users]
        await end_cell(bench, under_way, options, totals)
        await pool.stop()
        bench.writer.close("measured")
        assert said == [], said
    return totals


async def end_cell(bench: Bench, under_way: list[RequestRecord], options: argparse.Namespace, totals: Totals) -> None:
    """Have the cell's result made as the bench does, and look how long nothing else has its turn meanwhile."""

    async def look() -> None:
        while True:
            began_s = time.thread_time()
            await asyncio.sleep(0)
            totals.pause_s = max(totals.pause_s, time.thread_time() - began_s)

    looking = asyncio.create_task(look())
    began_s = time.thread_time()
    await in_turns(add_under_way(bench.summary, bench.clock, under_way))
    await in_turns(bench.summary.settle())
    result = bench.summary.result(users=options.users, prompt_tokens=PROMPT_TOKENS, output_tokens=TOKENS)
    totals.ending_s = time.thread_time() - began_s
    await asyncio.sleep(0)
    await end_task(looking)
    assert result.requests_ok >= totals.records * 0.99, (result.requests_ok, totals.records)


def in_words(options: argparse.Namespace, totals: Totals) -> str:
    seconds, memory = totals.seconds, totals.memory_mb
    return (
        f"{options.users:,} users in {options.hosts * options.workers} workers on {options.hosts} hosts: "
        f"{totals.events / seconds:,.0f} events/s, "
        f"{totals.records / seconds:,.0f} requests/s, {totals.reports / seconds:,.0f} reports/s, "
        f"{totals.size / seconds / 1e6:.1f} MB/s; CPU {totals.cpu_s / seconds:.2f} of a core, "
        f"{totals.loop_s / seconds:.2f} of it in the loop "
        f"({totals.cpu_s / max(1, totals.records) * 1e6:.0f} us/request, "
        f"{totals.cpu_s / totals.events * 1e9:.0f} ns/event); longest tick {totals.longest_s * 1e3:.0f} ms of "
        f"{REPORT_PERIOD_S * 1e3:.0f}; placing users {totals.placing_s:.2f} s; "
        f"a cell's result {totals.ending_s:.2f} s, of it {totals.pause_s * 1e3:.0f} ms in one go at most; "
        f"memory {memory[0]:.0f} to {memory[-1]:.0f} MB; a snapshot {totals.snapshot_bytes / 1e3:.0f} kB"
    )


def row(options: argparse.Namespace, totals: Totals) -> list[str]:
    seconds = totals.seconds
    return [
        f"{options.users:,}",
        f"{options.hosts}",
        f"{options.hosts * options.workers}",
        f"{totals.events / seconds:,.0f}",
        f"{totals.records / seconds:,.0f}",
        f"{totals.reports / seconds:,.0f}",
        f"{totals.size / seconds / 1e6:.1f}",
        f"{totals.cpu_s / seconds:.2f}",
        f"{totals.loop_s / seconds:.2f}",
        f"{totals.ending_s:.2f} s",
        f"{totals.pause_s * 1e3:.0f} ms",
        f"{totals.memory_mb[-1]:.0f} MB",
    ]


COLUMNS = (
    "users",
    "hosts",
    "workers",
    "events/s",
    "requests/s",
    "reports/s",
    "MB/s",
    "CPU, of a core",
    "of it in the loop",
    "a cell's result, CPU",
    "of it in one go",
    "memory",
)


def run(options: argparse.Namespace) -> list[str]:
    """Measure one size in this process; tell it, and return its row."""
    totals = uvloop.run(measure(options))
    print(in_words(options, totals), flush=True)
    return row(options, totals)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=50)
    parser.add_argument("--workers", type=int, default=4, help="on each host")
    parser.add_argument("--per-second", type=float, default=20.0, help="tokens a second and user")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--write", action="store_true", help="measure all sizes, and put the table into docs/scale.md")
    options = parser.parse_args()
    if not options.write:
        run(options)
        return
    sizes = [argparse.Namespace(**{**vars(options), "users": users, "hosts": hosts}) for users, hosts in SIZES]
    with get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:  # each size has memory of its own
        rows = fresh.map(run, sizes, chunksize=1)
    lines = [
        f"Cells of {options.seconds} s. {machine()}.",
        "",
        *tabulate(rows, COLUMNS, "github", disable_numparse=True).splitlines(),
    ]
    write_table("merge at scale", lines, DOC)


if __name__ == "__main__":
    main()
