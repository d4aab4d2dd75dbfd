"""What all benchmarks stand on: the C programs, the server's own log of its sends, what a tree of processes costs."""

from __future__ import annotations

import asyncio
import os
import platform
import struct
import subprocess
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tomli_w

from tui.hosts.line import Line
from tui.hosts.remote_host import RemoteHost
from tui.link.launcher import spec_for
from tui.link.protocol import BenchSpec
from tui.metrics.record import RequestRecord
from tui.profile.loader import parse_profile

HERE = Path(__file__).parent
DOC = HERE.parent / "docs" / "benchmarks.md"
LOG_RECORD = struct.Struct("=IIq")
SAMPLE_S = 0.25
MEMORY_EVERY = 4  # samples; it walks the tables of every process


def compiled(name: str, folder: Path, *options: str) -> Path:
    program = folder / name
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / f"{name}.c"), *options], check=True)
    return program


def withheld_shares(seconds: float) -> list[float]:
    """Return the share of each core that the host withholds from who would use all of it, on an idle machine.

    What it withholds from a client or a server under load is in no account of the guest's; it is charged to them.
    """
    command = [sys.executable, str(HERE / "drivers" / "stalls.py"), str(seconds)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(psutil.cpu_count() or 1)]
    return [float(each.communicate()[0]) for each in running]


def write_table(name: str, lines: list[str], document: Path = DOC) -> None:
    """Put lines between the marks of that name in a document."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    before, found, rest = document.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise RuntimeError(f"{document.name} has no marks of {name!r}")
    document.write_text(f"{before}{begin}\n{chr(10).join(lines)}\n{end}{after}")


def machine() -> str:
    """Return what was measured on, in words."""
    try:
        info = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        info = []
    names = (line.partition(":")[2].strip() for line in info if line.startswith("model name"))
    cpu = next(names, platform.machine())
    return (
        f"{psutil.cpu_count()} cores ({cpu}, {platform.system()} {platform.release()}), "
        f"Python {platform.python_version()}"
    )


def own_folders(folder: Path) -> None:
    """Keep what vramp and what it starts write in `folder`, away from the user's own sessions and settings."""
    for kind in ("CACHE", "CONFIG", "DATA", "RUNTIME"):
        own = folder / kind.lower()
        own.mkdir(mode=0o700)
        os.environ[f"XDG_{kind}_{'DIR' if kind == 'RUNTIME' else 'HOME'}"] = str(own)


def attached_spec(name: str, port: int, **load: Any) -> BenchSpec:
    """Return what a bench is started with that loads the server on `port`, standing users, as `load` says."""
    profile = {
        "name": name,
        "engine": "openai",
        "attach": {"base_url": f"http://127.0.0.1:{port}"},
        "load": {"mode": "steady", **load},
    }
    text = tomli_w.dumps(profile)
    return spec_for(parse_profile(text, name), profile_toml=text, profile_path=None)


def gap_errors_ms(record: RequestRecord, sent: list[int]) -> list[float]:
    """Return how far each token gap of a record is from the same gap in the server's log (as `sends` gives it)."""
    gaps = enumerate(record.gaps_us(), 2)
    return [abs(gap_us * 1000 - (sent[number] - sent[number - 1])) / 1e6 for number, gap_us in gaps]


def ttft_excess_ms(record: RequestRecord, sent: list[int]) -> float:
    """Return what the client adds to the server's own time to the first token; the record has a first token."""
    assert record.first_token_ns is not None
    return (record.first_token_ns - record.intended_start_ns - (sent[1] - sent[0])) / 1e6


@contextmanager
def paced_server(
    folder: Path, gap_us: int, mode: str, *, shape: str = "usage", tls: bool = False
) -> Iterator[tuple[int, Path]]:
    """Run the C server; its log is complete when the block has ended. `tls` needs OpenSSL and its headers."""
    log = folder / "sends.log"
    program = compiled("paced_server", folder, *(["-DTLS", "-lssl"] if tls else []))
    certificate = [_certificate(folder)] if tls else []
    command: list[str | Path] = [program, "0", log, str(gap_us), mode, shape, *certificate]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), log
    finally:
        process.terminate()
        process.wait()


def _certificate(folder: Path) -> Path:
    made = folder / "certificate.pem"
    # Elliptic: with RSA the server would shake hands with a thousand streams for a second.
    what = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-subj",
        "/CN=localhost",
        "-keyout",
        str(made),
        "-out",
        f"{made}.cert",
    ]
    subprocess.run(["openssl", "req", "-x509", *what], check=True, capture_output=True)
    made.write_text(made.read_text() + Path(f"{made}.cert").read_text())
    return made


