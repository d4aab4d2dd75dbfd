"""The protocols of published studies."""

from __future__ import annotations

import pytest

from tui.core.errors import ProfileError
from tui.profile.overrides import Overrides, apply
from tui.profile.protocols import PROTOCOLS, like
from tui.profile.schema import LoadTable, Mode, Profile, ServerTable

PROFILE = Profile(name="p", engine="vllm", server=ServerTable(model="m"), load=LoadTable(prompt_tokens=[296]))


def test_like_inria_is_a_burst_of_a_hundred_tokens() -> None:
    (part,) = like("inria", Overrides(users=[4]))
    load = apply(PROFILE, part).load
    assert (load.mode, load.output_tokens, load.users) == (Mode.BURST, 100, [4])  # what was given wins
    assert load.prompt_tokens == [31, 63, 119, 296, 480, 822, 2193]


def test_like_georgian_is_a_constant_rate_and_an_hour_without_pause() -> None:
    rate, hour = (apply(PROFILE, part).load for part in like("georgian", Overrides(rate_per_s=2.0)))
    assert (rate.mode, rate.arrivals, rate.rate_per_s, rate.duration_s, rate.repeats) == (
        Mode.RATE,
        "constant",
        2.0,
        600.0,
        3,
    )
    assert (hour.mode, hour.users, hour.duration_s, hour.prompt_tokens) == (Mode.STEADY, [10], 3600.0, [296])


def test_a_constant_rate_needs_a_rate() -> None:
    with pytest.raises(ProfileError, match="--rate: found nothing"):
        apply(PROFILE, like("georgian", Overrides())[0])


def test_the_command_offers_what_there_is() -> None:
    from tui.cli import run

    option = next(one for one in run.params if one.name == "like")
    assert sorted(option.type.choices) == sorted(PROTOCOLS)  # type: ignore[attr-defined]
