from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.profile import catalogue

GOOD = 'name = "{name}"\nengine = "vllm"\n[server]\nmodel = "mine"\n'
STUDY = {
    "mistral-7b": 2,
    "codestral-22b-awq": 1,
    "codestral-22b-gptq": 2,
    "codestral-22b": 2,
    "mixtral-8x7b-awq": 2,
    "mixtral-8x22b-awq": 4,
    "llama-3-70b-awq": 2,
}


@pytest.fixture(autouse=True)
def own_profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "vramp" / "profiles"
    folder.mkdir(parents=True)
    return folder


def test_every_shipped_profile_is_right() -> None:
    shipped = [entry for entry in catalogue.entries() if entry.shipped]
    assert {*STUDY, "mixtral-8x7b-awq-4xl4"} <= {entry.name for entry in shipped}
    assert [entry.problems for entry in shipped if entry.problems] == []


@pytest.mark.parametrize(("name", "gpus"), STUDY.items())
def test_the_set_ups_of_the_study_are_as_published(name: str, gpus: int) -> None:
    profile = catalogue.find(name).profile
    assert profile is not None
    assert profile.server is not None
    assert profile.server.gpus == list(range(gpus))
    assert profile.server.args.get("tensor-parallel-size", 1) == gpus
    assert profile.reference is not None and profile.reference.table is not None
    table = catalogue.reference_table(profile.reference.table)
    assert sorted({users for users, _ in table}) == profile.load.users
    assert sorted({prompt for _, prompt in table}) == profile.load.prompt_tokens
    assert len(table) == len(profile.load.users) * len(profile.load.prompt_tokens) == 56
    assert profile.load.output_tokens == 100
    assert profile.load.mode == "burst"


def test_our_own_table_says_under_what_conditions_it_was_measured() -> None:
    profile = catalogue.find("h200-mistral-7b").profile
    assert profile is not None and profile.reference is not None and profile.reference.table is not None
    table = catalogue.reference_table(profile.reference.table)
    assert set(table) == {(users, prompt) for prompt in profile.load.prompt_tokens for users in profile.load.users}
    with (catalogue.shipped_profiles_dir() / "references" / f"{profile.reference.table}.csv").open(newline="") as file:
        conditions = {row["conditions"] for row in csv.DictReader(file)}
    assert len(conditions) == 1
    assert {"random weights", "vLLM 0.26.0"} <= set(conditions.pop().split("; "))


def test_the_four_l4_profile_has_its_flags_and_price() -> None:
    profile = catalogue.find("mixtral-8x7b-awq-4xl4").profile
    assert profile is not None
    assert profile.server is not None
    assert profile.server.args == {
        "tensor-parallel-size": 4,
        "enforce-eager": True,
        "quantization": "awq",
        "gpu-memory-utilization": 0.96,
        "kv-cache-dtype": "fp8",
    }
    assert profile.cost is not None
    assert (profile.cost.price_per_hour, profile.cost.currency) == (4.94, "USD")


def test_a_published_table_keeps_its_failures() -> None:
    table = catalogue.reference_table("mixtral-8x7b-awq")
    assert table[32, 2193] == catalogue.ReferenceCell(None, "failed")
    assert table[1, 31].outcome == "ok"


def test_an_own_profile_comes_first_and_hides_the_shipped_one_of_its_name(own_profiles: Path) -> None:
    (own_profiles / "zebra.toml").write_text(GOOD.format(name="zebra"))
    (own_profiles / "mistral-7b.toml").write_text(GOOD.format(name="mistral-7b"))
    (own_profiles / "broken.toml").write_text("nonsense")
    found = catalogue.entries()
    assert [entry.name for entry in found[:3]] == ["broken", "mistral-7b", "zebra"]
    assert found[0].profile is None
    assert found[0].problems
    assert [entry.shipped for entry in found if entry.name == "mistral-7b"] == [False]
    mine = catalogue.find("mistral-7b").profile
    assert mine is not None
    assert mine.server is not None
    assert mine.server.model == "mine"


def test_a_profile_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "here.toml"
    path.write_text(GOOD.format(name="here"))
    entry = catalogue.find(str(path))
    assert entry.profile is not None
    assert entry.path == path
    assert catalogue.find(str(tmp_path / "absent.toml")).problems


