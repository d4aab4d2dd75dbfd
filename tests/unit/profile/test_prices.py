"""The price list: shipped, the user's own, and what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.core.toml_text import parse_toml
from tui.profile.catalogue import entries, new_profile
from tui.profile.prices import parsed, read_prices

FINE = '[[api]]\nname = "A"\ninput_per_1m = 1\noutput_per_1m = 2.5\n'


@pytest.fixture(autouse=True)
def own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "vramp" / "profiles"
    folder.mkdir(parents=True)
    return folder


def test_the_shipped_list_is_whole_and_no_profile() -> None:
    found = read_prices()
    assert {price.name for price in found.prices} >= {"GPT-3.5 Turbo", "GPT-4"}
    assert found.notes == []
    assert all(price.as_of for price in found.prices)
    assert "prices" not in {entry.name for entry in entries()}
    with pytest.raises(UsageError):
        new_profile("prices")


def test_the_user_s_own_prices_hide_and_add(own_profiles: Path) -> None:
    (own_profiles / "prices.toml").write_text(FINE + FINE.replace('"A"', '"GPT-4"'))
    found = {price.name: price for price in read_prices().prices}
    assert (found["GPT-4"].input_per_1m, found["GPT-4"].output_per_1m) == (1.0, 2.5)
    assert {"A", "GPT-3.5 Turbo"} <= set(found)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ('name = "B"\ninput_per_1m = -3\noutput_per_1m = 1', "B: input_per_1m: found -3, expected a price from 0"),
        ('name = "B"\ninput_per_1m = 1', "B: output_per_1m: found no price"),
        ('name = "B"\ninput_per_1m = nan\noutput_per_1m = 1', "B: input_per_1m: found nan"),
        ('name = "B"\ninput_per_1m = true\noutput_per_1m = 1', "B: input_per_1m: found True"),
        ('name = "B"\ninput_per_1m = "1"\noutput_per_1m = 1', "B: input_per_1m: found 1"),
        ("input_per_1m = 1\noutput_per_1m = 1", "api 1: name: expected a text"),
        ('name = "B"\ninput = 1', "B: found an unknown key input"),
        ('name = "B"\ninput_per_1m = 1\noutput_per_1m = 1\ncurrency = 3', "B: currency: expected a text"),
    ],
)
def test_a_wrong_entry_is_left_out_and_said(entry: str, said: str) -> None:
    found = parsed(parse_toml(f"[[api]]\n{entry}\n{FINE}"), "p")
    assert [price.name for price in found.prices] == ["A"]
    assert len(found.notes) == 1
    assert said in found.notes[0] and found.notes[0].endswith("it is left out")


@pytest.mark.parametrize("text", ["api = 3", "nonsense", '[other]\nx = 1\n[[api]]\nname = "A"', "\x00"])
def test_a_list_that_cannot_be_read_is_said_and_the_shipped_one_stays(own_profiles: Path, text: str) -> None:
    (own_profiles / "prices.toml").write_text(text)
    found = read_prices()
    assert "GPT-4" in {price.name for price in found.prices}
    assert len(found.notes) == 1 and "prices.toml" in found.notes[0]


def test_text_from_outside_is_cleaned() -> None:
    text = FINE.replace('"A"', '"\\u001b[31mred\\u0007"')
    assert parsed(parse_toml(text), "p").prices[0].name.isprintable()
