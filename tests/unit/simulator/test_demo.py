"""What the demo promises: a grid with every kind of cell, each quick enough to be measured in its window."""

from __future__ import annotations

from tui.profile.catalogue import find
from tui.simulator.burst import burst


def test_the_demo_has_ok_oom_and_too_long_cells_and_none_outlasts_its_window() -> None:
    profile = find("demo").profile
    assert profile is not None
    assert profile.simulator is not None
    load, table = profile.load, profile.simulator
    outcomes = []
    for prompt_tokens in load.prompt_tokens:
        if prompt_tokens + load.output_tokens > table.max_model_len:
            outcomes.append("too-long")
            continue
        for users in load.users:
            seconds = burst(table, users, prompt_tokens, load.output_tokens).seconds
            outcomes.append("oom" if seconds is None else "ok")
            assert seconds is None or seconds < load.warm_up_s + load.duration_s
    assert {outcome: outcomes.count(outcome) for outcome in set(outcomes)} == {"ok": 29, "oom": 3, "too-long": 1}


def test_one_demo_user_reads_at_a_believable_speed() -> None:
    profile = find("demo").profile
    assert profile is not None
    assert profile.simulator is not None
    seconds = burst(profile.simulator, 1, 64, 100).seconds
    assert seconds is not None
    assert 30 <= 100 / seconds <= 50
