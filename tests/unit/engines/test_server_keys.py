"""A key that a profile gives its server, and that our own requests would lack."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tui.cli import main
from tui.core.errors import ProfileError
from tui.engines.catalogue import mistakes_in
from tui.link.launcher import spec_for
from tui.preflight import Machine, preflight
from tui.profile.loader import parse_profile
from tui.profile.schema import Profile

EMPTY = '"EMPTY"'


def profile_of(engine: str, table: str) -> Profile:
    return parse_profile(f'name = "p"\nengine = "{engine}"\n[server]\nmodel = "m"\n{table}\n', "p.toml")


@pytest.mark.parametrize(
    ("engine", "table", "place", "variable"),
    [
        ("vllm", f"[server.args]\napi-key = {EMPTY}", "server.args.api-key", "VLLM_API_KEY"),
        ("vllm", f"[server.args]\napi_key = {EMPTY}", "server.args.api_key", "VLLM_API_KEY"),
        ("vllm", f'extra_args = ["--api-key", {EMPTY}]', "server.extra_args[0]", "VLLM_API_KEY"),
        ("vllm", 'extra_args = ["--x", "--api-key=EMPTY"]', "server.extra_args[1]", "VLLM_API_KEY"),
        ("vllm", f"[server.env]\nVLLM_API_KEY = {EMPTY}", "server.env.VLLM_API_KEY", "VLLM_API_KEY"),
        ("llama-cpp", f"[server.args]\napi-key = {EMPTY}", "server.args.api-key", "LLAMA_API_KEY"),
        ("llama-cpp", f"[server.env]\nLLAMA_API_KEY = {EMPTY}", "server.env.LLAMA_API_KEY", "LLAMA_API_KEY"),
    ],
)
def test_it_is_refused_by_the_variable_that_both_read(engine: str, table: str, place: str, variable: str) -> None:
    profile = profile_of(engine, table)
    (line,) = mistakes_in(profile)
    assert line.startswith(f"{place}: found a key for requests, expected it in the environment variable {variable},")
    with pytest.raises(ProfileError, match=r"p: server\..*: found a key for requests"):
        spec_for(profile, profile_toml="", profile_path=None)
    answer = preflight(profile, Machine(gpu_names=("L4",)))
    assert answer.state == "mistakes"
    assert place in answer.missing[0]


@pytest.mark.parametrize(
    "table",
    ["[server.args]\napi-key = false", f"[server.env]\nLLAMA_API_KEY = {EMPTY}", 'extra_args = ["api-key"]', ""],
)
def test_what_gives_the_server_no_key_passes(table: str) -> None:
    assert mistakes_in(profile_of("vllm", table)) == []


def test_a_server_that_runs_already_is_given_none() -> None:
    text = 'name = "p"\nengine = "vllm"\n[attach]\nbase_url = "http://127.0.0.1:1"\napi_key_env = "KEY"\n'
    assert mistakes_in(parse_profile(text, "p.toml")) == []


def test_the_check_of_profiles_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.toml"
    path.write_text(f'name = "p"\nengine = "vllm"\n[server]\nmodel = "m"\n[server.args]\napi-key = {EMPTY}\n')
    monkeypatch.setattr(sys, "argv", ["vramp", "profiles", "check", str(path)])
    assert main() == 2
    assert f"{path}: server.args.api-key: found a key for requests" in capsys.readouterr().out
