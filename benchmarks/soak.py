"""A million short requests through a real bench: what load and bench hold in memory, and whether it grows.

    python benchmarks/soak.py [--requests 1000000] [--users 256] [--seconds 600]

Starts a bench as the app does (its session file, snapshots four times a second, cell after cell of the standing users),
attached to the paced C server, and watches the memory (PSS and RSS) of the bench and all its load workers. Prints one
line per tenth, and at the end the most in each half; exit code 1 when that is too much, or more in the second half. It
needs Linux and a C compiler.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from ground import attached_spec, compiled, own_folders

from tui.link.client import BenchLink
from tui.link.launcher import StartingBench
from tui.link.protocol import SetUsers, StopBench

TOKENS = 4
GAP_US = 5000
GROWTH_ALLOWED = 0.1
MOST_BYTES = 300_000_000


@dataclass(frozen=True)
class Sample:
    requests: int
    pss_bytes: int
    rss_bytes: int
    processes: int


def bench_process(session_id: str) -> psutil.Process:
    """Return the bench that this script has started: the only child that runs tui.bench."""
    for child in psutil.Process().children():
        if "tui.bench" in child.cmdline():
            return child
    raise SystemExit(f"the bench of {session_id} is gone")


def sample(bench: psutil.Process, requests: int) -> Sample:
    found = [bench.memory_full_info()]
    for child in bench.children(recursive=True):
        # What measured the client beforehand may end just now.
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(child.memory_full_info())
    return Sample(requests, sum(each.pss for each in found), sum(each.rss for each in found), len(found))


async def soak(port: int, options: argparse.Namespace) -> tuple[list[Sample], int, Path, float]:
    spec = attached_spec("soak", port, users=[options.users], prompt_tokens=[16], output_tokens=TOKENS)
    link = await BenchLink.connect(await StartingBench(spec).listening(), refresh_hz=4.0)
    bench = bench_process(spec.session_id)
    samples: list[Sample] = []
    failed, asked, begun = 0, False, time.monotonic()
    next_tell = options.requests // 10
    try:
        async for snapshot in link.snapshots():
            done = snapshot.figures.requests_ok_total
            failed = snapshot.figures.requests_failed_total
            if not asked and snapshot.server.phase == "ready":
                asked = (await link.request(SetUsers(options.users))).ok
                begun = time.monotonic()
            if not asked:
                continue
            if not samples or done - samples[-1].requests >= options.requests // 100:
                samples.append(sample(bench, done))
            took_s = time.monotonic() - begun
            if done >= next_tell:
                latest = samples[-1]
                print(
                    f"{done:>8} requests after {took_s:.0f} s: {latest.pss_bytes / 1e6:.0f} MB PSS, "
                    f"{latest.rss_bytes / 1e6:.0f} MB RSS, {latest.processes} processes",
                    flush=True,
                )
                next_tell += options.requests // 10
            if done >= options.requests or took_s > options.seconds:
                break
        took_s = time.monotonic() - begun
    finally:
        await link.request(StopBench())
        await link.close()
        await asyncio.to_thread(bench.wait, 30)
    return samples, failed, Path(spec.session_file), took_s


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--users", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own_folders(folder)
        server = subprocess.Popen(
            [compiled("paced_server", folder), "0", "-", str(GAP_US), "own", "usage"], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            samples, failed, session_file, took_s = asyncio.run(soak(port, options))
        finally:
            server.terminate()
            server.wait()
        with sqlite3.connect(session_file) as session:
            (kept,) = session.execute("SELECT count(*) FROM requests").fetchone()
        print(f"the session file holds {kept} requests in {session_file.stat().st_size / 1e6:.0f} MB")
    # A standing cell keeps some bytes of every request until it is summed up, so memory rises and falls with its cells.
    # One more worker, which a busy one asks for, is no growth: what is compared has as many processes as the end had.
    alike = [each for each in samples if each.processes == samples[-1].processes]
    half = len(alike) // 2
    first, last = (max(each.pss_bytes for each in some) for some in (alike[: half + 1], alike[half:]))
    done = samples[-1].requests
    print(
        f"{done} requests ({failed} failed) in {took_s:.0f} s, {done / took_s:.0f} per s: at most "
        f"{first / 1e6:.0f} MB PSS in the first half with {samples[-1].processes} processes, "
        f"{last / 1e6:.0f} MB in the second; "
        f"load average {os.getloadavg()[0]:.1f}"
    )
    return 0 if max(first, last) < MOST_BYTES and last < first * (1 + GROWTH_ALLOWED) else 1


if __name__ == "__main__":
    sys.exit(main())
