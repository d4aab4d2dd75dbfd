"""The page of a comparison: whole, escaped, marked, self-contained."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from tests.unit.report.test_report import HOSTILE, _Page
from tests.unit.session import made
from tui import comparing
from tui.core.errors import ExitCode
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.cell_figures import COMPARED
from tui.metrics.comparison import compare
from tui.metrics.comparison_curves import by_users, prompt_sizes
from tui.metrics.measured import Measured
from tui.metrics.precision import Precision
from tui.metrics.trend import curve, trend_point
from tui.report import tables
from tui.report.comparison_page import comparison_page
from tui.session.sides import read_sides
from tui.session.store import SessionWriter

TOKENS = next(figure for figure in COMPARED if figure.field == "tokens_per_s_total")


def sure(users: int, tokens_per_s: float, prompt: int = 31, **more: object) -> CellResult:
    precision = Precision(state="steady", tokens_per_s_error=0.01, e2e_p50_error=0.01)
    cell = made.cell(users, prompt, tokens_per_s_total=tokens_per_s, precision=precision)
    return msgspec.structs.replace(cell, **more)


def kept(path: Path, cells: list[CellResult], **changes: object) -> str:
    writer = SessionWriter(path, made.meta(session_id=path.stem, **changes))
    for number, cell in enumerate(cells, start=1):
        writer.add_cell(cell, made.START_NS + number)
    for second in range(1, 10):
        writer.add_series(made.point(second, tokens_per_s_total=10.0 * second))
    writer.close("finished")
    assert writer.failure == ""
    return str(path)


@pytest.fixture
def sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    dead = made.cell(4, 31, outcome=Outcome.OOM_RUNTIME, tokens_per_s_total=None)
    return [
        kept(tmp_path / "base.vramp", [sure(1, 100.0), sure(2, 180.0), sure(4, 300.0)]),
        kept(tmp_path / "new.vramp", [sure(1, 90.0), sure(2, 400.0), dead], vramp_version="0.2.0"),
    ]


def words_of(page: str, tag: str, **attributes: str) -> list[str]:
    told = "".join(f' {name.rstrip("_")}="{value}"' for name, value in attributes.items())
    return [re.sub(r"<[^>]+>", "|", found) for found in re.findall(rf"<{tag}{told}>(.*?)</{tag}>", page, re.DOTALL)]


def test_what_differs_comes_first_then_ratios_with_their_intervals_then_the_curves(sides: list[str]) -> None:
    text = comparison_page(compare(read_sides(sides)))
    page = _Page(text)
    heads = words_of(text, "h2")
    assert heads[:2] == ["Conditions that differ", "B / A"]
    assert heads.index("Curves over each other") < heads.index("Side by side: tokens/s total")
    assert "vramp 0.1.0" in page.words and "vramp 0.2.0" in page.words
    assert words_of(text, "td", class_="worse-0") == ["0.90-|0.89 to 0.91|"]
    assert words_of(text, "td", class_="better-3") == ["2.22+|2.19 to 2.25|"]
    assert words_of(text, "td", class_="worse-3")[0] == "fails"
    assert "Answered in A, failed in B: 4 × 31 (oom-runtime)." in page.words
    titles = re.findall(r'aria-label="([^"]+)"', text)
    assert titles[0] == "tokens/s total at 31 prompt tokens – SIMULATED"
    assert titles[-1] == "Tokens/s over each session – SIMULATED"
    # Both sides are in each chart: so many places with users of A and of B.
    assert all(f'class="series serie-{side} color-{side}"' in text for side in (0, 1))
    # Every figure of every cell, to be sorted by its ratio.
    assert re.search(r'<td data-value="0.900">0.900</td>', text)
    assert page.tags["script"] == page.tags["style"] == 1


def test_a_figure_that_is_asked_for_is_the_one_that_is_drawn(sides: list[str]) -> None:
    text = comparison_page(compare(read_sides(sides)), ["time_to_resolve_s"])
    titles = re.findall(r'aria-label="([^"]+)"', text)
    assert titles[:-1] == ["time to resolve at 31 prompt tokens – SIMULATED"]


def test_nothing_of_a_hostile_file_is_more_than_text_and_the_network_is_not_asked(
    sides: list[str], tmp_path: Path
) -> None:
    nasty = kept(tmp_path / "x.vramp", [sure(1, 1.0)], vramp_version=HOSTILE, gpu_summary=HOSTILE, engine=HOSTILE)
    text = comparison_page(compare(read_sides([sides[0], nasty])), said=[HOSTILE])
    page = _Page(text)
    assert page.tags["script"] == 1
    assert page.tags["img"] == page.tags["iframe"] == 0
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert not re.search(r"url\(|@import|https?://", text)


def test_simulated_figures_say_so_wherever_they_stand(sides: list[str], tmp_path: Path) -> None:
    real = kept(tmp_path / "real.vramp", [sure(1, 90.0)], simulated=False)
    text = comparison_page(compare(read_sides([real, sides[0]])))
    assert "SIMULATED: the figures of B come from a model of a server" in text
    parts = re.findall(r"<svg.*?</svg>|<caption>.*?</caption>|<title>[^<]*</title><style>", text, re.DOTALL)
    assert len(parts) > 5
    of_no_figures = re.compile("<caption>(The sides|What is told|All that is told|A: real)")
    for part in parts:
        assert "SIMULATED" in part or of_no_figures.match(part), part[:200]
    assert "SIMULATED" not in comparison_page(compare(read_sides([real, real])))


def test_cells_that_lie_apart_make_no_endless_grid(sides: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = compare(read_sides(sides))
    monkeypatch.setattr(tables, "MOST_PLACES", 2)
    text = comparison_page(comparison)
    assert not words_of(text, "td", class_="worse-0")
    assert "0.900" in text, "they are in the table"


def test_the_command_writes_it_with_the_gates_that_fail(
    sides: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.html"
    code = comparing.run(sides, gates=["tokens_per_s_total < 0.95"], out_file=out)
    assert code is ExitCode.GATE
    assert "A gate failed:" in out.read_text(encoding="utf-8")
    assert capsys.readouterr().out == ""
    assert comparing.run(sides, form="html") is ExitCode.OK
    assert "A gate failed:" not in capsys.readouterr().out


def test_sides_whose_sizes_are_means_have_their_nearest_sizes_on_one_curve() -> None:
    base = Measured(name="a", cells=[sure(1, 10.0, 100), sure(2, 20.0, 100), sure(2, 21.0, 100), sure(2, 5.0, 63)])
    other = Measured(name="b", cells=[sure(1, 9.0, 101), sure(2, 18.0, 100)], sizes_are_means=True)
    comparison = compare([base, other])
    assert prompt_sizes(comparison, TOKENS) == [100]
    assert by_users(comparison, TOKENS, 100) == [[(1, 10.0), (2, 21.0)], [(1, 9.0), (2, 18.0)]]


def test_a_curve_is_not_drawn_over_a_time_in_which_nothing_was_measured() -> None:
    points = [trend_point(made.point(second, tokens_per_s_total=7.0)) for second in (1, 2, 9)]
    moments = [point and round(point[0]) for point in curve(points, "tokens_per_s_total", made.START_NS)]
    assert moments == [1, 2, None, 9]
