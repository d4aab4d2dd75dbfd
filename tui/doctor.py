"""`vramp doctor` and `vramp gpu`: what is fine on this machine, what is not, what to do. Front ends without the app.

stdout is data. Nothing is installed; what is started is the load client, for 2 s, to measure itself. A check that
cannot be made says so.
"""

from __future__ import annotations

import asyncio
import importlib.util
import locale
import os
import queue
import resource
import shutil
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
from tabulate import tabulate

from tui import __version__
from tui.core.errors import ExitCode, UsageError, VrampError
from tui.core.paths import sessions_dir, socket_of
from tui.core.printing import complain, tell
from tui.core.safe_text import safe_line
from tui.engines.catalogue import engine_for, names
from tui.gpu.nvml import NvmlBackend, describe
from tui.gpu.sampler import GpuSampler
from tui.load.ceiling import TOKENS_PER_S_PER_STREAM, measure_ceiling
from tui.metrics.reading import GpuReading
from tui.profile.catalogue import entries
from tui.profile.engine_names import SIMULATED

MIN_COLUMNS, MIN_ROWS = 60, 16
MIN_FREE_BYTES = 1_000_000_000
WEIGHTS_FREE_BYTES = 50_000_000_000
# One socket per user, in each of few load workers, and some to spare.
MIN_OPEN_FILES = 4096
MIN_SHM_BYTES = 1_000_000_000
DEFAULT_PORT = 8000
GPU_TIMEOUT_S = 5.0
GPU_PERIOD_S = 1.0
MAX_SESSION_ID = 63


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    state: str
    """fine; lacking (something does without it); wrong."""
    found: str
    advice: str = ""
    """What to do; empty = nothing."""


def checks() -> list[Check]:
    """Look at everything. Never raises: a check that fails by itself is one that is wrong."""
    found: list[Check] = []
    for look in _LOOKS:
        try:
            found += look()
        except (OSError, VrampError, ValueError) as error:
            name = look.__name__.strip("_").replace("_", " ")
            found.append(Check(name=name, state="wrong", found=safe_line(str(error), limit=200)))
    return found


def print_report(*, as_json: bool = False) -> ExitCode:
    """Print all checks. What lacks does not make it fail: it is what the report is for."""
    found = checks()
    if as_json:
        report = {"version": __version__, "fine": not any(c.state == "wrong" for c in found), "checks": found}
        tell(msgspec.json.encode(report).decode())
        return ExitCode.OK
    for check in found:
        tell(f"{check.state:8}  {check.name:16}  {check.found}")
        if check.advice:
            tell(f"{'':8}  {'':16}  {check.advice}")
    return ExitCode.OK


def print_gpus(*, as_json: bool = False, once: bool = False) -> ExitCode:
    """Print the GPUs' readings: one round with `as_json` or `once`, else one a second until interrupted.

    Returns SERVER_UNAVAILABLE, with the reason on stderr, when there is nothing to read.
    """
    inventory = describe(GPU_TIMEOUT_S)
    if not inventory.gpus:
        return _print_no_gpus(inventory.problem or "no NVIDIA GPU here", as_json=as_json)
    rounds: queue.Queue[tuple[list[GpuReading], float]] = queue.Queue()
    sampler = GpuSampler(NvmlBackend, lambda *sample: rounds.put(sample), frozenset, GPU_PERIOD_S)
    sampler.start()
    try:
        while True:
            readings, cost_s = rounds.get(timeout=GPU_TIMEOUT_S)
            if as_json:
                answer = {"gpus": readings, "sample_s": cost_s, "driver_version": inventory.driver_version}
                tell(msgspec.json.encode(answer | {"problem": sampler.unavailable}).decode())
            else:
                tell(gpu_table(readings, cost_s))
            if sampler.unavailable:
                complain(sampler.unavailable)
            if as_json or once:
                return ExitCode.OK
    except queue.Empty:
        return _print_no_gpus(sampler.unavailable or "the NVIDIA driver does not answer", as_json=as_json)
    finally:
        sampler.stop()


