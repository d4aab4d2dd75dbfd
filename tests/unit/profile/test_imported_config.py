"""A config file of vLLM as a profile."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tui.core.errors import ProfileError, UsageError
from tui.engines.catalogue import mistakes_in
from tui.engines.vllm.launch import VllmLaunch
from tui.profile.imported_config import import_config, profile_of_config
from tui.profile.loader import parse_profile

GOOD = """\
# as vLLM's documentation has it
model: meta-llama/Llama-3.1-8B-Instruct
host: "127.0.0.1"
port: 6379
uvicorn-log-level: info
max_model_len: 4096
gpu-memory-utilization: 0.9
enforce-eager: true
enable-prefix-caching: false
disable-log-stats: false
aggregate_engine_logging: false
quantization: null
served-model-name: [a, b]
compilation-config:
  pass_config:
    fuse_allreduce_rms: true
"""


NAMES = "abcdefghi"
LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise(NAMES)
)
MERGED_LAUGHS = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n" for before, name in pairwise(NAMES)
)


def refused(tmp_path: Path, content: str | bytes) -> list[str]:
    path = tmp_path / "c.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ProfileError) as caught:
        profile_of_config(path, "c", mistakes_in)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_the_imported_profile_launches_what_the_file_describes(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    profile = parse_profile(profile_of_config(path, "mine"), "mine.toml")
    assert profile.server is not None and profile.server.port == 6379
    assert VllmLaunch().plan(profile, 6379, None).argv == (
        *("vllm", "serve", "meta-llama/Llama-3.1-8B-Instruct", "--host", "127.0.0.1", "--port", "6379"),
        *("--uvicorn-log-level", "info", "--max_model_len", "4096", "--gpu-memory-utilization", "0.9"),
        *("--enforce-eager", "--no-enable-prefix-caching"),
        *("--compilation-config", '{"pass_config": {"fuse_allreduce_rms": true}}'),
        *("--disable-uvicorn-access-log", "--served-model-name", "a", "b"),
    )


def args_of(tmp_path: Path, text: str) -> dict[str, object]:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    server = parse_profile(profile_of_config(path, "c"), "c.toml").server
    assert server is not None
    return dict(server.args)


def test_anchors_and_merges_are_read(tmp_path: Path) -> None:
    text = "model: m\ncommon: &c {dtype: half, max-num-seqs: 8}\n<<: *c\nmax-num-seqs: 9\na: &a x\nb: *a\n"
    found = args_of(tmp_path, text)
    assert (found["dtype"], found["max-num-seqs"], found["a"], found["b"]) == ("half", 9, "x", "x")


def test_a_date_is_the_text_that_it_is_written_as(tmp_path: Path) -> None:
    assert args_of(tmp_path, "model: m\nrevision: 2026-05-01\n") == {"revision": "2026-05-01"}


def test_a_database_of_tokens_is_no_secret(tmp_path: Path) -> None:
    found = args_of(tmp_path, "model: m\nkv-transfer-config: {extra: {token_database: segment, cpu_bytes: 5}}\n")
    assert found == {"kv-transfer-config": '{"extra": {"token_database": "segment", "cpu_bytes": 5}}'}


def test_it_is_written_once_into_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    path = tmp_path / "mine.yaml"
    path.write_text("model: m")
    assert import_config(path) == tmp_path / "config" / "vramp" / "profiles" / "mine.toml"
    with pytest.raises(UsageError, match="already"):
        import_config(path)
    assert import_config(path, "other").name == "other.toml"
    with pytest.raises(UsageError, match="name"):
        import_config(path, "../out")
    assert sorted(file.name for file in tmp_path.rglob("*.toml")) == ["mine.toml", "other.toml"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "found no keys, expected a config file of vLLM, as `model: NAME`"),
        ("- a\n- b", "found no keys, expected a config file of vLLM, as `model: NAME`"),
        ("port: 1", "model: found nothing, expected the model's name or folder"),
        ("model: [a", "line 1: found a syntax error (expected ',' or ']', but got '<stream end>'), expected YAML"),
        ("model: !!python/object/apply:os.system [true]", "line 1: found a syntax error (could not determine a"),
        ("model: m\na: &a [*a]", "line 1: found a syntax error (aliases that stand for too much), expected YAML"),
        (LAUGHS + "model: *i", "line 1: found a syntax error (aliases that stand for too much), expected YAML"),
        (MERGED_LAUGHS + "model: m", "line 1: found a syntax error (aliases that stand for too much), expected YAML"),
        (
            "model: m\nenable-auto-tool-choice\nport: 1",
            "line 3: found a syntax error (could not find expected ':'), expected YAML; a flag without a value",
        ),
        ("model: m\napi-key: EMPTY", "server.args.api-key: found a key for requests, expected it in the environment"),
        ("model: m\napi_key: [EMPTY]", "server.extra_args[0]: found a key for requests"),
        ("model: " + "[" * 5000, "found values nested too deep, expected a config file of vLLM"),
        ("model: m\n3: 4", "found the key 3, expected the name of a flag"),
        ("model: m\nx: .inf", "server.args.x: found inf, expected"),
        ("model: m\nx: {y: 2026-01-01}", "x: found a value that is not JSON, expected texts and numbers"),
        ("model: m\nport: http", 'server.port: found "http", expected a whole number'),
        ("model: m\nx: 2026-99-99", "found a syntax error (ValueError), expected YAML"),
        (b"model: \xff", "found a byte that is not UTF-8 at 7, expected a config file of vLLM (YAML)"),
        (b"model: a\x1b[31m", "found a syntax error (ReaderError), expected YAML"),
    ],
)
def test_what_cannot_be_a_config_is_told(tmp_path: Path, text: str | bytes, problem: str) -> None:
    problems = refused(tmp_path, text)
    assert len(problems) == 1
    assert problems[0].startswith(problem)
    assert "\x1b" not in problems[0]


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ("api-key: abc", "server.args.api-key"),
        ("api-key: [abc, def]", "server.extra_args[1]"),
        ("hf-token: hf_abcdef", "server.args.hf-token"),
        ("model-loader-extra-config: {auth: {password: abc}}", "model-loader-extra-config.auth.password"),
        ("x: {urls: ['http://me:abc@host']}", "x.urls.0"),
    ],
)
def test_secrets_are_refused_and_not_repeated(tmp_path: Path, line: str, place: str) -> None:
    problems = refused(tmp_path, f"model: m\n{line}")
    assert problems[0].startswith(f"{place}: found a secret, expected it in vramp's own environment")
    assert not any("abc" in problem for problem in problems)


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_anything_at_all_is_a_profile_or_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.yaml"
    path.write_bytes(b"model: m\n" + content)
    try:
        parse_profile(profile_of_config(path, "any"), "any.toml")
    except ProfileError as error:
        assert all(problem.isprintable() for problem in error.problems)
