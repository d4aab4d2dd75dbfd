"""Logs as containers, schedulers and shells hand them on: each is judged as the plain one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.server.diagnosis import diagnose_log
from tui.server.log_reader import LineSplitter
from tui.server.log_wrappers import unwrapped

WRAPPED = Path(__file__).parents[2] / "corpus" / "vllm" / "wrapped"
PLAIN = (WRAPPED / "plain.log").read_text()
STAMP = "2026-11-20T10:02:11.123456789Z"


def told(content: bytes) -> dict[str, str | None]:
    return diagnose_log(content, "vllm", None)


@pytest.mark.parametrize("log", sorted(path.name for path in WRAPPED.iterdir()))
def test_recorded_ones(log: str) -> None:
    found = told((WRAPPED / log).read_bytes())
    if log.startswith("mamba"):
        assert "from 1024 to 969" in (found["advice"] or "")
        assert (found["line"] or "").startswith("ValueError: max_num_seqs (1024) exceeds")
    else:
        assert found == told(PLAIN.encode())
        assert "from 131072 to 123872" in (found["advice"] or "")


WAYS: dict[str, Callable[[str], str]] = {
    "compose with times": lambda line: f"vllm-1  | {STAMP} {line}",
    "compose of old": lambda line: f"vllm_1      | {line}",
    "compose with a name": lambda line: f"my.server  | {line}",
    "kubectl with prefix and times": lambda line: f"[pod/vllm-7d9c-x/vllm] {STAMP} {line}",
    "a local offset": lambda line: f"2026-11-20T11:02:11+01:00 {line}",
    "a part of a line": lambda line: f"{STAMP} stdout P {line}",
    "journald in ISO": lambda line: f"2026-11-20T10:02:11+0000 gpu7 vllm[991]: {line}",
    "journald of a container": lambda line: f"Nov  2 10:02:11 gpu7 podman-vllm@a[991]: {line}",
    "pm2": lambda line: f"0|vllm   | {line}",
    "srun": lambda line: f"0: {line}" if line.startswith("(") else line,
    "json with another key": lambda line: json.dumps({"time": STAMP, "message": line}),
    "json within json": lambda line: json.dumps({"log": json.dumps({"log": line + "\n"}) + "\n"}),
    "json with colours": lambda line: json.dumps({"log": f"\x1b[0;36m{line}\x1b[0m\n"}),
    "ray with an address": lambda line: f"(LLMServer pid=2150, ip=10.0.0.7) {line}",
}


@pytest.mark.parametrize("way", WAYS)
def test_others_of_the_kind(way: str) -> None:
    assert told("\n".join(map(WAYS[way], PLAIN.splitlines())).encode()) == told(PLAIN.encode())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_encodings_of_shells(encoding: str) -> None:
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    assert told(mark + PLAIN.encode(encoding)) == told(PLAIN.encode())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "plain words",
        "| NVIDIA-SMI 580.1 | Driver 580.1 |",
        "ValueError: a | b",
        "2026-11-20 10:00:01,123 INFO no zone, no wrapper",
        "[rank0]: Traceback (most recent call last):",
        "{",
        '{"level": "info"}',
        '{"log": 5}',
        '{"log": ',
        '{"a": ' * 2000 + '"log"' + "}" * 2000,
        "Nov 20 without a host",
    ],
)
def test_what_is_no_wrapper_stays(line: str) -> None:
    assert unwrapped(line) == line


def test_what_a_wrapper_held_back_is_cleaned() -> None:
    splitter = LineSplitter()
    (line,) = splitter.feed(json.dumps({"log": "a\x1b]0;t\x07\u202eb\x00\n"}).encode() + b"\n")
    assert line == "ab"