def test_a_file_whose_name_is_no_profiles_name_is_found_with_that_mistake(own_profiles: Path) -> None:
    (own_profiles / "my model.toml").write_text(GOOD.format(name="my model"))
    assert any(": name: found" in line for line in catalogue.find("my model").problems)


@pytest.mark.parametrize("name", ["mixtral-8x7b-aqw", "", "..", "a\0b", "x" * 5000, "\x1b[31m"])
def test_an_unknown_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.find(name)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_the_nearest_names_are_told() -> None:
    with pytest.raises(UsageError, match=r'found no profile "mixtral-8x7b-aqw"; did you mean mixtral-8x7b-awq or'):
        catalogue.find("mixtral-8x7b-aqw")
    with pytest.raises(UsageError, match="did you mean llama-3-70b-awq"):
        catalogue.reference_table("llama-3-70b")


def test_a_reference_is_never_read_from_outside_its_folder() -> None:
    with pytest.raises(UsageError, match="found no published table"):
        catalogue.reference_table("../references/mistral-7b")


@pytest.mark.parametrize("row", ["x,31,1.0,ok", "1,31,1.0,excellent", "1,31", "1,31,fast,ok"])
def test_a_malformed_own_table_is_a_usage_error(own_profiles: Path, row: str) -> None:
    (own_profiles / "references").mkdir()
    (own_profiles / "references" / "mine.csv").write_text(f"users,prompt_tokens,seconds,outcome\n{row}\n")
    with pytest.raises(UsageError, match="expected a published table"):
        catalogue.reference_table("mine")


def test_a_new_profile_is_right_and_never_overwrites() -> None:
    path = catalogue.new_profile("fresh")
    assert catalogue.entry_of(path).problems == []
    with pytest.raises(UsageError, match="already"):
        catalogue.new_profile("fresh")
    with pytest.raises(UsageError, match="found the name"):
        catalogue.new_profile("../fresh")


def test_a_row_says_what_is_needed(own_profiles: Path) -> None:
    row = catalogue.summary_row(catalogue.find("mixtral-8x7b-awq"))
    assert row == {
        "name": "mixtral-8x7b-awq",
        "engine": "vllm",
        "gpus": "2",
        "grid": "8 x 7 burst",
        "state": "shipped",
        "title": "Mixtral 8x7B AWQ 4-bit on 2 x A100 40 GB",
    }
    (own_profiles / "bad.toml").write_text('name = "bad"\nengine = "vllm"\n')
    assert catalogue.summary_row(catalogue.find("bad"))["state"] == "1 mistake"


@pytest.mark.parametrize(
    "text",
    [
        GOOD.format(name="old"),
        '# name = "x"\nname=\'old\'   # ours\nengine = "vllm"\n[server]\nmodel = "mine"\nargs = { name = "y" }\n',
    ],
)
def test_a_copy_has_its_own_name_and_nothing_else_is_changed(own_profiles: Path, tmp_path: Path, text: str) -> None:
    source = tmp_path / "old.toml"
    source.write_text(text)
    path = catalogue.copy_profile_as(catalogue.entry_of(source, shipped=False), "new")
    assert path == own_profiles / "new.toml"
    assert path.read_text() in (text.replace('"old"', '"new"'), text.replace("'old'", '"new"'))
    (copied,) = [entry for entry in catalogue.entries() if entry.name == "new"]
    assert copied.problems == []


@pytest.mark.parametrize("name", ["mistral-7b", "demo", "..", "a/b", ""])
def test_a_copy_never_hides_another_profile(own_profiles: Path, tmp_path: Path, name: str) -> None:
    source = tmp_path / "old.toml"
    source.write_text(GOOD.format(name="old"))
    with pytest.raises(UsageError):
        catalogue.copy_profile_as(catalogue.entry_of(source, shipped=False), name)
    assert list(own_profiles.iterdir()) == []


def test_a_copy_whose_name_cannot_be_changed_is_refused(own_profiles: Path, tmp_path: Path) -> None:
    source = tmp_path / "old.toml"
    source.write_text('notes = """\nname = "old"\n"""\n"name" = "old"\nengine = "vllm"\n[server]\nmodel = "m"\n')
    with pytest.raises(UsageError, match="copy the file by hand"):
        catalogue.copy_profile_as(catalogue.entry_of(source, shipped=False), "new")
    assert list(own_profiles.iterdir()) == []
