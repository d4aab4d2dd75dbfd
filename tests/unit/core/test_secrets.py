"""One rule for what is a secret, and the three places that keep to it: the check, the shown command, the session."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.session import made
from tui.core.errors import ProfileError
from tui.core.secrets import (
    _FORM_MARKS,
    _FORMS,
    HIDDEN,
    NOT_KEPT,
    hide,
    hide_in_document,
    hide_in_text,
    hide_in_words,
    is_secret,
    is_secret_name,
    mentions_secret,
    secrets_in_document,
    secrets_in_text,
    secrets_in_words,
)
from tui.engines.catalogue import launch_for
from tui.engines.command_line import show_plan
from tui.profile.loader import parse_profile
from tui.profile.schema import Profile
from tui.session.redaction import without_secrets

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "name",
    [
        "api-key", "api-keys", "api_key", "apiKey", "APIKEY", "X-Api-Key", "key", "KEY_FILE", "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN", "HF_TOKENS", "HFTOKEN", "hfToken", "--hf-token", "token", "secrets", "client_secret", "DB_PASS",
        "DB_PWD", "pass", "password", "dbpassword", "passphrase", "AUTH_HEADER", "authorization", "Cookie",
        "GITHUB_PAT", "credentials", "X-Amz-Signature", "--kv-transfer-config.api_key",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name) and mentions_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer", "TOKENIZERS_PARALLELISM", "max-num-batched-tokens", "prompt_tokens", "output_tokens", "max_tokens",
        "long-prefill-token-threshold", "eos_token", "stop_token_ids", "return-tokens-as-token-ids", "monkey", "hotkey",
        "step_per_cached_token_s", "num_key_value_heads", "PWD", "OLDPWD", "bypass", "pat", "model", "ssl-keyfile",
        "author", "pass_config", "use-server-token-count", "TIKTOKEN_ENCODINGS_BASE",
    ],
)  # fmt: skip
def test_names_that_only_sound_like_secrets(name: str) -> None:
    assert not is_secret_name(name) and not mentions_secret(name)


def test_the_name_of_a_variable_is_no_secret_though_it_speaks_of_one() -> None:
    assert mentions_secret("api_key_env") and not is_secret_name("api_key_env")


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("HF_TOKEN", "abc", True),
        ("HF_TOKEN", "", False),
        ("HF_TOKEN", "$HF_TOKEN", False),
        ("HF_TOKEN", "${HF_TOKEN}", False),
        ("HF_TOKEN", "$(cat token)", False),
        ("HF_TOKEN", "<your token>", False),
        ("HF_TOKEN", "<000001>", True),
        ("HF_TOKEN", HIDDEN, False),
        ("HF_TOKEN", NOT_KEPT, False),
        ("token", "1e-05", False),
        ("key", "17", False),
        ("RAY_AUTH_MODE", "disabled", False),
        ("DB_PASS", "123456", True),
        ("api-key", "EMPTY", False),
        ("auth", "none", False),
        ("model", "abc", False),
    ],
)
def test_a_value_is_a_secret_unless_it_is_a_switch_a_number_or_a_reference(name: str, value: str, secret: bool) -> None:
    assert is_secret(name, value) is secret


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ("sk-12345", ["sk-12345"]),
        ("hf_aBcDef", ["hf_aBcDef"]),
        ("ghp_abcd1234", ["ghp_abcd1234"]),
        ("github_pat_11ABC_xyz", ["github_pat_11ABC_xyz"]),
        ("glpat-abcd", ["glpat-abcd"]),
        ("AKIAIOSFODNN7EXAMPLE", ["AKIAIOSFODNN7EXAMPLE"]),
        ("a sk-12345, b", ["sk-12345"]),
        ("Bearer abc.def", ["abc.def"]),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END", ["-----BEGIN RSA PRIVATE KEY-----\nabc\n"]),
        ("http://me:pw@host:1/v1", ["me:pw"]),
        ("http://me@host/", ["me"]),
        ("ssh://me:pw@host", ["me:pw"]),
        ("http://me:p/w@host:1", ["me:p/w"]),
        ("http://me:p?w#x@host:1", ["me:p?w#x"]),
        ("http://me:p@w@host:1", ["me:p@w"]),
        ("http://me:p/x:80/w@host:1", ["me:p/x:80/w"]),
        ("http://a:b@c http://d:e@f", ["a:b", "d:e"]),
        ("http://h?to=http://a:b@c", ["a:b"]),
        ("http://h/v1?api_key=abc&x=1", ["abc"]),
        ("http://h/v1?x=1&api%5Fkey=abc#y", ["abc"]),
        ("http://h/#access_token=abc", ["abc"]),
        ('{"api_key": "abc", "n": [{"HF_TOKEN": "def"}]}', ["abc", "def"]),
        ('--config={"apiKey": "abc"}', ["abc"]),
        ('{"url": "http://me:pw@host"}', ["me:pw"]),
        ("Authorization: Basic abc", ["Basic abc"]),
        ("vllm serve --api-key abc", ["abc"]),
        ("export DB_PASS='a b' && run", ["a b"]),
        ("bash -c \"HF_TOKEN='abc' run\"", ["'abc' run"]),
    ],
)
def test_texts_with_secrets(text: str, secrets: list[str]) -> None:
    assert secrets_in_text(text) == secrets


@pytest.mark.parametrize(
    "text",
    [
        "http://host:8000/x@y",
        "https://registry/image@sha256:abc",
        "http://h/v1?max_tokens=5&api_key=",
        "org/sk-learn",
        "task-1234",
        '{"max_tokens": 5, "eos_token": "</s>", "num_key_value_heads": 8}',
        '{"hf_overrides": {}}',
        "[not json",
        "a quote that's open",
        "HF_TOKEN=$HF_TOKEN vllm serve",
        "me@host",
        "ssh://me@host:2222/opt/bin/python",
        "",
    ],
)
def test_texts_without(text: str) -> None:
    assert secrets_in_text(text) == []


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["env", "VLLM_API_KEY=abc", "vllm"], ["env", f"VLLM_API_KEY={HIDDEN}", "vllm"]),
        (["sh", "-c", "HF_TOKEN=abc"], ["sh", "-c", f"HF_TOKEN={HIDDEN}"]),
        (["--api-key", "abc", "def", "--x", "y"], ["--api-key", HIDDEN, HIDDEN, "--x", "y"]),
        (["--api-key=abc", "y"], [f"--api-key={HIDDEN}", "y"]),
        (["--api-key", "--x", "y"], ["--api-key", "--x", "y"]),
        (["-H", "X-Api-Key: abc"], ["-H", f"X-Api-Key: {HIDDEN}"]),
        (["--cfg", '{"api_key": "abc"}'], ["--cfg", f'{{"api_key": "{HIDDEN}"}}']),
        (["--max-num-batched-tokens", "8192"], ["--max-num-batched-tokens", "8192"]),
        (["--token", "-1", "x"], ["--token", "-1", HIDDEN]),
    ],
)
def test_command_lines(words: list[str], shown: list[str]) -> None:
    assert hide_in_words(words) == shown


def test_what_is_no_text_is_passed_over() -> None:
    assert secrets_in_words(["--api-key", 3, "abc", None]) == []


def test_a_short_secret_is_hidden_only_where_it_stands_alone() -> None:
    assert hide("a cat at a", ["a"]) == f"{HIDDEN} cat at {HIDDEN}"
    assert hide("abcdefabcdef", ["abcdef"]) == HIDDEN * 2
    assert hide("abc", [""]) == "abc"


def test_a_document_is_searched_to_the_bottom() -> None:
    document = {"a": [{"auth": {"password": 1234, "user": "me"}}], "api-keys": ["abc", "def"], "title": "use --key x"}
    assert {found.secret for found in secrets_in_document(document)} == {"1234", "abc", "def"}
    hidden = hide_in_document(document, NOT_KEPT)
    assert hidden["a"][0]["auth"] == {"password": NOT_KEPT, "user": "me"}
    assert hidden["api-keys"] == [NOT_KEPT, NOT_KEPT]
    assert hidden["title"] == "use --key x"


SERVERS: list[dict[str, Any]] = [
    {"env": {"HF_TOKEN": SECRET}},
    {"env": {"HF_TOKENS": SECRET}},
    {"env": {"AUTH_HEADER": SECRET}},
    {"env": {"KEY_FILE": SECRET}},
    {"env": {"DB_PASS": SECRET}},
    {"env": {"URL": f"http://h/?api_key={SECRET}"}},
    {"env": {"URL": f"http://me:{SECRET}/x@h/"}},
    {"env": {"ANY": f"github_pat_{SECRET}"}},
    {"args": {"api-key": SECRET}},
    {"args": {"api-keys": SECRET}},
    {"args": {"secrets": SECRET}},
    {"args": {"config": json.dumps({"api_key": SECRET})}},
    {"extra_args": ["--api-key", SECRET]},
    {"extra_args": [f"--api-key={SECRET}"]},
    {"executable": ["env", f"VLLM_API_KEY={SECRET}", "vllm", "serve"]},
    {"executable": ["sh", "-c", f"HF_TOKEN={SECRET} vllm serve"]},
]


@pytest.mark.parametrize("server", SERVERS, ids=json.dumps)
def test_check_command_line_and_session_agree_on_what_is_secret(server: dict[str, Any]) -> None:
    document = {"name": "x", "engine": "vllm", "server": {"model": "m", **server}}
    with pytest.raises(ProfileError) as caught:
        parse_profile(tomli_w.dumps(document), "x.toml")
    assert "found a secret" in str(caught.value) and SECRET not in str(caught.value)

    profile = Profile.model_validate(document)  # as a profile from before this rule may be
    plan = launch_for("vllm").plan(profile, 1, None)
    assert SECRET not in show_plan(plan) and HIDDEN in show_plan(plan)

    words = [*(f"{name}={value}" for name, value in plan.env.items()), *plan.argv]
    meta = made.meta(
        profile_toml=tomli_w.dumps(document), profile_json=json.dumps(document), command_line=" ".join(words)
    )
    assert SECRET not in repr(without_secrets(meta))


TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["HF_TOKEN", "api-key", "--api-key", "http://a:b@c", "x=1", "KEY=v w", '{"token": "t"}', "sh -c 'x"]
    ),
)
DOCUMENTS = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_what_the_check_lets_pass_is_kept_as_it_is(document: Any) -> None:
    if not secrets_in_document(document):
        assert hide_in_document(document) == document


@pytest.mark.parametrize("unit", ["://", "a=", "[", '{"a":', "--key ", "'", "sk-", "?key=a", "a: ", "x ", "$("])
def test_a_large_text_takes_no_long_time(unit: str) -> None:
    begun = time.monotonic()
    secrets_in_text(unit * (256 * 1024 // len(unit)))
    assert time.monotonic() - begun < 5


@given(st.from_regex(_FORMS))
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
def test_what_is_looked_for_first_is_in_all_that_has_the_form_of_a_secret(text: str) -> None:
    assert any(mark in text for mark in _FORM_MARKS)


def test_a_long_text_of_figures_is_looked_through_quickly() -> None:
    text = "2026-11-20-180400-demo,demo,false,1.0,17,0.12345678901234,2026-11-20T18:04:11.123+00:00\n" * 12_000
    before = time.process_time()
    assert hide_in_text(text) == text
    assert time.process_time() - before < 0.5, "a megabyte took seconds"
