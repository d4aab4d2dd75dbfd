"""What can be compared, how it is read, and what a comparison says in each of its forms."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from tests.unit.session import made
from tui import comparing
from tui.cli import cli
from tui.core.errors import SessionError, UsageError
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.comparison import compare
from tui.metrics.conditions import Conditions
from tui.metrics.precision import Precision
from tui.metrics.snapshot import Phase, ServerStatus
from tui.profile.schema import AttachTable
from tui.session.comparison_data import COLUMNS, as_csv, as_json, as_toml
from tui.session.comparison_text import lines, markdown
from tui.session.export import export_session
from tui.session.sides import read_side, read_sides
from tui.session.store import SessionWriter


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))


def kept(path: Path, cells: list[CellResult], **changes: object) -> Path:
    writer = SessionWriter(path, made.meta(session_id=path.stem, **changes))
    for number, cell in enumerate(cells, start=1):
        writer.add_cell(cell, made.START_NS + number)
    writer.close("finished")
    assert writer.failure == ""
    return path


def sure(users: int, tokens_per_s: float, prompt: int = 31, **more: object) -> CellResult:
    precision = Precision(state="steady", tokens_per_s_error=0.01, e2e_p50_error=0.01)
    return msgspec.structs.replace(
        made.cell(users, prompt, tokens_per_s_total=tokens_per_s, precision=precision), **more
    )


@pytest.fixture
def base(tmp_path: Path) -> Path:
    here = Conditions(version="0.9.0", kv_pool_tokens=1000)
    return kept(tmp_path / "base.vramp", [sure(1, 100.0, conditions=here), sure(2, 180.0), sure(4, 300.0)])


@pytest.fixture
def new(tmp_path: Path) -> Path:
    there = Conditions(version="0.10.0", kv_pool_tokens=1005)
    dead = made.cell(4, 31, outcome=Outcome.OOM_RUNTIME, tokens_per_s_total=None)
    return kept(tmp_path / "new.vramp", [sure(1, 90.0, conditions=there), sure(2, 181.0), dead], vramp_version="0.2.0")


def said(base: Path, new: Path) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines(compare(read_sides([str(base), str(new)]))))


def test_a_comparison_says_what_differs_first_then_the_ratios(base: Path, new: Path) -> None:
    text = said(base, new)
    assert text.startswith(
        "Comparison of B with A\nA = base (SIMULATED)\nB = new (SIMULATED)\n\nConditions that differ:"
    )
    assert re.search(r"^version +0\.9\.0 +0\.10\.0$", text, re.M)
    assert re.search(r"^measured by +vramp 0\.1\.0 +vramp 0\.2\.0$", text, re.M)
    assert "output tokens" not in text.split("tokens/s total")[0], "what is alike is not told"
    grid = text.split("tokens/s total: B / A, 100 output tokens\n")[1].splitlines()
    assert [line.split() for line in grid[:4]] == [
        ["users", "31", "tok"],
        ["1", "0.90-"],
        ["2", "1.01="],
        ["4", "fails"],
    ]
    assert "Answered in A, failed in B: 4 × 31 (oom-runtime)." in text
    assert "they come from the window's own interval" in text


def test_an_export_says_the_same_as_its_session(base: Path, new: Path, tmp_path: Path) -> None:
    export_session(new, tmp_path / "exported", formats=("toml",))
    exported, session = read_side(str(tmp_path / "exported" / "session.toml")), read_side(str(new))
    assert exported.source == "export"
    assert msgspec.structs.replace(exported, source="session") == session


def test_the_model_of_a_server_that_was_attached_to_is_its_own_word(tmp_path: Path) -> None:
    attached = made.PROFILE.model_copy(
        update={"engine": "vllm", "server": None, "attach": AttachTable(base_url="http://127.0.0.1:8000")}
    )
    path = tmp_path / "attached.vramp"
    writer = SessionWriter(path, made.meta(engine="vllm", profile_json=attached.model_dump_json()))
    writer.set_server(ServerStatus(phase=Phase.READY, attached=True, model="org/model"))
    writer.add_cell(made.cell(), made.START_NS + 1)
    writer.close("finished")
    side = read_side(str(path))
    assert side.circumstances.told["model"] == "org/model" and side.circumstances.arguments is None
    export_session(path, tmp_path / "out", formats=("toml",))
    assert read_side(str(tmp_path / "out")).circumstances == side.circumstances


def test_a_published_table_is_a_side(base: Path) -> None:
    table = read_side("mixtral-8x7b-awq")
    assert table.source == "published table" and not table.simulated
    assert table.circumstances.told["mode"] == "burst"
    assert {cell.outcome for cell in table.cells} == {Outcome.OK, Outcome.OOM_RUNTIME}
    (pair,) = compare([table, read_side(str(base))]).pairs
    assert {cell.users for cell in pair.cells} == {1, 2, 4}
    assert {change.change.value for cell in pair.cells for change in cell.figures} == {"spread not known"}


def test_what_is_nothing_is_said_with_the_nearest_names(base: Path) -> None:
    with pytest.raises(SessionError, match="mistral-7b"):
        read_side("mistral-7")
    with pytest.raises(UsageError, match="at least two"):
        read_sides([str(base)])
    with pytest.raises(UsageError, match="at most 26"):
        read_sides([str(base)] * 27)


def test_every_form_says_the_same(base: Path, new: Path) -> None:
    comparison = compare(read_sides([str(base), str(new)]))
    told = json.loads(as_json(comparison))
    (there,) = told["comparisons"]
    assert (told["base"], there["other"]) == ("base", "new")
    ratios = {cell["users"]: {each["figure"]: each["ratio"] for each in cell["figures"]} for cell in there["cells"]}
    assert ratios[1]["tokens_per_s_total"] == pytest.approx(0.9)
    assert ratios[4] == {}
    toml = tomllib.loads(as_toml(comparison))
    assert toml["comparisons"][0]["cells"][0]["figures"] == [
        {key: value for key, value in each.items() if value is not None} for each in there["cells"][0]["figures"]
    ]
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert tuple(rows[0]) == COLUMNS
    tokens = [row for row in rows if row["figure"] == "tokens_per_s_total"]
    assert [float(row["ratio"]) for row in tokens] == pytest.approx([0.9, 181 / 180])
    assert [(row["users"], row["change"]) for row in tokens] == [("1", "worse"), ("2", "no difference")]
    assert [row["outcome_other"] for row in rows if not row["figure"]] == ["oom-runtime"]
    assert "| 1 | 0.90- |" in re.sub(r" +", " ", markdown(comparison))


def test_text_from_files_is_no_markup(base: Path, tmp_path: Path) -> None:
    nasty = kept(tmp_path / "x.vramp", [sure(1, 1.0)], vramp_version="<script>alert(1)</script>|\x1b[31m")
    comparison = compare(read_sides([str(base), str(nasty)]))
    assert "\\<script\\>" in markdown(comparison)
    assert "\x1b" not in said(base, nasty)


def test_a_run_of_several_profiles_ends_in_a_comparison(
    base: Path, new: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = kept(tmp_path / "empty.vramp", [])
    comparing.conclude([base, empty, tmp_path / "absent.vramp", new])
    out, err = capsys.readouterr()
    assert "Comparison of B with A\nA = base (SIMULATED)\nB = new (SIMULATED)" in out
    assert "absent.vramp" in err
    comparing.conclude([base, empty])
    assert capsys.readouterr().out == "", "one grid is no comparison"


def test_the_command_and_its_gates(base: Path, new: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, ["compare", *arguments], standalone_mode=False)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return int(done.return_value), done.output

    code, text = run(str(base), str(new), "--fail-if", "tokens_per_s_total < 0.95", "--fail-if", "ttft_p90_s > 1.1")
    assert code == 6
    assert "holds in 1 of 2 cells: 1 × 31 0.90 (0.89 to 0.91)" in text
    code, text = run(str(base), str(base), "--fail-if", "tokens_per_s_total < 0.95")
    assert code == 0 and "passed: tokens_per_s_total < 0.95" in text
    code, _ = run(str(base), str(new), "-o", str(tmp_path / "out.json"))
    assert code == 0 and json.loads((tmp_path / "out.json").read_text())["base"] == "base"
    with pytest.raises(UsageError, match="--fail-if: tokens: found no figure"):
        run(str(base), str(new), "--fail-if", "tokens < 1")
    with pytest.raises(UsageError, match="--figure"):
        run(str(base), str(new), "--figure", "speed")
    with pytest.raises(UsageError, match="--out"):
        run(str(base), str(new), "--out", str(tmp_path / "out.xyz"))


def test_cells_that_lie_apart_make_no_endless_map_of_ratios(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [sure(number, 100.0, prompt=number) for number in range(1, 301)]
    path = kept(tmp_path / "apart.vramp", cells)
    text = said(path, path)
    assert "300 cells are known in A and B" in text
    assert "too far apart for a grid: --format csv tells each" in text
    assert len(text) < 20_000, "ninety thousand places"
    assert len(markdown(compare(read_sides([str(path), str(path)])))) < 20_000
