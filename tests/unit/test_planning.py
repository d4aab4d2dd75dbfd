"""`vramp plan`: the answer, its source, its uncertainty, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.unit.session import made
from tui.cli import cli
from tui.core.errors import UsageError
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.planning import Plan, Wish, in_words, plan
from tui.profile.loader import load_profile
from tui.session.store import SessionWriter

PROFILE = """\
name = "mine"
engine = "vllm"
[server]
model = "m"
gpus = [0, 1]
[load]
output_tokens = 100
[cost]
price_per_hour = 3.6
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return tmp_path


def write_profile(home: Path, more: str = "", name: str = "mine") -> Path:
    path = home / "XDG_CONFIG_HOME" / "vramp" / "profiles" / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PROFILE.replace("mine", name) + more)
    return path


def measured(users: int, prompt: int, seconds: float | None = None, **more: Any) -> CellResult:
    """A cell of a server whose time to resolve is users / 10 s at 100 prompt tokens, and goes with the square root."""
    resolve_s = users / 10 * (prompt / 100) ** 0.5 if seconds is None else seconds
    cell = made.cell(users, prompt, time_to_resolve_s=resolve_s, duration_s=resolve_s, ttft_p50_s=resolve_s / 4)
    return msgspec.structs.replace(cell, **more)


def keep(home: Path, profile: Path, cells: list[CellResult], name: str = "2026-11-20-180400-mine-ab12") -> None:
    folder = home / "XDG_DATA_HOME" / "vramp" / "sessions"
    folder.mkdir(parents=True, exist_ok=True)
    meta = made.meta(
        session_id=name,
        profile_name=profile.stem,
        profile_json=load_profile(profile).model_dump_json(),
        engine="vllm",
        simulated=False,
    )
    writer = SessionWriter(folder / f"{name}.vramp", meta)
    for number, cell in enumerate(cells, start=1):
        writer.add_cell(cell, made.START_NS + number)
    writer.close("finished")


GRID = [measured(users, prompt) for users in (1, 4, 16, 64) for prompt in (100, 400, 1600)]


def answer(wish: Wish, *names: str) -> Plan:
    return plan(names or ("mine",), wish)[0]


def test_between_cells_the_answer_is_interpolated_with_error_and_source(home: Path) -> None:
    keep(home, write_profile(home), GRID)
    found = answer(Wish(8, 800))
    assert found.carried and not found.simulated
    assert (found.servers, found.gpus) == (1, 2)
    assert found.time_to_resolve_s is not None
    assert found.time_to_resolve_s.value == pytest.approx(0.8 * 8**0.5)
    assert found.cost_per_hour == pytest.approx(3.6)
    # 8 x (800 + 100) tokens in that time; corners interpolate it, so that it is near and not the same.
    assert found.cost_per_1m_tokens == pytest.approx(1000 / (8 * 900 / (0.8 * 8**0.5)), rel=0.15)
    text = in_words(found)
    assert text.startswith("mine carries 8 users with 800 prompt and 100 output tokens on one server (2 GPUs): 2.26")
    assert "1 session of mine (2026-11-20-180400-mine-ab12)" in text
    assert "uncertainty: nine in ten of" in text and "3.60 USD an hour" in text
    assert "SIMULATED" not in text


def test_too_slow_for_one_server_is_shared_by_the_fewest_that_are_quick_enough(home: Path) -> None:
    keep(home, write_profile(home), GRID)
    found = answer(Wish(60, 100, within_s=2.5))
    assert (found.servers, found.gpus) == (3, 6)
    assert found.cost_per_hour == pytest.approx(10.8)
    assert any("more than 2.5 s" in note for note in found.notes)


def test_more_users_than_were_measured_on_one_server_are_not_extrapolated(home: Path) -> None:
    keep(home, write_profile(home), GRID)
    found = answer(Wish(100, 100))
    assert found.servers == 2
    assert any("outside of what was measured: 1 to 64 users" in note for note in found.notes)
    longer = answer(Wish(1, 5000))
    assert not longer.carried and longer.time_to_resolve_s is None
    assert in_words(longer).startswith("it is not known whether mine carries 1 user")
    assert any("outside of what was measured" in note for note in longer.notes)