def _print_no_gpus(problem: str, *, as_json: bool) -> ExitCode:
    if as_json:
        answer: dict[str, object] = {"gpus": [], "sample_s": None, "driver_version": "", "problem": problem}
        tell(msgspec.json.encode(answer).decode())
    complain(problem)
    return ExitCode.SERVER_UNAVAILABLE


def gpu_table(readings: Iterable[GpuReading], cost_s: float) -> str:
    """Return one round of readings as a table, with what it cost."""
    rows = [
        {
            "GPU": reading.place,
            "name": reading.name,
            "used GB": _figure(reading.vram_used_bytes, 1e9, 1),
            "reserved GB": _figure(reading.vram_reserved_bytes, 1e9, 1),
            "free GB": _figure(reading.vram_free_bytes, 1e9, 1),
            "total GB": _figure(reading.vram_total_bytes, 1e9, 1),
            "active %": _figure(reading.active_share, 0.01, 0),
            "W": _figure(reading.power_w, 1, 0),
            "°C": _figure(reading.temperature_c, 1, 0),
            "note": "LOST" if reading.lost else reading.throttle or ("MIG mode" if reading.mig_mode else ""),
        }
        for reading in readings
    ]
    table = tabulate(rows, headers="keys", disable_numparse=True, stralign="right")
    return f"{table}\nsampled in {cost_s * 1000:.1f} ms"


def _figure(value: float | None, unit: float, digits: int) -> str:
    return "N/A" if value is None else f"{value / unit:.{digits}f}"


def _python() -> list[Check]:
    return [Check(name="Python", state="fine", found=f"{sys.version.split()[0]} at {sys.executable}")]


def _gpus() -> list[Check]:
    inventory = describe(GPU_TIMEOUT_S)
    if not inventory.gpus:
        problem = inventory.problem or "no NVIDIA GPU here"
        advice = "profiles with engine simulated, and attached servers, need none"
        return [Check(name="GPUs", state="lacking", found=problem, advice=advice)]
    names = ", ".join(
        f"{gpu.index}: {gpu.in_words} {_figure(gpu.vram_total_bytes, 1e9, 1)} GB" for gpu in inventory.gpus
    )
    return [
        Check(name="NVIDIA driver", state="fine", found=inventory.driver_version or "answers"),
        Check(name="GPUs", state="wrong" if inventory.problem else "fine", found=names, advice=inventory.problem),
    ]


def _serving_systems() -> list[Check]:
    """Look for the program that starts each serving system. An engine that cannot be imported is wrong."""
    checks: list[Check] = []
    programs: list[str] = []
    for name in names():
        try:
            launch = engine_for(name).launch
        except UsageError as error:
            checks.append(Check(name=f"engine {name}", state="wrong", found=str(error), advice="update or remove it"))
            continue
        # That there is a Python tells nothing of what it has.
        if launch is not None and name != SIMULATED and launch.executable[:1] != ("python3",):
            programs += launch.executable[:1]
    programs = list(dict.fromkeys(programs))
    here = {program: path for program in programs if (path := shutil.which(program)) is not None}
    checks += [Check(name=program, state="fine", found=path) for program, path in here.items()]
    if here:
        return checks
    inactive = [program for program in programs if program.isidentifier() and importlib.util.find_spec(program)]
    advice = "install one, or set server.executable in the profile to its path"
    if inactive:
        advice = f"{', '.join(inactive)} is installed: activate its environment"
    found = f"none of {', '.join(programs)} on the PATH"
    return [*checks, Check(name="serving systems", state="lacking", found=found, advice=advice)]


def _ports() -> list[Check]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as any_port:
        any_port.bind(("127.0.0.1", 0))
        free = any_port.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("127.0.0.1", DEFAULT_PORT))
        except OSError:
            advice = "only profiles that ask for this port mind; the usual port = 0 takes a free one"
            return [Check(name="ports", state="lacking", found=f"{DEFAULT_PORT} is taken", advice=advice)]
    return [Check(name="ports", state="fine", found=f"{DEFAULT_PORT} is free, and so is {free}")]


