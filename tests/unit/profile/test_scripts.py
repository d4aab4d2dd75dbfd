"""Scripts for an audience: what one may say, and how its mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.core.errors import ProfileError, UsageError
from tui.profile.loader import parse_profile
from tui.profile.scripts import check_script, is_script, load_script, shipped_scripts

STEP = "[[demo.step]]\n"
PROFILE = 'name = "p"\nengine = "vllm"\n[server]\nmodel = "m"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["study", "what-fills-a-gpu", "find-the-edge"])
def test_shipped_scripts_are_whole(name: str) -> None:
    assert name in shipped_scripts()
    steps = load_script(name).step
    assert len(steps) > 3 and any(step.caption for step in steps)


def test_the_study_lasts_about_three_minutes() -> None:
    steps = load_script("study").step
    least = sum(step.seconds for step in steps)
    most = sum(max(step.seconds, step.at_most if step.wait else 0.0) for step in steps)
    assert least >= 100 and most <= 240


def test_a_profile_may_hold_its_own() -> None:
    profile = parse_profile(PROFILE + STEP + 'caption = "one"\nusers = 1\nwait = "steady"\n', "p")
    assert profile.demo is not None and profile.demo.step[0].users == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (STEP + 'wait = "stedy"\n', "demo.step"),
        (STEP + "users = -1\n", "0 or more"),
        (STEP + "usrs = 1\n", "users"),
        (STEP + f'caption = "{"x" * 201}"\n', "at most 200 characters"),
        (STEP + "at_most = inf\n", "finite"),
        (STEP * 201, "at most 200 values"),
        ("demo = 1\n", "a table"),
        ('title = "x"\n', "[[demo.step]]"),
        (STEP + '[server]\nmodel = "m"\n', "unknown key"),
        ("[[demo.step\n", "syntax error"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ProfileError) as caught:
        check_script(path)
    assert said in str(caught.value) and str(path) in str(caught.value)


def test_a_script_is_told_from_a_profile(tmp_path: Path) -> None:
    assert is_script(written(tmp_path, STEP))
    assert not is_script(written(tmp_path, PROFILE + STEP))


def test_what_is_neither_a_file_nor_shipped_is_told_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="find-the-edge, study"):
        load_script("studdy")