def test_what_failed_is_not_promised(home: Path) -> None:
    failed = measured(64, 400, outcome=Outcome.OOM_KV, time_to_resolve_s=None)
    cells = [cell for cell in GRID if (cell.users, cell.prompt_tokens) not in ((64, 400), (64, 1600))]
    keep(home, write_profile(home), [*cells, failed])
    found = answer(Wish(64, 800))
    assert found.servers == 4, "between 16 users, which work, and 64, which do not, nothing is promised"
    assert any("64 users x 400 prompt tokens ended as oom-kv" in note for note in found.notes)


def test_an_slo_that_no_share_meets_is_said(home: Path) -> None:
    keep(home, write_profile(home, "[slo]\nttft_s = 0.001\n"), GRID)
    found = answer(Wish(8, 100))
    assert not found.carried
    assert in_words(found).startswith("mine does not carry 8 users")
    assert any("TTFT up to" in note and "more than 0.001 s" in note for note in found.notes)


def test_sessions_of_another_server_do_not_count(home: Path) -> None:
    path = write_profile(home)
    keep(home, path, GRID)
    path.write_text(path.read_text().replace("gpus = [0, 1]", "gpus = [0]"))
    found = answer(Wish(8, 100))
    assert not found.carried
    assert any("1 session of mine left out" in note for note in found.notes)


def test_without_a_session_the_published_table_and_then_the_twin_answer() -> None:
    table = answer(Wish(50, 1000), "mistral-7b")
    assert table.carried and not table.simulated and "the published table mistral-7b" in table.source
    twin = answer(Wish(2, 3000), "mistral-7b")
    assert twin.simulated and "the model behind the simulator (sim-mistral-7b)" in twin.source
    assert in_words(twin).startswith("SIMULATED: ")
    assert twin.time_to_resolve_s is not None
    assert "EXTRAPOLATED beyond 1 to 128 users" in twin.time_to_resolve_s.uncertainty
    assert "worst error against mistral-7b, 15%" in twin.time_to_resolve_s.uncertainty


def test_a_model_fitted_to_nothing_errs_at_least_as_much_as_any_that_is() -> None:
    found = answer(Wish(4, 100), "demo")
    assert found.simulated and found.time_to_resolve_s is not None
    seconds = found.time_to_resolve_s
    assert seconds.uncertainty.startswith("demo models no published table; the worst error of the 8 models")
    assert seconds.low < 0.9 * seconds.value and seconds.high > 1.1 * seconds.value
    assert "uncertainty: demo models no published table" in in_words(found)


def test_the_best_of_several_comes_first(home: Path) -> None:
    keep(home, write_profile(home), GRID)
    dear = write_profile(home, name="dear")
    dear.write_text(dear.read_text().replace("3.6", "9"))
    keep(home, dear, GRID, "2026-11-20-180400-dear-ab12")
    assert [one.profile for one in plan([], Wish(8, 100))] == ["mine", "dear"]
    assert [one.profile for one in plan(["demo", "dear"], Wish(8, 100))] == ["dear", "demo"]


def test_what_makes_no_sense_is_refused() -> None:
    for wish in (Wish(0, 1), Wish(1, 0), Wish(1, 1, within_s=-1.0)):
        with pytest.raises(UsageError):
            plan(["demo"], wish)
    with pytest.raises(UsageError, match="no profile has a session yet"):
        plan([], Wish(1, 1))


def test_the_command_prints_a_sentence_or_json(home: Path) -> None:
    keep(home, write_profile(home), GRID)
    asked = ["plan", "mine", "--users", "8", "--prompt-tokens", "800"]
    said = CliRunner().invoke(cli, asked, standalone_mode=False)
    assert said.exception is None and said.output.startswith("mine carries 8 users")
    as_json = msgspec.json.decode(CliRunner().invoke(cli, [*asked, "--json"], standalone_mode=False).output)
    assert as_json[0]["time_to_resolve_s"]["uncertainty"] and as_json[0]["source"]
