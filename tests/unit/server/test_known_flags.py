"""A vLLM asked for its flags: a script that counts how often it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tui.engines.catalogue import launch_for
from tui.profile.schema import Profile
from tui.server.known_flags import FlagCheck

HELP = "--host HOST --port PORT --max-model-len N --max-num-seqs N --disable-uvicorn-access-log"


@pytest.fixture
def vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script = tmp_path / "vllm"
    _install(script, HELP)
    return script


def _install(script: Path, help_text: str) -> None:
    script.write_text(f'#!/bin/sh\necho "$@" >> {script}.asked\necho "{help_text}"\n')
    script.chmod(0o755)


def asked(vllm: Path) -> list[str]:
    file = Path(f"{vllm}.asked")
    return file.read_text().splitlines() if file.exists() else []


def check(
    vllm: Path, engine: str = "vllm", extra_args: list[str] | None = None, args: dict[str, Any] | None = None
) -> FlagCheck:
    server = {"model": "m", "executable": [str(vllm), "serve"], "args": args or {}, "extra_args": extra_args or []}
    profile = Profile.model_validate({"name": "p", "engine": engine, "server": server})
    return FlagCheck(launch_for(engine), profile.server)


async def test_unknown_flags_are_warned_of_with_the_nearest(vllm: Path) -> None:
    one = check(vllm, extra_args=["--zzz"], args={"max-model-lenght": 5, "max-num-seqs": 3})
    assert await one.warnings() == [
        "--max-model-lenght is not known; did you mean --max-model-len?",
        "--zzz is not known",
    ]
    line = "vllm: error: unrecognized arguments: --max-model-lenght 5"
    assert await one.nearest(line) == "--max-model-lenght is not known; did you mean --max-model-len?"
    assert asked(vllm) == ["serve --help=all"]


async def test_an_installation_is_asked_once_until_it_changes(vllm: Path) -> None:
    for _ in range(2):
        assert await check(vllm, args={"max-num-seqs": 3}).warnings() == []
    assert len(asked(vllm)) == 1
    _install(vllm, HELP.replace("--max-num-seqs", "--other"))
    os.utime(vllm, ns=(1, 1))
    assert await check(vllm, args={"max-num-seqs": 3}).warnings() == ["--max-num-seqs is not known"]
    assert len(asked(vllm)) == 2


async def test_what_is_kept_may_be_anything(vllm: Path, tmp_path: Path) -> None:
    await check(vllm).warnings()
    (kept,) = (tmp_path / "cache").rglob("server-flags-*.json")
    for content in (b"", b"\xff", b'["--zzz"]', b"{}"):
        kept.write_bytes(content)
        assert await check(vllm, args={"max-num-seqs": 3}).warnings() == []


async def test_nothing_is_unknown_where_vllm_does_not_answer(vllm: Path, tmp_path: Path) -> None:
    _install(vllm, "Traceback: no module named vllm, try --host")
    assert await check(vllm, args={"zzz": 1}).warnings() == []
    assert await check(tmp_path / "absent", args={"zzz": 1}).warnings() == []
    assert await check(vllm, engine="simulated", args={"zzz": 1}).warnings() == []
    assert not list((tmp_path / "cache").rglob("server-flags-*"))


# How each prints its help, and what it says of a flag that it does not know (llama-server, tritonserver: as run).
OTHERS = [
    (
        "llama-cpp",
        "-m, --model FNAME model path\n--port PORT\n-c, --ctx-size N size\n-ngl, --n-gpu-layers N",
        {"ctx-sze": 5, "ngl": 3, "m": "x"},
        ["--ctx-sze is not known; did you mean --ctx-size?", "--ngl is not known; did you mean -ngl?"],
        "error: invalid argument: --ctx-sze",
        "--ctx-sze is not known; did you mean --ctx-size?",
    ),
    (
        "tgi",
        "--model-id <MODEL_ID>\n--port <PORT>\n--num-shard <NUM_SHARD>\n--quantize <QUANTIZE>",
        {"quantise": "awq", "num-shard": 2},
        ["--quantise is not known; did you mean --quantize?"],
        "error: unexpected argument '--quantise' found",
        "--quantise is not known; did you mean --quantize?",
    ),
    (
        "sglang",
        "--model-path MODEL_PATH --host HOST --port PORT --tensor-parallel-size N --mem-fraction-static F",
        {"tensor-paralel-size": 2, "mem-frac": 0.5},
        ["--tensor-paralel-size is not known; did you mean --tensor-parallel-size?"],
        "sglang serve: error: unrecognized arguments: --tensor-paralel-size 2",
        "--tensor-paralel-size is not known; did you mean --tensor-parallel-size?",
    ),
    (
        "triton-vllm",
        "  --model-repository <string>\n  --http-port <integer>\n  --metrics-port <integer>\n  --log-verbose <integer>",
        {"log-verbos": 1, "log-verbsoe": 1},
        ["--log-verbsoe is not known; did you mean --log-verbose?"],
        "tritonserver: unrecognized option '--log-verbsoe'",
        "--log-verbsoe is not known; did you mean --log-verbose?",
    ),
]


@pytest.mark.parametrize(("engine", "help_text", "args", "warnings", "line", "nearest"), OTHERS)
async def test_other_systems_name_the_nearest_flag_too(
    vllm: Path, engine: str, help_text: str, args: dict[str, Any], warnings: list[str], line: str, nearest: str
) -> None:
    # On stderr and with status 1, as tritonserver's is.
    vllm.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{help_text}\nEND\nexit 1\n")
    one = check(vllm, engine, args=args)
    assert await one.warnings() == warnings
    assert await one.nearest(line) == nearest
    assert await one.nearest("something else") == ""


async def test_what_is_no_help_makes_no_flag_unknown(vllm: Path) -> None:
    _install(vllm, "a traceback that names --port")
    assert await check(vllm, "tgi", args={"quantise": "awq"}).warnings() == []
