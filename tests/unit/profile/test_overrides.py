from __future__ import annotations

import pytest

from tui.core.errors import ProfileError
from tui.profile.loader import parse_profile
from tui.profile.overrides import Overrides, apply, without_effect
from tui.profile.schema import Mode

PROFILE = parse_profile('name = "p"\nengine = "vllm"\n[server]\nmodel = "m"', "p.toml")


def test_mode_rate_without_a_rate_names_the_option_beside_all_else_that_is_wrong() -> None:
    with pytest.raises(ProfileError) as raised:
        apply(PROFILE, Overrides(mode="rate", users=[0]))
    mistakes = dict(
        problem.removeprefix("p with the given options: ").split(": ", 1) for problem in raised.value.problems
    )
    assert mistakes["load.users[0]"].startswith("found 0")
    assert mistakes["--rate"].endswith("(in the profile: load.rate_per_s)")


def test_a_rate_is_enough_for_its_mode() -> None:
    load = apply(PROFILE, Overrides(rate_per_s=2.5)).load
    assert (load.mode, load.rate_per_s) == ("rate", 2.5)


def test_an_option_that_no_mode_heeds_is_told() -> None:
    given = Overrides(repeats=3, duration_s=1.0, users=[1])
    assert without_effect(given, [Mode.STEADY]) == ["--repeats has no effect here: it is for mode burst and rate"]
    assert without_effect(given, [Mode.BURST]) == ["--duration has no effect here: it is for mode steady and rate"]
    assert without_effect(given, [Mode.RATE]) == without_effect(given, [Mode.STEADY, Mode.BURST]) == []
