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
