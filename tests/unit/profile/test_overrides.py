from __future__ import annotations

import pytest

from tui.core.errors import ProfileError
from tui.profile.loader import parse_profile
from tui.profile.overrides import Overrides, apply

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
