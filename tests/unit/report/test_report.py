"""The report: whole, escaped, marked, self-contained."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tests.unit.session import made
from tui.core.errors import SessionError, UsageError
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.limits import Limit, Verdict
from tui.metrics.snapshot import FailureReport, Phase, ServerStatus
from tui.profile.catalogue import find, published_table
from tui.report import charts, tables
from tui.report.facts import MOST_ENDS, facts_of
from tui.report.report import write_report
from tui.report.tables import SHADES, shade
from tui.session.export_toml import profile_table, profile_toml
from tui.session.store import SessionWriter
from tui.session.tables import REQUESTS

HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&\x1b[31m"
_SPREAD = Distributions(
    ttft=Distribution.of_ordered_s([0.1, 0.1, 0.2]), itl=None, e2e=Distribution.of_ordered_s([1.0, 1.5, 9.0])
)


class _Page(HTMLParser):
    """What a page holds."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.scripts: list[str] = []
        self._within = ""
        self.feed(text)

    @property
    def ids(self) -> list[str]:
        return [value for name, value in self.attributes if name == "id"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        self._within = tag

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts.append(data)
        elif self._within != "style":
            self.words += data


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _cells(text: str) -> list[CellResult]:
    verdict = Verdict(limit=Limit.DECODE, sentence=text, evidence=[text])
    return [
        made.cell(1, 31, verdict=verdict, distributions=_SPREAD, caveats=text),
        made.cell(2, 31, time_to_resolve_s=3.0, tokens_per_s_total=60.0, verdict=verdict),
        made.cell(1, 63, time_to_resolve_s=0.6),
        made.cell(2, 63, outcome=Outcome.OOM_KV, evidence=text, time_to_resolve_s=None, tokens_per_s_total=None),
    ]


def _session(path: Path, text: str = "as it says", *, simulated: bool = True) -> Path:
    meta = made.meta(
        simulated=simulated,
        profile_title=text,
        gpu_summary=text,
        gpu_note=text,
        command_line=text,
        environment={text: text},
        engine=text,
    )
    writer = SessionWriter(path, meta)
    writer.add_requests(
        [
            *(made.request(number) for number in range(1, 4)),
            *(made.request(number, outcome=Outcome.HTTP_ERROR, http_status=500, error=text) for number in (4, 5)),
        ]
    )
    for number, cell in enumerate(_cells(text), start=1):
        writer.add_cell(cell, made.START_NS + number)
    for second in range(1, 20):
        writer.add_series(made.point(second, tokens_per_s_total=10.0 * second))
        writer.add_gpus([msgspec.structs.replace(made.gpu(second), name=text, vram_used_bytes=second * 10**9)])
    writer.add_event(msgspec.structs.replace(made.event(5, text), level="warning", source=text))
    failure = FailureReport(failure=text, summary=text, line=text, advice=text)
    writer.set_server(ServerStatus(phase=Phase.FAILED, failure=failure, version=text, model=text), made.START_NS)
    writer.close(text)
    assert writer.failure == ""
    return path


def _report(path: Path, out: Path) -> tuple[str, _Page]:
    text = write_report([path], out).read_text(encoding="utf-8")
    return text, _Page(text)


def test_a_report_tells_what_the_session_holds(tmp_path: Path) -> None:
    _, page = _report(_session(tmp_path / "s.vramp", "so it went"), tmp_path / "r.html")
    for words in (
        "The grid",
        "Time to resolve by users",
        "Time to resolve by prompt size",
        "Tokens/s in total",
        "VRAM used",
        "What failed",
        "oom-kv",
        "so it went",
        "Limited by: decode",
        "vramp run ./demo.toml",
        "3requests answered, 2 failed",
    ):
        assert words in page.words, words
    # Two figures by size, three over time, two histograms of the one cell that has them.
    assert page.tags["svg"] == 7
    assert page.tags["details"] >= 4
    links = {value[1:] for name, value in page.attributes if name == "href"}
    assert links
    assert links <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_nothing_of_a_hostile_file_is_more_than_text(tmp_path: Path) -> None:
    text, page = _report(_session(tmp_path / "s.vramp", HOSTILE), tmp_path / "r.html")
    assert page.tags["script"] == 1
    assert page.tags["img"] == page.tags["iframe"] == page.tags["object"] == 0
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "\x1b" not in text
    assert "<img src=x onerror" in page.words  # told, as words
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = (value for name, value in page.attributes if name == "content" and "script-src" in value)
    assert f"script-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_a_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    text, page = _report(_session(tmp_path / "s.vramp"), tmp_path / "r.html")
    assert not re.search(r"url\(|@import|https?://", text)
    fetching = [(name, value) for name, value in page.attributes if name in ("src", "href", "srcset", "data", "action")]
    assert all(name == "href" and value.startswith("#") for name, value in fetching)


def test_simulated_figures_say_so_wherever_they_stand(tmp_path: Path) -> None:
    text, _ = _report(_session(tmp_path / "s.vramp"), tmp_path / "r.html")
    parts = re.findall(r"<svg.*?</svg>|<caption>.*?</caption>|<title>[^<]*</title><style>", text, re.DOTALL)
    assert len(parts) > 7
    told_of_what_happened = re.compile("<caption>(Warnings|Cells|Requests)")
    for part in parts:
        assert "SIMULATED" in part or told_of_what_happened.match(part), part[:200]
    real, _ = _report(_session(tmp_path / "real.vramp", simulated=False), tmp_path / "real.html")
    assert "SIMULATED" not in real


def test_cells_that_lie_apart_make_no_endless_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made.session(tmp_path / "s.vramp", cells=[made.cell(number, number) for number in range(1, 7)])
    assert "The grid" in _report(path, tmp_path / "r.html")[1].words
    monkeypatch.setattr(tables, "MOST_PLACES", 35)
    _, page = _report(path, tmp_path / "r.html")
    assert "The grid" not in page.words
    assert page.words.count("6 prompt tokens: ok") == 1


def test_several_sessions_are_parts_of_one_page(tmp_path: Path) -> None:
    paths = [_session(tmp_path / "a.vramp", "first"), _session(tmp_path / "b.vramp", "second")]
    page = _Page(write_report(paths, tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.tags["main"] == 2
    assert page.tags["script"] == page.tags["style"] == 1
    assert len(page.ids) == len(set(page.ids))


def test_a_session_without_anything_is_told_too(tmp_path: Path) -> None:
    writer = SessionWriter(tmp_path / "s.vramp", made.meta(profile_json=""))
    writer.close("stopped")
    _, page = _report(tmp_path / "s.vramp", tmp_path / "r.html")
    assert "No cell was measured." in page.words
    assert page.tags["svg"] == 0


def test_a_report_is_whole_or_not_there(tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("before")
    (tmp_path / "bad.vramp").write_text("no")
    good = _session(tmp_path / "s.vramp")
    with pytest.raises(SessionError):
        write_report([good, tmp_path / "bad.vramp"], out)
    assert out.read_text() == "before"
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        write_report([good], tmp_path / "file" / "r.html")


def test_alike_ends_of_requests_are_counted_together(tmp_path: Path) -> None:
    facts = facts_of(_session(tmp_path / "s.vramp", "no room"))
    assert [(end.outcome, end.http_status, end.error, end.count) for end in facts.ends] == [
        ("ok", 200, "", 3),
        ("http-error", 500, "no room", 2),
    ]
    assert facts.ends[0].first_ns == made.request(1).end_ns


def test_many_requests_are_counted_by_the_database_in_a_moment(tmp_path: Path) -> None:
    """A tenth of a million, and half the time of a machine that has nothing else to do."""
    count = 100_000
    path = made.session(tmp_path / "s.vramp", requests=[made.request(1)])
    with made.altered(path) as connection:
        names = ", ".join(f'"{name}"' for name in REQUESTS.declarations() if name != "end_ns")
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
            f"INSERT INTO requests ({names}, end_ns) SELECT {names}, end_ns + i * 1000 FROM requests, n"
        )
        connection.execute(
            "UPDATE requests SET outcome = 'timeout', error = 'none after ' || (rowid % 5000) WHERE rowid % 10 = 0"
        )
    steps: list[str] = []
    before = time.process_time()
    page = _Page(write_report([path], tmp_path / "r.html", steps.append).read_text(encoding="utf-8"))
    assert time.process_time() - before < 1.0
    assert len(steps) >= 4
    assert "90,000requests answered, 10,000 failed" in page.words
    # Those that are listed, each twenty times, and the rest: all that failed.
    assert f"{10_000 - (MOST_ENDS - 1) * 20:,} more failed in other words" in page.words


def _beside(path: Path, reference: str | None) -> Path:
    """Keep a session whose sizes are those of the published table mistral-7b."""
    profile = made.PROFILE.model_dump(mode="json")
    if reference is not None:
        profile["reference"] = {"table": reference}
    table = published_table("mistral-7b")
    cells = [
        made.cell(users, prompt, time_to_resolve_s=1.1 * (known.seconds or 1.0))
        for (users, prompt), known in table.cells.items()
        if known.outcome == "ok"
    ]
    writer = SessionWriter(path, made.meta(profile_json=json.dumps(profile)))
    for number, cell in enumerate(cells, start=1):
        writer.add_cell(cell, made.START_NS + number)
    writer.close("finished")
    assert writer.failure == ""
    return path


def test_the_points_of_the_reference_lie_in_the_figures_beside_our_own(tmp_path: Path) -> None:
    without, _ = _report(_beside(tmp_path / "a.vramp", None), tmp_path / "a.html")
    text, page = _report(_beside(tmp_path / "b.vramp", "mistral-7b"), tmp_path / "b.html")
    assert page.words.count("Dashed: the published table mistral-7b") == 2
    for number, chart in enumerate(re.findall(r"<svg.*?</svg>", text, re.DOTALL)[:2]):
        drawn = re.findall(r'class="series serie-\d+ (color-\d+)( beside)?">(.*?)</g></g>', chart, re.DOTALL)
        own = [colour for colour, beside, _ in drawn if not beside]
        theirs = [colour for colour, beside, _ in drawn if beside]
        assert theirs and set(theirs) <= set(own), (number, "each in the colour of its line")
        legend = re.findall(r'class="legend ', chart)
        assert len(legend) == len(set(own)), "no line stands twice in the legend"
    assert "beside" not in "".join(re.findall(r"<svg.*?</svg>", without, re.DOTALL))
    assert "Dashed:" not in without


def test_cells_without_a_histogram_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _session(tmp_path / "s.vramp")
    _, page = _report(path, tmp_path / "r.html")
    assert "was not kept of 1 × 63, 2 × 31: no histograms of these." in page.words
    monkeypatch.setattr("tui.report.page._MOST_PICTURES", 1)
    _, page = _report(path, tmp_path / "r.html")
    assert (
        "Histograms are drawn of the first 1 cells, before 1 users × 63 prompt tokens; 3 cells have none." in page.words
    )


def test_vram_is_the_most_of_each_stretch(tmp_path: Path) -> None:
    points = facts_of(_session(tmp_path / "s.vramp")).vram
    assert [point.used_bytes for point in points] == [second * 10**9 for second in range(1, 20)]
    assert {point.place for point in points} == {"0"}


def test_vram_of_many_cards_is_a_line_for_each_host(tmp_path: Path) -> None:
    writer = SessionWriter(tmp_path / "s.vramp", made.meta())
    for second in range(1, 20):
        cards = [
            msgspec.structs.replace(made.gpu(second, index), host=host, vram_total_bytes=40 * 10**9)
            for host in ("node10", "node2")
            for index in range(8)
        ]
        writer.add_gpus([msgspec.structs.replace(card, vram_used_bytes=second * 10**9) for card in cards])
    writer.close("finished")
    text, _ = _report(tmp_path / "s.vramp", tmp_path / "r.html")
    assert "node2 of 320 GB" in text and "node10 of 320 GB" in text and "GPU node2/0" not in text
    assert text.index("node2 of 320 GB") < text.index("node10 of 320 GB")


@pytest.mark.parametrize("name", ["demo", "mistral-7b"])
def test_the_profile_of_a_report_is_one_that_runs(tmp_path: Path, name: str) -> None:
    profile = find(name).profile
    assert profile is not None
    path = tmp_path / f"{name}.toml"
    path.write_text(profile_toml(profile_table(profile.model_dump_json())))
    again = find(str(path))
    assert not again.problems
    assert again.profile == profile


@pytest.mark.parametrize(("more", "best"), [(False, 1.0), (True, 100.0)])
def test_shades_go_from_the_best_to_the_worst(more: bool, best: float) -> None:
    values = [1.0, 10.0, 100.0]
    shades = {value: shade(value, values, more=more) for value in values}
    assert shades[best] == 0
    assert shades[10.0] == SHADES // 2
    assert max(shades.values()) == SHADES - 1
    assert shade(0.0, [0.0, 4.0], more=more) in (0, SHADES - 1)  # no logarithm of nothing


def test_charts_are_shapes_and_words_alone() -> None:
    lines: list[charts.Line] = [(HOSTILE, [(1, 1.0), (2, 2.0), None, (8, 300.0)]), ("", [(1, 0.001)])]
    drawn = [
        charts.by_size("t", lines, "x", "y"),
        charts.over_time("t", lines, "y", 10.0, [(3.0, HOSTILE)]),
        charts.histogram("t", Distribution.of_ordered_s([0.1, 0.2, 0.2, 5.0])),
    ]
    for chart in drawn:
        assert chart is not None
        assert {shape.tag for shape in chart.iter()} <= {"svg", "g", "rect", "path", "text", "title", "circle"}
        assert not [name for shape in chart.iter() for name in shape.attrib if name.startswith("on") or name == "id"]
    assert charts.by_size("t", [("no points", [])], "x", "y") is None
    assert charts.over_time("t", [("gaps only", [None])], "y", 10.0) is None
    assert charts.histogram("t", None) is None


def test_a_point_lies_where_its_value_says() -> None:
    chart = charts.by_size("t", [("one", [(1, 1.0), (10, 10.0), (100, 100.0)])], "x", "y")
    assert chart is not None
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in chart.iter("circle")]
    (x0, y0), (x1, y1), (x2, y2) = dots
    # Logarithmic on both axes: the middle of three powers of ten is in the middle.
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.2)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.2)
    assert y0 > y1 > y2
    assert {"1", "10", "100"} <= {text.text for text in chart.iter("text")}
