"""Whether the app, drawing beside the load on the same cores, changes what is measured.

    python benchmarks/app_beside.py [--users 1000] [--seconds 20] [--refresh-hz 4] [--rounds 2]

Starts a bench attached to the paced C server, lets the users stand, and lays their records beside the server's log of
its sends: by turns without an app and with one, on a terminal of 120 x 40 that reads all it draws. Linux, a C compiler.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import struct
import sys
import tempfile
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from ground import attached_spec, gap_errors_ms, own_folders, paced_server, quantiles, sends, ttft_excess_ms

from tui.link.client import BenchLink
from tui.link.launcher import StartingBench
from tui.link.protocol import SetUsers, StopBench
from tui.session.reader import SessionReader

GAP_US = 50_000
SPREAD_S = 1.0
STEPS = 200


@dataclass
class Terminal:
    """What an app draws on; `drawn_bytes` is what it drew."""

    pid: int
    descriptor: int
    drawn_bytes: int = 0

    def read_all(self) -> None:
        try:
            while data := os.read(self.descriptor, 65536):
                self.drawn_bytes += len(data)
        except OSError:
            pass  # the app has ended


@contextmanager
def app(session_id: str) -> Iterator[Terminal]:
    """Run the app on a bench, looking only."""
    pid, descriptor = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        os.execv(sys.executable, [sys.executable, "-m", "tui", "attach", session_id, "--read-only"])
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    terminal = Terminal(pid, descriptor)
    reading = threading.Thread(target=terminal.read_all)
    reading.start()
    try:
        yield terminal
    finally:
        psutil.Process(pid).terminate()
        reading.join()
        os.waitpid(pid, 0)
        os.close(descriptor)


async def stand(link: BenchLink, session_id: str, options: argparse.Namespace, *, with_app: bool) -> str:
    async for snapshot in link.snapshots():
        if snapshot.server.phase == "ready":
            break
    if not with_app:
        await come_and_stay(link, options)
        return "without an app"
    with app(session_id) as terminal:
        await come_and_stay(link, options)
        times = psutil.Process(terminal.pid).cpu_times()
        drawn = terminal.drawn_bytes
    return f"with an app that drew {drawn / 1e3:.0f} kB in {times.user + times.system:.1f} s of a core"


async def come_and_stay(link: BenchLink, options: argparse.Namespace) -> None:
    for step in range(1, STEPS + 1):
        await link.request(SetUsers(options.users * step // STEPS))
        await asyncio.sleep(SPREAD_S / STEPS)
    await asyncio.sleep(options.seconds)


async def measure(options: argparse.Namespace, *, with_app: bool) -> list[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own_folders(folder)
        settings = folder / "config" / "vramp" / "settings.toml"
        settings.parent.mkdir()
        settings.write_text(f"refresh_hz = {options.refresh_hz}\n")
        with paced_server(folder, GAP_US, "own") as (port, log):
            spec = attached_spec(
                "beside", port, users=[options.users], prompt_tokens=[50], duration_s=5.0, keep_gaps=True
            )
            link = await BenchLink.connect(await StartingBench(spec).listening(), refresh_hz=1.0)
            try:
                how = await stand(link, spec.session_id, options, with_app=with_app)
            finally:
                await link.request(StopBench())
                await link.close()
        return list(errors(how, Path(spec.session_file), log))


def errors(how: str, session_file: Path, log: Path) -> Iterator[str]:
    truth = sends(log)
    gap_ms, ttft_ms, delay_ms = [], [], []
    with SessionReader(session_file) as reader:
        for record in reader.requests():
            if not record.ok or record.first_token_ns is None:
                continue
            sent = truth[record.prompt_tokens_usage or 0]
            ttft_ms.append(ttft_excess_ms(record, sent))
            delay_ms.append(record.client_delay_s * 1e3)
            gap_ms += gap_errors_ms(record, sent)
    yield f"{how}: {len(ttft_ms)} requests, load average {os.getloadavg()[0]:.1f}"
    yield f"  gap error, ms p50 / p99 / max: {quantiles(gap_ms)}"
    yield f"  TTFT excess, ms p50 / p99 / max: {quantiles(ttft_ms)}"
    yield f"  of it the client's own delay: {quantiles(delay_ms)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--refresh-hz", type=float, default=4.0)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    for _ in range(options.rounds):
        for with_app in (False, True):
            for line in asyncio.run(measure(options, with_app=with_app)):
                print(line, flush=True)


if __name__ == "__main__":
    main()
