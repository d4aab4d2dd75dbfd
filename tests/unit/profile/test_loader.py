from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.errors import ProfileError
from tui.engines.catalogue import engine_for
from tui.profile.loader import MAX_PROBLEMS, MAX_PROFILE_BYTES, load_profile, parse_profile
from tui.profile.schema import Mode

GOOD = 'name = "good"\nengine = "vllm"\n[server]\nmodel = "m"\n'


def problems(text: str) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "f.toml")
    return caught.value.problems


def test_the_profile_of_the_interface_is_read() -> None:
    profile = parse_profile(
        """
        name = "mixtral"
        engine = "vllm"
        [server]
        model = "casperhansen/mixtral-instruct-awq"
        gpus = [0, 1]
        startup_timeout_s = 1800
        [server.args]
        tensor-parallel-size = 2
        gpu-memory-utilization = 0.95
        enforce-eager = true
        quantization = "awq"
        [load]
        users = [4, 1, 2]
        mode = "steady"
        duration_s = 30
        [cost]
        price_per_hour = 4.94
        """,
        "f.toml",
    )
    assert profile.engine == "vllm"
    assert profile.server is not None
    assert profile.server.args == {
        "tensor-parallel-size": 2,
        "gpu-memory-utilization": 0.95,
        "enforce-eager": True,
        "quantization": "awq",
    }
    assert profile.server.args["enforce-eager"] is True
    assert profile.load.users == [1, 2, 4]
    assert profile.load.mode is Mode.STEADY
    assert profile.load.duration_s == 30.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            GOOD + "[load]\nuserz = [1]\n",
            "f.toml: load.userz: found an unknown key, expected one of endpoint, users, prompt_tokens, "
            "output_tokens, mode, repeats, duration_s, warm_up_s, precision, "
            "failures_in_a_row, rate_per_s, arrivals, seed, request_timeout_s, "
            "hosts, on_host_loss, body, keep_gaps; "
            "did you mean load.users?",
        ),
        (
            "output_tokens = 3\n" + GOOD,
            "f.toml: output_tokens: found an unknown key, expected one of name, title, notes, engine, server, "
            "attach, load, sweep, slo, cost, reference, simulator, demo; did you mean load.output_tokens?",
        ),
        (GOOD + "[load]\nusers = [1, 2, 0]\n", "f.toml: load.users[2]: found 0, expected 1 or more"),
        (GOOD + "[load]\nusers = [1, 1]\n", "f.toml: load.users: found a list of 2, expected each value once"),
        (GOOD + "[load]\nusers = []\n", "f.toml: load.users: found an empty list, expected at least 1 value"),
        (GOOD + '[load]\nusers = "8"\n', 'f.toml: load.users: found "8", expected a list'),
        (GOOD + "[load]\nusers = [true]\n", "f.toml: load.users[0]: found true, expected a whole number"),
        (GOOD + "[load]\nduration_s = inf\n", "f.toml: load.duration_s: found inf, expected a finite number"),
        (GOOD + "[load]\nseed = 1979-05-27\n", "f.toml: load.seed: found a date, expected a whole number"),
        (
            GOOD + '[load]\nmode = "brust"\n',
            "f.toml: load.mode: found \"brust\", expected 'burst', 'steady' or 'rate'; did you mean \"burst\"?",
        ),
        (
            GOOD + "args = {x = [1]}\n",
            "f.toml: server.args.x: found a list of 1, expected a text, a number, true or false",
        ),
        (
            GOOD + '[attach]\nbase_url = "http://h"\n',
            'f.toml: profile: found [server] and [attach] and engine = "vllm", '
            "expected one of the tables [server] and [attach]",
        ),
        (
            'name = "x"\nengine = "vllm"\n',
            'f.toml: profile: found engine = "vllm", expected one of the tables [server] and [attach]',
        ),
        (
            GOOD + '[load]\nmode = "rate"\n',
            'f.toml: load: found a table, expected a key rate_per_s, since mode = "rate"',
        ),
        (
            'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://h:80a"\n',
            'f.toml: attach.base_url: found "http://h:80a", expected a port of 1 to 65535',
        ),
        (
            'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://[::1:8000"\n',
            'f.toml: attach.base_url: found "http://[::1:8000", '
            "expected an IPv6 address in whole brackets, as http://[::1]:8000",
        ),
        (
            'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://a..b/v1"\n',
            'f.toml: attach.base_url: found "http://a..b/v1", expected a host that there can be',
        ),
        (
            GOOD + 'host = "a b"\n',
            'f.toml: server.host: found "a b", expected it without blanks, backslashes and control characters',
        ),
        (GOOD + 'args = { a = "x\\u0000" }\n', "f.toml: server.args.a: found a NUL character, expected text without"),
        (
            GOOD + 'env = { "A\\u0000B" = "x" }\n',
            "f.toml: server.env.AB: found a NUL character, expected text without",
        ),
        ("load = 3\n" + GOOD, "f.toml: load: found 3, expected a table"),
        ('engine = "vllm"\n[server]\nmodel = "m"\n', "f.toml: name: found nothing, expected a text"),
        ("a = 1\nb = \n", "f.toml: line 2: found a syntax error (Invalid value), expected TOML"),
        ('a = "x', "f.toml: line 1: found a syntax error (Unterminated string), expected TOML"),
        ("a = " + "1" * 5000, "f.toml: found a number that is too long, expected TOML"),
        ("a = " + "[" * 9000, "f.toml: found values nested too deep, expected a profile"),
    ],
)
def test_a_mistake_is_one_line_that_tells_all(text: str, expected: str) -> None:
    assert problems(text) == [expected]


