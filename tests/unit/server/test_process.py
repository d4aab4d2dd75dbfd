"""Whoever is killed, nothing of the server is left: the bench, the guardian, the server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from tui.server import scratch
from tui.server.keepers import Keepers
from tui.server.process import OUTPUT_BYTES, ServerProcess, output_of

ROOT = Path(__file__).parents[3]
FAKE = ROOT / "tests" / "fakes" / "server.py"
PATIENCE_S = 60

# A process that is to the server what the bench is. It says the pids of the tree, then does what it is told to.
BENCH = """
import asyncio, os, signal, sys
from pathlib import Path
import psutil, uvloop
from tui.server import scratch
from tui.server.process import ServerProcess, become_subreaper

async def main(log, then, *argv):
    become_subreaper()
    process = await ServerProcess.start(argv, {}, Path(log))
    while len(process.pids()) < 4:
        await asyncio.sleep(0.02)
    print(*process.pids(), flush=True)
    if then == "wait":
        assert await process.exited is None
    if then == "guardian-killed":
        guardian = psutil.Process(process.pid).parent()
        assert guardian.pid != os.getpid()
        guardian.kill()
        assert await process.exited is None
    ending = await process.end(1.0)
    assert not ending.survivors, ending
    assert not psutil.Process().children(recursive=True), psutil.Process().children(recursive=True)
    print("clean", flush=True)

(uvloop.run if sys.argv[1] == "uvloop" else asyncio.run)(main(*sys.argv[2:]))
"""


@contextmanager
def bench(loop: str, then: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    fake = [sys.executable, str(FAKE), "--behave", "bear-children", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(
        [sys.executable, "-c", BENCH, loop, str(folder / "server.log"), then, *fake],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def wait_gone(pids: list[int]) -> None:
    processes = []
    for pid in pids:
        try:
            processes.append(psutil.Process(pid))
        except psutil.NoSuchProcess:
            continue
    _gone, alive = psutil.wait_procs(processes, timeout=PATIENCE_S)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_bench_that_is_killed_takes_the_whole_tree_with_it(loop: str, number: signal.Signals, tmp_path: Path) -> None:
    with bench(loop, "wait", tmp_path) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        assert len(pids) >= 4
        process.send_signal(number)
    wait_gone(pids)


KEEPERS = ["bench", "guardian", "watcher"]
# What vLLM's engine core does: a session of its own, and a title in place of its environment; and no ear for SIGTERM.
HIDDEN = """
import ctypes, os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    os.environ.clear()
    start = int(open("/proc/self/stat").read().rpartition(")")[2].split()[47])
    end = int(open("/proc/self/stat").read().rpartition(")")[2].split()[48])
    ctypes.memset(start, 0, end - start)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def keepers_of(bench_pid: int) -> dict[str, int]:
    below = psutil.Process(bench_pid).children(recursive=True)
    keepers = {"bench": bench_pid} | {
        name: one.pid for one in below for name in KEEPERS if f"tui.server.{name}" in one.cmdline()
    }
    assert sorted(keepers) == sorted(KEEPERS)
    return keepers