def _text_locale() -> list[Check]:
    encoding = locale.getpreferredencoding(False)
    if encoding.replace("-", "").lower() == "utf8":
        return [Check(name="locale", state="fine", found=encoding)]
    advice = "set LC_ALL=C.UTF-8, or start vramp with --ascii"
    return [Check(name="locale", state="wrong", found=encoding, advice=advice)]


def _terminal() -> list[Check]:
    term = safe_line(os.environ.get("TERM", ""), limit=40)
    if not sys.stdout.isatty():
        return [
            Check(
                name="terminal",
                state="lacking",
                found="stdout is none",
                advice="the app needs one; `vramp run` does not",
            )
        ]
    size = shutil.get_terminal_size()
    found = f"{term or 'TERM is not set'}, {size.columns}x{size.lines}"
    if term in ("", "dumb"):
        return [Check(name="terminal", state="wrong", found=found, advice="set TERM, as in TERM=xterm-256color")]
    if size.columns < MIN_COLUMNS or size.lines < MIN_ROWS:
        advice = f"make it at least {MIN_COLUMNS}x{MIN_ROWS}; from 80x24 on all is to be seen"
        return [Check(name="terminal", state="wrong", found=found, advice=advice)]
    return [Check(name="terminal", state="fine", found=found)]


def _disk() -> list[Check]:
    sessions = sessions_dir()
    if not os.access(sessions, os.W_OK):
        advice = "sessions are kept in memory only: set XDG_DATA_HOME to a folder that can be written"
        return [Check(name="sessions", state="wrong", found=f"{sessions} cannot be written", advice=advice)]
    weights = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return [
        _space("sessions", sessions, MIN_FREE_BYTES, "sessions end when the disk is full: make room"),
        _space("model weights", weights, WEIGHTS_FREE_BYTES, "large models may not fit: make room, or set HF_HOME"),
    ]


def _space(name: str, folder: Path, wanted_bytes: int, advice: str) -> Check:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    enough = free >= wanted_bytes
    found = f"{free / 1e9:.1f} GB free for {folder}"
    return Check(name=name, state="fine" if enough else "lacking", found=found, advice="" if enough else advice)


def _shared_memory() -> list[Check]:
    shm = Path("/dev/shm")  # noqa: S108 (looked at, not written)
    if not shm.is_dir():
        return []
    total = shutil.disk_usage(shm).total
    enough = total >= MIN_SHM_BYTES
    advice = "" if enough else "vLLM over several GPUs needs more: start the container with --ipc=host or --shm-size"
    return [
        Check(name="shared memory", state="fine" if enough else "lacking", found=f"{total / 1e9:.1f} GB", advice=advice)
    ]


def _open_files() -> list[Check]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = soft == resource.RLIM_INFINITY or soft >= MIN_OPEN_FILES
    advice = "" if enough else f"each user takes one: `ulimit -n {MIN_OPEN_FILES}` before (the hard limit is {hard})"
    return [Check(name="open files", state="fine" if enough else "lacking", found=f"at most {soft}", advice=advice)]


def _sockets() -> list[Check]:
    # As long as a session's name can be.
    return [Check(name="sockets", state="fine", found=str(socket_of("n" * MAX_SESSION_ID).parent))]


def _load_client() -> list[Check]:
    ceiling = asyncio.run(measure_ceiling())
    carries = (
        f"{ceiling.tokens_per_s:,.0f} tokens/s, or {ceiling.streams:,} users at {TOKENS_PER_S_PER_STREAM} tokens/s"
    )
    found = f"each worker carries {carries} ({ceiling.us_per_event:.1f} µs of CPU per token); one per core at most"
    return [Check(name="load client", state="fine", found=found)]


def _profiles() -> list[Check]:
    found = entries()
    wrong = [entry for entry in found if entry.problems]
    if not wrong:
        return [Check(name="profiles", state="fine", found=f"{len(found)} found")]
    return [Check(name="profiles", state="wrong", found=line, advice="") for entry in wrong for line in entry.problems]


_LOOKS: tuple[Callable[[], list[Check]], ...] = (
    _python,
    _gpus,
    _serving_systems,
    _ports,
    _text_locale,
    _terminal,
    _disk,
    _shared_memory,
    _open_files,
    _sockets,
    _profiles,
    _load_client,
)