def test_the_nearest_key_is_told_even_of_a_table_with_many() -> None:
    (line,) = problems('name = "x"\nengine = "simulated"\n[server]\nmodel = "m"\n[simulator]\nkv_cache_tokenz = 1\n')
    assert line.endswith("…; did you mean simulator.kv_cache_tokens?")


def test_all_mistakes_are_told_at_once() -> None:
    found = problems(
        """
        name = "x"
        engine = "vlm"
        [server]
        prt = 1
        [attach]
        base_url = "ftp://x"
        [load]
        users = [0]
        """
    )
    keys = [line.split(": ")[1] for line in found]
    assert sorted(keys) == ["attach.base_url", "engine", "load.users[0]", "profile", "server.model", "server.prt"]


def test_a_flood_of_mistakes_is_cut() -> None:
    found = problems(GOOD + "".join(f"k{n} = 1\n" for n in range(400)))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == "f.toml: found 350 more mistakes"


@pytest.mark.parametrize(
    "text",
    [
        GOOD + '[server.args]\napi-key = "hunter2hunter2"\n',
        GOOD + '[server.env]\nHF_TOKEN = "hunter2hunter2"\n',
        GOOD + 'extra_args = ["--api-key", "hunter2hunter2"]\n',
        GOOD + 'extra_args = ["--api-key=hunter2hunter2"]\n',
        'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://h/v1?api-version=1&api_key=hunter2"\n',
        'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://h"\napi_key_env = "hunter2-hunter2"\n',
        'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://h"\napi_key_env = "hf_hunter2"\n',
        'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://me:hunter2@h"\n',
        'name = "x"\nengine = "openai"\n[attach]\nbase_url = "ftp://me:hunter2@h"\n',
        'name = "x"\nengine = "openai"\n[attach]\nbase_url = "http://h"\napi_key = "hunter2"\n',
    ],
)
def test_a_secret_is_refused_and_never_echoed(text: str) -> None:
    found = problems(text)
    assert found
    assert "hunter2" not in "".join(found)


def test_flags_that_only_sound_like_secrets_pass() -> None:
    profile = parse_profile(
        GOOD
        + 'extra_args = ["--max-num-batched-tokens", "8192"]\n'
        + '[server.args]\ntokenizer = "a/b"\nhf-token = true\nmax-num-batched-tokens = 4\n'
        + '[server.env]\nTOKENIZERS_PARALLELISM = "false"\n',
        "f.toml",
    )
    assert profile.server is not None
    assert profile.server.args["hf-token"] is True


def problems_of(path: Path) -> list[str]:
    try:
        load_profile(path)
    except ProfileError as error:
        return error.problems
    return []


def test_the_name_must_be_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(GOOD)
    assert problems_of(path) == [f'{path}: name: found "good", expected "other", as the file is named']
    path.rename(tmp_path / "good.toml")
    assert load_profile(tmp_path / "good.toml").name == "good"
    assert problems_of(tmp_path / "good.toml") == []


