"""Logs of any size, and things that are no logs, through the command that people use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui.server import log_ends
from tui.server.log_ends import HEAD_BYTES, TAIL_BYTES, read_ends

LOG = Path(__file__).parents[2] / "corpus" / "vllm" / "logs" / "fail-kv-too-small.log"
FILLER = b"INFO 11-20 18:01:17 [loggers.py:1] Engine 000: nothing to tell\n"
_LIMITED = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (700_000_000,) * 2);"
    "resource.setrlimit(resource.RLIMIT_CPU, (20, 20)); from tui.cli import main; sys.exit(main())"
)


def diagnose(*arguments: str, stdin: object = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _LIMITED, "diagnose", *arguments]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=60)  # type: ignore[call-overload,no-any-return]


def huge(path: Path) -> Path:
    """Write a log of 300 MB, sparse in its middle, whose start and end say what happened."""
    lines = LOG.read_bytes().splitlines(keepends=True)
    with path.open("wb") as file:
        file.writelines(lines[:20])
        file.write(FILLER * 1000)
        file.seek(300_000_000)
        file.write(b"\n" + FILLER * 1000)
        file.writelines(lines[20:])
    return path


def test_a_huge_log_is_read_at_both_ends(tmp_path: Path) -> None:
    whole = json.loads(diagnose(str(LOG), "--json").stdout)
    done = diagnose(str(huge(tmp_path / "huge.log")), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == whole and whole["class"]


def test_a_pipe_on_stdin_is_read_to_its_end(tmp_path: Path) -> None:
    whole = json.loads(diagnose(str(LOG), "--json").stdout)
    path = huge(tmp_path / "huge.log")
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as cat:
        done = diagnose("-", "--json", stdin=cat.stdout)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == whole


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "nothing", "NUL"])
def test_what_is_no_plain_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = {"device": "/dev/zero", "folder": str(tmp_path), "nothing": str(tmp_path / "no")}.get(kind, "")
    if kind == "fifo":
        path = str(tmp_path / "fifo")
        os.mkfifo(path)
    if kind == "NUL":
        with pytest.raises(Exception, match="cannot be read"):
            read_ends(Path("a\0b"))
        return
    done = diagnose(path)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert done.stderr.startswith("vramp: ") and path in done.stderr


def test_a_device_on_stdin_is_refused() -> None:
    with Path("/dev/zero").open("rb") as zeros:
        done = diagnose("-", stdin=zeros)
    assert done.returncode == 2 and "neither a pipe nor a file" in done.stderr


@pytest.mark.parametrize("extra", [-1, 0, 1, 12345])
def test_both_ends_and_nothing_else(extra: int, tmp_path: Path) -> None:
    content = bytes(range(256)) * ((HEAD_BYTES + TAIL_BYTES + extra) // 256) + b"x" * (extra % 256)
    path = tmp_path / "a.log"
    path.write_bytes(content)
    read = read_ends(path)
    if len(content) <= HEAD_BYTES + TAIL_BYTES:
        assert read == content
    else:
        assert read.startswith(content[:HEAD_BYTES] + b"\n") and content.endswith(read[HEAD_BYTES + 1 :])
        assert len(read) <= HEAD_BYTES + TAIL_BYTES + 2


def test_a_log_in_utf_16_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_ends, "HEAD_BYTES", 200)
    monkeypatch.setattr(log_ends, "TAIL_BYTES", 301)
    path = tmp_path / "a.log"
    path.write_bytes("".join(f"line {n}\n" for n in range(500)).encode("utf-16"))
    lines = read_ends(path).decode("utf-16").splitlines()
    assert lines[0] == "line 0" and lines[-1] == "line 499"