def sends(log: Path) -> dict[int, list[int]]:
    """Serial of a request → [its arrival, then each token's send], CLOCK_MONOTONIC ns."""
    found: dict[int, list[int]] = defaultdict(list)
    for serial, _, at_ns in LOG_RECORD.iter_unpack(log.read_bytes()):
        found[serial].append(at_ns)
    return found


def hosts_here(count: int) -> list[RemoteHost]:
    """Return hosts that are agents on this machine: all but the way there is as on others. Close them afterwards."""

    def open_line() -> Awaitable[Line]:
        return Line.open([sys.executable, "-P", "-m", "tui.hosts.agent"], explain=lambda said: f"is gone: {said}")

    return [RemoteHost(f"host{number}", open_line, shared=False) for number in range(1, count + 1)]


def quantile(values: list[float], share: float) -> float:
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def quantiles(values: list[float]) -> str:
    return " / ".join(f"{quantile(values, share):.3f}" for share in (0.5, 0.99, 1.0))


@dataclass
class Cost:
    """CPU and memory of a tree of processes, sample by sample."""

    at_ns: list[int] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    waited_s: list[float] = field(default_factory=list)
    """Ready to run, but without a core: what the machine's other work does to the figures."""
    pss_bytes_max: int = 0
    processes_max: int = 0
    _ended: tuple[float, float] = (0.0, 0.0)
    _seen: dict[tuple[int, float], tuple[float, float]] = field(default_factory=dict)

    def sample(self, root: psutil.Process) -> None:
        pss_bytes = 0
        found: dict[tuple[int, float], tuple[float, float]] = {}
        with_memory = len(self.at_ns) % MEMORY_EVERY == 0
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
                found[process.pid, process.create_time()] = times.user + times.system, waited_s(process.pid)
                pss_bytes += process.memory_full_info().pss if with_memory else 0
            except (psutil.Error, OSError):
                continue
        # A process that is gone keeps what it was last seen with.
        gone = [each for key, each in self._seen.items() if key not in found]
        self._ended = (self._ended[0] + sum(cpu for cpu, _ in gone), self._ended[1] + sum(wait for _, wait in gone))
        self._seen = found
        self.at_ns.append(time.monotonic_ns())
        self.cpu_s.append(self._ended[0] + sum(cpu for cpu, _ in found.values()))
        self.waited_s.append(self._ended[1] + sum(wait for _, wait in found.values()))
        self.pss_bytes_max = max(self.pss_bytes_max, pss_bytes)
        self.processes_max = max(self.processes_max, len(found))

    def between(self, start_ns: int, end_ns: int, of: list[float]) -> float:
        """Return what `cpu_s` or `waited_s` grew by in a span, by the samples around its ends."""
        return self._at(end_ns, of) - self._at(start_ns, of)

    def _at(self, at_ns: int, of: list[float]) -> float:
        after = min(max(1, bisect_left(self.at_ns, at_ns)), len(self.at_ns) - 1)
        (t0, t1), (v0, v1) = self.at_ns[after - 1 : after + 1], of[after - 1 : after + 1]
        return v0 + (v1 - v0) * min(1.0, max(0.0, (at_ns - t0) / (t1 - t0)))


def waited_s(pid: int) -> float:
    """Return how long a process's threads had no core: proc_pid_schedstat(5), the second figure, ns."""
    return sum(int(task.read_text().split()[1]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def run_watched(command: list[str], log: Path, timeout_s: float, env: dict[str, str]) -> Cost:
    """Run a client to its end and return what its tree cost. Raises RuntimeError when it fails or takes too long."""
    cost = Cost()
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | env
        )
        root = psutil.Process(process.pid)
        ending = asyncio.create_task(process.wait())
        try:
            async with asyncio.timeout(timeout_s):
                while not ending.done():
                    try:
                        cost.sample(root)
                    except psutil.Error:
                        break
                    await asyncio.wait({ending}, timeout=SAMPLE_S)
                await ending
        except TimeoutError:
            for each in [*root.children(recursive=True), root]:
                each.kill()
            await ending
            raise RuntimeError(f"took longer than {timeout_s:g} s") from None
    if process.returncode:
        raise RuntimeError(f"ended with code {process.returncode}: {_last_line(log)}")
    return cost


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "no word"
