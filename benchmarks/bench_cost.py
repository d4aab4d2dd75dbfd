"""What the bench itself costs beside its load workers: it merges what they report, keeps it, and tells the front ends.

    python benchmarks/bench_cost.py [--users 2500] [--per-second 20] [--workers 4] [--seconds 15] [--turns 5]
    python benchmarks/bench_cost.py --hosts 4 --users 10000 --workers 16        # reports that are played

Starts a bench attached to the paced C server, with a front end that looks four times a second, and takes the CPU of the
bench's own process, its writer's thread included, while the users stand. With `--hosts` the workers only play what they
tell (`drivers/player.py`), as if they ran on so many hosts: 16 of them cost this machine a tenth of a core, so that it
has room for the bench. CPU seconds are told, which hang little on what else the machine does. Linux, a C compiler.

With `--turns`, benches that judge their cells (verdict, intervals, edge) and benches in which that is taken out run by
turns: what judging adds to the CPU of the bench for each event. Answers are short then, so that intervals are made.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import msgspec
import psutil
from ground import HERE, attached_spec, own_folders, paced_server, quantile

from tui.core.paths import socket_of
from tui.link.client import BenchLink
from tui.link.protocol import BenchSpec, SetUsers, StopBench
from tui.metrics.cell import CellResult
from tui.metrics.snapshot import Phase

OUTPUT_TOKENS = 100
REFRESH_HZ = 4.0
SPREAD_S = 2.0
STEPS = 50
SETTLE_S = 6.0
CELL_S = 5.0
UNJUDGED = "--unjudged"


@dataclass(frozen=True)
class Cost:
    """Of one bench while its users stood."""

    words: str
    us_per_event: float
    """CPU of the bench's own process."""
    cells: int
    """That had an outcome, and how many of them a verdict."""
    judged: int


def started(spec: BenchSpec, options: argparse.Namespace, *, judging: bool) -> psutil.Popen:
    """Start the bench and wait until it listens."""
    if options.hosts:
        driver, asked = "played_bench.py", [options.workers, options.hosts, options.users, options.per_second]
    else:
        driver, asked = "wide_bench.py", [options.workers, options.users]
    command = [sys.executable, str(HERE / "drivers" / driver), *map(str, asked), *([] if judging else [UNJUDGED])]
    bench = psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    bench.stdin.write(msgspec.json.encode(spec) + b"\n")
    bench.stdin.flush()  # and left open: a bench that nobody has looked at ends with who started it
    if bench.stdout.readline().strip() != b"ready":
        raise RuntimeError("the bench did not start")
    return bench


def is_worker(process: psutil.Process) -> bool:
    try:
        return any("tui.load.worker" in word or "player.py" in word for word in process.cmdline())
    except psutil.Error:  # what measured the client beforehand has just ended
        return False


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


async def stand(link: BenchLink, bench: psutil.Popen, options: argparse.Namespace) -> Cost:
    async for snapshot in link.snapshots():
        if snapshot.server.phase is Phase.FAILED:
            raise RuntimeError(f"the bench came to nothing: {snapshot.server.failure}")
        if snapshot.server.phase is Phase.READY:
            break
    for step in range(1, STEPS + 1):
        await link.request(SetUsers(options.users * step // STEPS))
        await asyncio.sleep(SPREAD_S / STEPS)
    async for snapshot in link.snapshots():
        if snapshot.load.users_active == options.users and snapshot.load.workers == options.workers:
            break
    await asyncio.sleep(SETTLE_S)
    workers = [child for child in bench.children() if is_worker(child)]
    marks = time.monotonic(), cpu_s(bench), sum(map(cpu_s, workers))
    answered, came_s, memory_mb = [], [], []
    cells: dict[int, CellResult] = {}
    async for snapshot in link.snapshots():
        answered.append(snapshot.figures.requests_ok_total)
        cells |= {cell.tag: cell for cell in snapshot.grid.cells if cell.tag}
        came_s.append(time.monotonic())
        if len(came_s) % (10 * round(REFRESH_HZ)) == 1:
            memory_mb.append(bench.memory_full_info().pss / 1e6)
        if came_s[-1] - marks[0] > options.seconds:
            break
    late_ms = [(after - before - 1 / REFRESH_HZ) * 1e3 for before, after in pairwise(came_s)]
    took_s = time.monotonic() - marks[0]
    own, theirs = cpu_s(bench) - marks[1], sum(map(cpu_s, workers)) - marks[2]
    rate = (answered[-1] - answered[0]) * OUTPUT_TOKENS / (came_s[-1] - came_s[0])
    words = (
        f"{rate:,.0f} events/s in {len(workers)} workers: the bench {own / took_s:.1%} of a core "
        f"({own / took_s / rate * 1e6:.2f} us/event), the workers {theirs / took_s / rate * 1e6:.1f} us/event, "
        f"its memory every 10 s {', '.join(f'{each:.0f}' for each in memory_mb)} MB; "
        f"snapshots late by p50 / p99 / max {quantile(late_ms, 0.5):.0f} / {quantile(late_ms, 0.99):.0f} / "
        f"{max(late_ms):.0f} ms"
    )
    judged = [cell for cell in cells.values() if cell.verdict is not None and _has_interval(cell)]
    return Cost(words, own / took_s / rate * 1e6, len(cells), len(judged))


def _has_interval(cell: CellResult) -> bool:
    return cell.precision is not None and cell.precision.error is not None


async def measure(options: argparse.Namespace, *, judging: bool = True) -> Cost:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own_folders(folder)
        with paced_server(folder, round(1e6 / options.per_second), "own") as (port, _):
            short = {"output_tokens": 4, "precision": 0.001, "duration_s": 8.0}
            load = {"duration_s": CELL_S, **(short if options.turns else {})}
            spec = attached_spec("cost", port, users=[options.users], prompt_tokens=[50], warm_up_s=1.0, **load)
            bench = started(spec, options, judging=judging)
            try:
                link = await BenchLink.connect(socket_of(spec.session_id), refresh_hz=REFRESH_HZ)
                try:
                    return await stand(link, bench, options)
                finally:
                    await link.request(StopBench())
                    await link.close()
            finally:
                bench.wait(30)


async def by_turns(options: argparse.Namespace) -> str:
    """Return what judging adds, of benches that do and benches that do not, one after the other."""
    ratios = []
    for turn in range(options.turns):
        order = (True, False) if turn % 2 else (False, True)
        costs = {judging: await measure(options, judging=judging) for judging in order}
        for judging in (True, False):
            print(f"{'judging  ' if judging else 'unjudged '} {costs[judging].words}", flush=True)
        if costs[False].judged or not costs[True].judged:
            raise RuntimeError(f"expected verdicts in one bench alone: {costs}")
        ratios.append(costs[True].us_per_event / costs[False].us_per_event)
    spread = ", ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
    return f"with verdicts, intervals and edge the bench's CPU per event is {median(ratios):.3f} of without ({spread})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=2500)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--hosts", type=int, default=0, help="0 = real workers, all here")
    parser.add_argument("--turns", type=int, default=0, help="pairs of benches with and without judging")
    options = parser.parse_args()
    print(asyncio.run(by_turns(options)) if options.turns else asyncio.run(measure(options)).words)


if __name__ == "__main__":
    main()
