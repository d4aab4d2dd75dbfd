"""The protocols of published studies."""

from __future__ import annotations

import click
import pytest

from tui.profile.overrides import Overrides, apply
from tui.profile.protocols import PROTOCOLS, like
from tui.profile.schema import LoadTable, Mode, Profile, ServerTable

PROFILE = Profile(name="p", engine="vllm", server=ServerTable(model="m"))
OTHER_SIZES = PROFILE.model_copy(update={"load": LoadTable(prompt_tokens=[21, 51])})


def test_like_inria_is_a_burst_of_a_hundred_tokens() -> None:
    (part,) = like("inria", Overrides(users=[4]), PROFILE)
    load = apply(PROFILE, part).load
    assert (load.mode, load.output_tokens, load.users) == (Mode.BURST, 100, [4])  # what was given wins
    assert load.prompt_tokens == [31, 63, 119, 296, 480, 822, 2193]


def test_like_georgian_is_a_constant_rate_and_an_hour_without_pause() -> None:
    rate, hour = (apply(PROFILE, part).load for part in like("georgian", Overrides(), PROFILE))
    assert (rate.mode, rate.arrivals, rate.rate_per_s, rate.users, rate.duration_s, rate.repeats) == (
        Mode.RATE,
        "constant",
        10.0,
        [1],
        600.0,
        3,
    )
    assert (hour.mode, hour.users, hour.duration_s) == (Mode.STEADY, [10], 3600.0)
    assert all((part.prompt_tokens, part.output_tokens) == ([100], 4) for part in (rate, hour))


def test_options_win_over_the_protocol() -> None:
    given = Overrides(rate_per_s=2.0, prompt_tokens=[822], output_tokens=50)
    rate, hour = (apply(PROFILE, part).load for part in like("georgian", given, PROFILE))
    assert (rate.mode, rate.rate_per_s, hour.mode) == (Mode.RATE, 2.0, Mode.STEADY)
    assert all((part.prompt_tokens, part.output_tokens) == ([822], 50) for part in (rate, hour))


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_profile_with_sizes_of_its_own_keeps_them(name: str) -> None:
    for part in like(name, Overrides(), OTHER_SIZES):
        assert apply(OTHER_SIZES, part).load.prompt_tokens == [21, 51]
    for part in like(name, Overrides(prompt_tokens=[7]), OTHER_SIZES):
        assert apply(OTHER_SIZES, part).load.prompt_tokens == [7]


def test_the_command_offers_what_there_is() -> None:
    from tui.commands.run import run

    option = next(one for one in run.params if one.name == "like")
    assert isinstance(option, click.Option) and isinstance(option.type, click.Choice)
    assert sorted(option.type.choices) == sorted(PROTOCOLS)
    told = option.help or ""
    for name, (first, *_) in PROTOCOLS.items():
        said = told.split(f"{name}: ")[1].split(";")[0]
        assert all(f"{size:,}" in said for size in (first["prompt_tokens"][0], first["prompt_tokens"][-1]))
        assert f"answers of {first['output_tokens']}" in said
        assert "rate_per_s" not in first or f"{first['rate_per_s']:g} requests/s" in said