def test_what_is_no_readable_file_is_told_in_one_line(tmp_path: Path) -> None:
    absent, folder, pipe = tmp_path / "absent.toml", tmp_path / "folder.toml", tmp_path / "pipe.toml"
    latin, large = tmp_path / "latin.toml", tmp_path / "large.toml"
    folder.mkdir()
    os.mkfifo(pipe)
    latin.write_bytes(b'name = "\xe9"')
    large.write_bytes(b"#" * (MAX_PROFILE_BYTES + 1))
    assert problems_of(absent) == [f"{absent}: found no such file, expected a profile (TOML)"]
    assert problems_of(folder) == [f"{folder}: found a folder or a device, expected a profile (TOML)"]
    assert problems_of(pipe) == [f"{pipe}: found a folder or a device, expected a profile (TOML)"]
    assert problems_of(latin) == [f"{latin}: found a byte that is not UTF-8 at 8, expected a profile (TOML)"]
    assert problems_of(large) == [f"{large}: found more than 262,144 bytes, expected a profile (TOML)"]


def test_no_control_character_of_a_profile_reaches_the_terminal() -> None:
    found = problems(
        'name = "\\u001b[31mred\\u0007"\nengine = "\\u202evllm"\n"\\u001b]0;x\\u0007" = 1\n[server]\nmodel="m"'
    )
    assert not any(character < " " or character == "\u202e" for line in found for character in line)


@given(st.text(max_size=300))
def test_no_text_makes_anything_but_a_profile_error(text: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "f.toml")
    assert all(line.startswith("f.toml: ") and "\n" not in line for line in caught.value.problems)


_values = st.recursive(
    st.none().map(lambda _: "1979-05-27")
    | st.booleans().map(lambda b: str(b).lower())
    | st.integers(-5, 10**30).map(str)
    | st.sampled_from(["nan", "1.5", '"text"', '""', '"\\u0000"']),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=5,
)
_keys = st.sampled_from(
    ("name", "engine", "server.model", "server.gpus", "server.args.a", "server.env.b", "attach.base_url", "attach.x")
)
_more_keys = st.sampled_from(("load.users", "load.mode", "load.seed", "slo.ttft_s", "simulator.gpu", "z"))


@given(st.dictionaries(_keys | _more_keys, _values, max_size=6))
def test_no_document_makes_anything_but_a_profile_error(document: dict[str, str]) -> None:
    text = "\n".join(f"{key} = {value}" for key, value in document.items())
    with pytest.raises(ProfileError):
        parse_profile(text, "f.toml")


ATTACHED = 'name = "p"\nengine = "openai"\n[attach]\nbase_url = "http://h"\n'


def test_headers_and_fields_of_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        ATTACHED
        + '[attach.headers]\napi-key = { env = "AZURE" }\nX-Team = "a b"\n[load.body]\nseed = 1\nx = { as = "y" }\n'
    )
    profile = parse_profile(text, "p.toml")
    assert profile.load.body == {"seed": 1, "x": {"as": "y"}}
    monkeypatch.setenv("AZURE", " s3cret\n")
    auth = engine_for("openai").auth(profile)
    assert auth.variables == ["AZURE"]
    assert auth.head() == [("X-Team", "a b"), ("api-key", "s3cret")]


@pytest.mark.parametrize(
    ("tables", "mistake"),
    [
        ('[attach.headers]\n"a b" = "x"', "expected the name of an HTTP header"),
        ('[attach.headers]\nHost = "x"', "set by each request itself"),
        ('[attach.headers]\nX-A = "x\\ny"', "expected characters that an HTTP header can carry"),
        ('[attach.headers]\napi-key = "abcdefgh"', "found a secret"),
        ('[attach.headers]\nAuthorization = "Bearer abcdefgh"', "found a secret"),
        ('[attach.headers]\nX-A = { env = "not a name" }', "attach.headers"),
        ("[load.body]\nstream = false", "expected other fields than stream, prompt, messages"),
        ("[load.body]\nx = 1979-05-27", "expected values that JSON has"),
        ("[load.body]\nx = inf", "expected values that JSON has"),
    ],
)
def test_headers_and_fields_that_cannot_be(tables: str, mistake: str) -> None:
    with pytest.raises(ProfileError, match=re.escape(mistake)) as caught:
        parse_profile(ATTACHED + tables, "p.toml")
    assert "abcdefgh" not in str(caught.value)