@pytest.mark.parametrize("spared", KEEPERS)
def test_two_keepers_killed_in_one_moment_leave_nothing(spared: str, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    argv = [sys.executable, "-c", HIDDEN]
    script = [sys.executable, "-c", BENCH.replace("len(process.pids()) < 4", "len(process.pids()) < 2")]
    with subprocess.Popen(
        [*script, "uvloop", str(log), "wait", *argv], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        until = time.monotonic() + PATIENCE_S
        while not log.read_text().endswith("\n") and time.monotonic() < until:
            time.sleep(0.01)
        assert int(log.read_text()) in pids
        keepers = keepers_of(process.pid)
        for pid in (pid for name, pid in keepers.items() if name != spared):
            os.kill(pid, signal.SIGKILL)
        wait_gone(pids)
    wait_gone(list(keepers.values()))


# What vLLM is while it loads: no ear for SIGTERM, an engine below it in the same group that has none either.
DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_all_keepers_killed_in_one_moment_leave_nothing_of_a_server_that_is_deaf(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    argv = [sys.executable, "-c", DEAF]
    script = [sys.executable, "-c", BENCH.replace("len(process.pids()) < 4", "len(process.pids()) < 2")]
    with subprocess.Popen(
        [*script, "uvloop", str(log), "wait", *argv], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        until = time.monotonic() + PATIENCE_S
        while not log.read_text().endswith("\n") and time.monotonic() < until:
            time.sleep(0.01)
        keepers = keepers_of(process.pid)
        for pid in keepers.values():  # none of them is to do anything when it sees another one die
            os.kill(pid, signal.SIGSTOP)
        for pid in keepers.values():
            os.kill(pid, signal.SIGKILL)
        wait_gone(pids)
    wait_gone(list(keepers.values()))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("then", ["end", "guardian-killed"])
def test_end_leaves_nothing_even_without_a_guardian(loop: str, then: str, tmp_path: Path) -> None:
    with bench(loop, then, tmp_path) as process:
        answer, _ = process.communicate(timeout=PATIENCE_S)
    pids, last = answer.splitlines()
    assert last == "clean"
    wait_gone([int(word) for word in pids.split()])


def test_sigint_is_not_ignored_by_a_server_of_a_background_job(tmp_path: Path) -> None:
    script = "import signal; raise SystemExit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"

    async def exit_code() -> int | None:
        process = await ServerProcess.start([sys.executable, "-c", script], {}, tmp_path / "log")
        code = await process.exited
        await process.end(1.0)
        return code

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert uvloop.run(exit_code()) == 0
    finally:
        signal.signal(signal.SIGINT, before)


async def test_output_goes_to_the_end_of_the_log_and_input_is_empty(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_text("before\n")
    script = "import sys, os; print(repr(sys.stdin.read())); print('err', file=sys.stderr); print(os.environ['ADDED'])"
    process = await ServerProcess.start([sys.executable, "-c", script], {"ADDED": "yes"}, log)
    async with asyncio.timeout(PATIENCE_S):
        assert await process.exited == 0
        await process.end(1.0)
    assert sorted(log.read_text().splitlines()) == ["''", "before", "err", "yes"]


async def test_what_cannot_be_started_is_an_oserror_and_leaves_no_guardian(tmp_path: Path) -> None:
    children = len(psutil.Process().children())
    with pytest.raises(FileNotFoundError, match="no such executable"):
        await ServerProcess.start(["/nowhere/vllm"], {}, tmp_path / "log")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError):
        await ServerProcess.start([str(folder)], {}, tmp_path / "log")
    assert len(psutil.Process().children()) == children


async def test_output_of_a_program() -> None:
    async def output(script: str, timeout_s: float = PATIENCE_S) -> str:
        return await output_of([sys.executable, "-c", script], {"ADDED": "yes"}, timeout_s)

    assert await output("import os; print(os.environ['ADDED'])") == "yes\n"
    assert len(await output(f"print('x' * {2 * OUTPUT_BYTES})")) == OUTPUT_BYTES
    assert await output("print('x'); raise SystemExit(1)") == ""
    assert await output("print('x', flush=True); import signal; signal.pause()", 0.3) == ""
    assert await output_of(["/nowhere/vllm"], {}, PATIENCE_S) == ""


SCRATCH = """
import os, pathlib, sys, time
folder = pathlib.Path(os.environ["SCRATCH"])
(folder / "socket").write_text("left behind")
print(folder, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("killed", [False, True])
async def test_the_scratch_folder_goes_with_the_server_even_without_a_guardian(
    tmp_path: Path, killed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", "where everybody leaves things")
    log = tmp_path / "log"
    process = await ServerProcess.start([sys.executable, "-c", SCRATCH], {}, log, ["SCRATCH"])
    async with asyncio.timeout(PATIENCE_S):
        while not log.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
    folder = Path(log.read_text().strip())
    assert folder.is_dir() and folder.stat().st_mode & 0o777 == 0o700
    if killed:
        children = [one for one in psutil.Process().children(recursive=True) if one.status() != psutil.STATUS_ZOMBIE]
        (guardian,) = (one for one in children if "tui.server.guardian" in " ".join(one.cmdline()))
        guardian.kill()
    await process.end(PATIENCE_S)
    assert not folder.exists()


async def test_a_server_that_cannot_be_started_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for _ in range(2):
        with pytest.raises(OSError):
            await ServerProcess.start(["/no/such/program"], {}, tmp_path / "log", ["SCRATCH"])
    monkeypatch.setattr("tui.server.keepers.asyncio.create_subprocess_exec", _refuse)
    with pytest.raises(PermissionError):
        await ServerProcess.start([sys.executable], {}, tmp_path / "log", ["SCRATCH"])
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


async def _refuse(*_: object, **__: object) -> None:
    raise PermissionError(1, "not allowed")


@pytest.mark.parametrize("killed", [("guardian",), ("watcher", "guardian")])
async def test_a_launch_whose_keepers_are_killed_before_they_have_a_server_leaves_no_folder(
    killed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def kill(self: Keepers, message: dict[str, Any]) -> None:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            below = psutil.Process().children(recursive=True)
            keepers = {name: one for one in below for name in KEEPERS if f"tui.server.{name}" in one.cmdline()}
            if len(keepers) == 2 and all(held_by(keepers[name], tmp_path) for name in keepers):
                for name in killed:
                    keepers[name].kill()
                return
            time.sleep(0.01)

    monkeypatch.setattr(Keepers, "say", kill)
    with pytest.raises(OSError, match="guardian ended"):
        await ServerProcess.start([sys.executable], {}, tmp_path / "log", ["SCRATCH"])
    wait_gone([one.pid for one in psutil.Process().children(recursive=True)])
    assert [each.name for each in tmp_path.iterdir()] == ["log"]


def held_by(process: psutil.Process, parent: Path) -> bool:
    """Say whether a process has its scratch folder open, which is the last that it does before it waits."""
    return any(str(parent / "vramp-server-") in target_of(each) for each in Path(f"/proc/{process.pid}/fd").iterdir())


def target_of(link: Path) -> str:
    """Return where a file descriptor leads: nowhere, if the process that is starting has closed it meanwhile."""
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


async def test_what_keepers_that_were_all_killed_have_left_goes_at_the_next_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "_YOUNG_S", -1.0)
    left, held, own = (tmp_path / name for name in ("vramp-server-0123abcd", "vramp-server-4567cdef", "vramp-server-a"))
    for folder in (left, held, own):
        folder.mkdir()
        (folder / "socket").touch()
    scratch.hold_scratch(str(held))
    made = Path(scratch.make_scratch())
    assert sorted(tmp_path.iterdir()) == sorted([made, held, own])


SHARED_MEMORY = """
import signal, sys, time
from multiprocessing import shared_memory
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(shared_memory.SharedMemory(create=True, size=4096).name, flush=True)
time.sleep(600)
"""


async def test_shared_memory_of_a_server_that_had_to_be_killed_is_gone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = await ServerProcess.start([sys.executable, "-c", SHARED_MEMORY], {}, log)
    async with asyncio.timeout(PATIENCE_S):
        while not log.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
    segment = Path("/dev/shm") / log.read_text().splitlines()[0].strip()
    assert segment.exists()
    ending = await process.end(0.2)
    assert len(ending.killed) == 1 and not ending.survivors
    assert not segment.exists()
