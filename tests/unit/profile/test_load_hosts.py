"""Where users ask from, as a profile says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.errors import ProfileError
from tui.profile.load_hosts import Place, RayPlace, SshPlace, places_of
from tui.profile.loader import parse_profile
from tui.profile.overrides import Overrides, apply

PROFILE = """
name = "p"
engine = "vllm"
[server]
model = "m"
host = "{host}"
[load]
hosts = {hosts}
"""


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("local", [None]),
        (["local", "ssh://gpu1"], [None, SshPlace("gpu1")]),
        ("ssh://gpu1", [SshPlace("gpu1")]),
        (
            ["ssh://me@gpu1.lan:2222/opt/v%20ramp/bin/python", "ssh://gpu1.lan", "ssh://[2001:db8::1]:22"],
            [
                SshPlace("gpu1.lan", "me", 2222, "/opt/v ramp/bin/python"),
                SshPlace("gpu1.lan"),
                SshPlace("2001:db8::1", "", 22),
            ],
        ),
        ("ray://auto", [RayPlace("auto")]),
        ("ray://head:10001", [RayPlace("ray://head:10001")]),
    ],
)
def test_places(value: str | list[str], places: list[Place]) -> None:
    assert places_of(value) == places


@pytest.mark.parametrize(
    "value",
    [
        [],
        "",
        "gpu1",
        "ssh://",
        "ssh://-oProxyCommand=x",
        "ssh://-l@gpu1",
        "ssh://me:secret@gpu1",
        "ssh://gpu1:99999",
        "ssh://gpu1:0",
        "ssh://gpu1?x=1",
        "ssh://gpu 1",
        "ssh://gpu1\n",
        "ssh://a;b",
        "http://gpu1",
        "ray://head",
        "ray://auto:1",
        "ray://me@head:1",
        ["ray://auto", "ssh://gpu1"],
        ["ssh://gpu1", "ssh://me@gpu1"],
        ["local", "local"],
        ["ssh://h"] * 201,
    ],
)
def test_what_names_no_hosts(value: str | list[str]) -> None:
    with pytest.raises(ValueError, match="expected"):
        places_of(value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (["local", "ssh://gpu1", "ssh://gpu 2"], 'not "ssh://gpu 2"'),
        (["local", "ssh://me:secret@gpu1"], 'not "gpu1"'),
        (["ssh://a\x1b[31m"], 'not "ssh://a"'),
        (["ssh://gpu1", "local", "ssh://me@gpu1", "local"], "not gpu1, local twice"),
    ],
)
def test_of_many_the_wrong_one_is_told_and_no_password(value: list[str], told: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        places_of(value)
    assert str(caught.value).endswith(told)


@given(st.text(max_size=60))
def test_nothing_that_a_shell_or_ssh_could_misread_is_taken(text: str) -> None:
    try:
        (place,) = places_of(f"ssh://{text}")
    except ValueError:
        return
    assert isinstance(place, SshPlace)
    assert not place.host.startswith("-") and not place.user.startswith("-")
    assert not set(place.host + place.user) & set(" \t\n;&|$`<>(){}'\"\\*?!#~")


@pytest.mark.parametrize("hosts", ["3", "[1]", "true", '["ssh://gpu1", 7]', '"nowhere"'])
def test_a_mistake_is_told_in_one_line(hosts: str) -> None:
    with pytest.raises(ProfileError) as told:
        parse_profile(PROFILE.format(host="10.0.0.1", hosts=hosts), "p.toml")
    (line,) = str(told.value).splitlines()
    assert line.startswith("p.toml: load.hosts: found ")
    assert 'expected "local", "ray://auto"' in line


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "", "0.0.0.0", "::1"])
def test_a_server_that_only_this_machine_reaches_is_told_before_the_start(host: str) -> None:
    with pytest.raises(ProfileError, match=r"which gpu1 of load\.hosts cannot reach"):
        parse_profile(PROFILE.format(host=host, hosts='["local", "ssh://gpu1"]'), "p.toml")
    here = parse_profile(PROFILE.format(host=host, hosts='["local", "ssh://localhost:2222"]'), "p.toml")
    assert here.load.hosts == ["local", "ssh://localhost:2222"]
    assert "10.0.0.7/ab" in here.out_of_reach_of(["10.0.0.7/ab"])
    assert here.out_of_reach_of([]) == ""


def test_one_that_others_reach_is_fine_and_so_is_an_attached_one() -> None:
    profile = parse_profile(PROFILE.format(host="10.0.0.1", hosts='["ssh://gpu1"]'), "p.toml")
    assert profile.out_of_reach_of(["gpu1"]) == ""
    attached = apply(profile, Overrides(attach_url="http://10.0.0.1:8000"))
    assert attached.load.hosts == ["ssh://gpu1"]
    with pytest.raises(ProfileError, match=r"attach\.base_url"):
        apply(profile, Overrides(attach_url="http://localhost:8000"))
    with pytest.raises(ProfileError, match=r"server\.host"):
        apply(parse_profile(PROFILE.format(host="", hosts='"local"'), "p.toml"), Overrides(hosts=["ssh://gpu2"]))
