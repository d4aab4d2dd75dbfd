from __future__ import annotations

import csv
import html.parser
import json
import re
import time
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.session import made
from tui.core.clock import NS_PER_S
from tui.core.errors import SessionError, UsageError
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import FailureReport, Phase, ServerStatus
from tui.session import export_csv, export_toml, imported
from tui.session import grid_table as tables
from tui.session.export import export_folder, export_session
from tui.session.grid_table import grid_html, grid_markdown, grid_table
from tui.session.meta import wall_time, wall_times
from tui.session.reader import SessionReader
from tui.session.references import NOTHING_BESIDE
from tui.session.store import SessionWriter
from tui.session.tables import REQUESTS


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _export(path: Path, *formats: str) -> Path:
    folder = path.parent / "out"
    export_session(path, folder, formats=formats or ("toml", "csv"))
    return folder


# -- TOML ----------------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(made.any_cells(max_size=4))
def test_an_export_read_back_gives_the_same_numbers(
    tmp_path_factory: pytest.TempPathFactory, cells: list[CellResult]
) -> None:
    path = made.session(tmp_path_factory.mktemp("s") / "a.vramp", cells=cells)
    session = imported.read(_export(path, "toml") / "session.toml")
    assert session.cells == made.text_cleaned(cells)


def test_the_toml_says_where_its_figures_come_from(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta(command_line="vllm serve m"))
    failure = FailureReport(failure="oom-kv", summary="The KV cache does not fit", line="ValueError", advice="less")
    writer.set_server(ServerStatus(phase=Phase.FAILED, version="0.11", failure=failure, missing=["no /metrics"]))
    writer.add_cell(made.cell(2, outcome=Outcome.OOM_KV, evidence="line 7", time_to_resolve_s=None))
    writer.close("finished")
    text = (_export(path, "toml") / "session.toml").read_text()
    assert "SIMULATED" in text
    document = tomllib.loads(text)
    assert document["format_version"] == 1
    assert document["simulated"] is True
    assert document["session"]["id"] == made.meta().session_id
    assert (document["session"]["state"], document["session"]["ended_how"]) == ("ended", "finished")
    assert document["session"]["command_line"] == "vllm serve m"
    assert document["profile"]["load"]["users"] == [1, 2]
    assert document["environment"] == {"python": "3.11"}
    assert document["server"]["failure"]["summary"] == "The KV cache does not fit"
    (cell,) = document["cells"]
    assert (cell["outcome"], cell["evidence"], cell["measured"], cell["simulated"]) == ("oom-kv", "line 7", True, True)
    assert "time_to_resolve_s" not in cell
    back = imported.loads(text, "x")
    assert back.server is not None and back.server.failure == failure


def test_what_was_not_measured_is_never_exported_as_measured(tmp_path: Path) -> None:
    implied = made.cell(2, outcome=Outcome.IMPLIED, evidence="since 1 x 31 ended with oom-kv", ttft_p50_s=1.0)
    folder = _export(made.session(tmp_path / "a.vramp", cells=[implied]))
    (table,) = tomllib.loads((folder / "session.toml").read_text())["cells"]
    (row,) = _rows(folder / "cells.csv")
    assert table["outcome"] == row["outcome"] == "implied"
    assert table["measured"] is False and row["measured"] == "false"
    assert table["evidence"] == row["evidence"] == "since 1 x 31 ended with oom-kv"
    for name in CellResult.__struct_fields__:
        if name.endswith(("_s", "_total", "_per_user")) and name != "started_at_ns":
            assert name not in table
            assert row[name] == ""
    assert imported.read(folder / "session.toml").cells[0].time_to_resolve_s is None


_GOOD = """format_version = 1
simulated = false
[session]
id = "a"
started_at = "2026-11-20T18:04:00+00:00"
state = "ended"
vramp_version = "0.1.0"
profile_name = "demo"
engine = "vllm"
[[cells]]
users = 1
prompt_tokens = 31
output_tokens = 100
mode = "burst"
outcome = "ok"
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "format_version"),
        ("format_version = 2", "found 2, expected 1"),
        ("format_version = true", "format_version"),
        ("not toml", "x.toml"),
        ("format_version = 1", "simulated"),
        (_GOOD.replace('mode = "burst"', ""), "mode"),
        (_GOOD.replace("users = 1", 'users = "1"'), "users"),
        (_GOOD.replace("users = 1", "users = -1"), "cells[0].users: found -1"),
        (_GOOD.replace("users = 1", "users = 99999999999999999999"), "cells[0].users"),
        (_GOOD.replace("users = 1", "user = 1"), "cells[0].user: found an unknown key; did you mean users?"),
        (_GOOD + "ttft_p50_s = nan\n", "cells[0].ttft_p50_s: found nan"),
        (_GOOD + "ttft_p50_s = -inf\n", "cells[0].ttft_p50_s: found -inf"),
        (_GOOD + "measured = false\n", "cells[0].measured"),
        (_GOOD.replace('"ok"', '"implied"'), "cells[0].measured"),
        (_GOOD.replace('"ok"', '"splendid"'), "splendid"),
        (_GOOD.replace("[[cells]]", "[cells]"), "cells: expected a list"),
        ("cells = [1]\n" + _GOOD.replace("[[cells]]", "[x]"), "unknown key"),
        ("format_version = 1\ncells = [1]\n", "cells[0]: expected a table"),
        (_GOOD.replace("[session]", "[session]\nsecrets = 1"), "session.secrets: found an unknown key"),
        ("x = " + "[" * 5000, "x.toml"),
        ('format_version = 1\n"\\u001b[31m" = 1\n', "unknown key"),
    ],
)
def test_what_is_no_export_is_told_in_a_sentence(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(SessionError) as failure:
        imported.read(path)
    assert told in str(failure.value)
    assert str(failure.value).startswith(str(path))
    assert "\x1b" not in str(failure.value) and len(str(failure.value)) < 700


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"\x00" * 100])
def test_files_that_are_no_text_are_told(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.toml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(SessionError, match=r"x\.toml"):
        imported.read(path)


def test_an_exported_file_can_be_made_a_table_but_not_more(tmp_path: Path) -> None:
    toml = _export(made.session(tmp_path / "a.vramp"), "toml") / "session.toml"
    (written,) = export_session(toml, tmp_path / "again", formats=("md",))
    assert "0\\.3" in written.read_text() or "0.3" in written.read_text()
    with pytest.raises(UsageError, match="md or html"):
        export_session(toml, tmp_path / "again")


# -- CSV -----------------------------------------------------------------------------------------------------------


def _same(text: str, value: Any) -> bool:
    if value is None:
        return text == ""
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, float):
        return float(text) == value
    return text == str(value)


@settings(max_examples=30, deadline=None)
@given(made.any_cells(max_size=3), st.lists(made.any_request(), max_size=3))
def test_csv_has_every_number_in_full(
    tmp_path_factory: pytest.TempPathFactory, cells: list[CellResult], requests: list[Any]
) -> None:
    folder = _export(made.session(tmp_path_factory.mktemp("s") / "a.vramp", cells=cells, requests=requests), "csv")
    rows = _rows(folder / "cells.csv")
    assert len(rows) == len(cells)
    for row, cell in zip(rows, cells, strict=True):
        for name in export_csv.CELLS:
            value = getattr(cell, name, None)
            if isinstance(value, int | float) and name not in ("simulated", "started_at_ns"):
                assert _same(row[name], value), name
    rows = _rows(folder / "requests.csv")
    assert len(rows) == len(requests)
    for row, record in zip(rows, sorted(requests, key=lambda r: r.end_ns), strict=True):
        for name in ("request_id", "ttft_s", "e2e_s", "tpot_s", "output_tokens", "client_delay_s"):
            # Requests that ended at the same moment keep the order in which they came.
            assert _same(row[name], getattr(record, name)), name


def test_csv_tells_times_from_the_start_of_the_session_and_by_the_wall(tmp_path: Path) -> None:
    folder = _export(made.session(tmp_path / "a.vramp"), "csv")
    request = _rows(folder / "requests.csv")[0]
    assert request["intended_start_at_s"] == "1.0"
    assert request["first_token_at_s"] == "1.1"
    assert request["start_at"] == "2026-11-20T18:04:01.000+00:00"
    assert request["itl_mean_s"] == request["itl_max_s"] == "0.1"
    assert (request["users"], request["simulated"], request["profile"]) == ("1", "true", "demo")
    for name in ("series.csv", "gpus.csv"):
        (row,) = _rows(folder / name)
        assert (row["at_s"], row["at"], row["simulated"]) == ("1.0", "2026-11-20T18:04:01.000+00:00", "true")


def test_a_time_scale_stretches_the_session_but_not_the_wall(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta(time_scale=10.0))
    writer.add_series(made.point(20))
    writer.close("finished")
    (row,) = _rows(_export(path, "csv") / "series.csv")
    assert (row["at_s"], row["at"]) == ("20.0", "2026-11-20T18:04:02.000+00:00")


def test_moments_that_no_calendar_holds_are_left_out(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp", requests=[made.request(1, start_ns=2**62, end_ns=2**63 - 1)])
    assert _rows(_export(path, "csv") / "requests.csv")[0]["start_at"] != ""
    meta = made.meta(started_at="once upon a time")
    assert wall_time(meta, made.START_NS) == ""
    assert wall_time(made.meta(started_at="9999-12-31T23:59:59+00:00"), 2**62) == ""


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x1b[0m=1", "＝1", '=HYPERLINK("http://x")', "\n=1"],
)
def test_formulas_are_defused(tmp_path: Path, text: str) -> None:
    requests = [made.request(1, error=text, outcome=Outcome.HTTP_ERROR)]
    cells = [made.cell(evidence=text, outcome=Outcome.HTTP_ERROR)]
    folder = _export(made.session(tmp_path / "a.vramp", requests=requests, cells=cells), "csv")
    for name, column in (("requests.csv", "error"), ("cells.csv", "evidence")):
        value = _rows(folder / name)[0][column]
        assert value.startswith("'")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", value)


@given(st.text(max_size=30))
def test_no_text_is_a_formula_or_has_control_characters(text: str) -> None:
    value = export_csv.defused(text)
    assert not value.lstrip().startswith(tuple("=+-@\t\r"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", value)


def test_plain_text_and_numbers_stay_as_they_are(tmp_path: Path) -> None:
    cells = [made.cell(evidence='HTTP 500, "a, b"\nand more', outcome=Outcome.HTTP_ERROR, energy_j=-1.5)]
    folder = _export(made.session(tmp_path / "a.vramp", cells=cells), "csv")
    row = _rows(folder / "cells.csv")[0]
    assert row["evidence"] == 'HTTP 500, "a, b"\nand more'
    assert row["energy_j"] == "-1.5"


# -- files ---------------------------------------------------------------------------------------------------------


def test_the_files_are_those_that_were_told_and_nothing_is_left(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    written = export_session(path, tmp_path / "out", formats=("toml", "csv", "md", "html"))
    names = ["session.toml", *export_csv.FILES, "grid.md", "grid.html"]
    assert [file.name for file in written] == names
    assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == sorted(names)


def test_a_grid_of_an_export_says_what_one_of_the_session_does(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta(time_scale=4.0))
    for cell in _CELLS:
        writer.add_cell(cell)
    writer.close("measured")
    export_session(path, tmp_path / "out", formats=("toml", "md", "html"))
    export_session(tmp_path / "out" / "session.toml", tmp_path / "again", formats=("md", "html"))
    for name in ("grid.md", "grid.html"):
        said = (tmp_path / "again" / name).read_text()
        assert said == (tmp_path / "out" / name).read_text()
        assert "4 to a real one" in said


def test_a_broken_export_leaves_what_was_there(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    folder = _export(path, "csv")
    before = (folder / "requests.csv").read_text()

    def rows() -> Any:
        yield {"a": 1}
        raise SessionError("damaged")

    with pytest.raises(SessionError):
        export_csv.write_rows(folder / "requests.csv", ["a"], rows())
    assert (folder / "requests.csv").read_text() == before
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(export_csv.FILES)


def test_a_link_in_the_folder_is_replaced_not_followed(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out" / "session.toml").symlink_to(tmp_path / "precious")
    _export(path, "toml")
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "out" / "session.toml").is_symlink()


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    path = made.session(tmp_path / "a.vramp")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        export_session(path, tmp_path / "file")
    with pytest.raises(UsageError, match="found xlsx, expected one of toml, csv, md, html"):
        export_session(path, tmp_path, formats=("xlsx",))


def test_a_running_session_can_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    writer = SessionWriter(path, made.meta())
    try:
        writer.add_cell(made.cell())
        writer.flush()
        session = imported.read(_export(path) / "session.toml")
    finally:
        writer.close("finished")
    assert session.session.state == "running" and session.cells == [made.cell()]


# -- grids ---------------------------------------------------------------------------------------------------------

_CELLS = [
    made.cell(1, 31),
    made.cell(2, 31, time_to_resolve_s=123.4),
    made.cell(2, 63, outcome=Outcome.OOM_KV, time_to_resolve_s=None),
    made.cell(1, 31, mode="steady", time_to_resolve_s=7.0),
]


def test_the_grid_is_a_table_per_mode() -> None:
    lines = grid_table(made.meta(), _CELLS, NOTHING_BESIDE).splitlines()
    assert lines[0].endswith("SIMULATED")
    assert [line.split() for line in lines if line.startswith(("  1", "   1", "    "))][:2] == [
        ["1", "0.3", "·"],
        ["2", "123", "oom-kv"],
    ]
    assert sum("mode" in line for line in lines) == 2
    assert "no cell was measured" in grid_table(made.meta(), [], NOTHING_BESIDE)


def test_the_table_says_below_it_what_must_be_known_to_read_it() -> None:
    cells = [
        msgspec.structs.replace(made.cell(), users=users, caveats="answers are short; \x1b[31mcounted by events")
        for users in (1, 2)
    ]
    text = grid_table(made.meta(), cells, NOTHING_BESIDE)
    assert text.splitlines()[-5:-2] == [
        f"1 × {cells[0].prompt_tokens}, 2 × {cells[0].prompt_tokens}: answers are short",
        "",
        f"1 × {cells[0].prompt_tokens}, 2 × {cells[0].prompt_tokens}: counted by events",
    ]


def test_the_grid_as_markdown_and_html_takes_no_markup_from_outside() -> None:
    meta = made.meta(profile_title="<script>x</script> | [a](b)\n# *b*")
    markdown = grid_markdown(meta, _CELLS, NOTHING_BESIDE)
    assert "\\<script\\>" in markdown and "\\[a\\]" in markdown and "\n# " not in markdown
    page = grid_html(meta, [made.cell(mode="<img>")], NOTHING_BESIDE)
    assert "<script>" not in page and "<img>" not in page
    parser = html.parser.HTMLParser()
    parser.feed(page)
    parser.close()
    assert "SIMULATED" in markdown and "SIMULATED" in page


def test_the_toml_of_a_hostile_profile_is_still_toml(tmp_path: Path) -> None:
    path = tmp_path / "a.vramp"
    hostile = '{"name": "a\\u0000b", "deep": {"x": [null, {"y": null}], "\\u001b[31m": 1}}'
    SessionWriter(path, made.meta(profile_json=hostile)).close("x")
    with SessionReader(path) as reader:
        document = tomllib.loads(export_toml.dumps(export_toml.exported(reader)))
    assert document["profile"] == {"name": "ab", "deep": {"x": [{}], "": 1}}
    assert made.START_NS == document["session"]["started_at_ns"] == 1000 * NS_PER_S


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [40, 300, 900, 100_000])
def test_a_profile_that_is_nested_without_end_is_left_out(tmp_path: Path, opening: str, depth: int) -> None:
    path = made.session(tmp_path / "a.vramp")
    closing = "]" if opening == "[" else "}"
    deep = '{"x":' + opening * depth + "1" + closing * depth + "}"
    with made.altered(path) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'profile_json'", (json.dumps(deep),))
    export_session(path, tmp_path / "out", formats=("toml", "csv", "md", "html"))
    assert tomllib.loads((tmp_path / "out" / "session.toml").read_text())["profile"] == {}


@pytest.mark.parametrize(
    ("name", "folder"), [("...vramp", "session"), ("....vramp", "session"), (".vramp", "vramp"), ("a.b.vramp", "a.b")]
)
def test_no_session_is_named_so_that_it_is_exported_elsewhere(name: str, folder: str) -> None:
    assert export_folder(Path("/sessions") / name) == folder


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NUL"):
        export_session(made.session(tmp_path / "a.vramp"), tmp_path / "a\0b")


@settings(max_examples=40, deadline=None)
@given(st.lists(made.any_request(), max_size=8))
def test_requests_in_bulk_say_what_their_records_say(
    tmp_path_factory: pytest.TempPathFactory, requests: list[RequestRecord]
) -> None:
    folder = tmp_path_factory.mktemp("s")
    path = made.session(folder / "a.vramp", requests=requests)
    with SessionReader(path) as reader:
        (written,) = [export_csv.write(reader, folder / "out")[1]]
        meta, records = reader.meta, list(reader.requests())
    rows = _rows(written)
    assert len(rows) == len(records)
    for row, record in zip(rows, records, strict=True):
        for name in ("request_id", "tag", "worker", "user", "prompt_tokens", "output_tokens", "events", "http_status"):
            value = getattr(record, name)
            assert row[name] == ("" if value is None else str(value))
        assert row["outcome"] == str(record.outcome) and row["error"] == export_csv.defused(record.error)
        for name in ("ttft_s", "e2e_s", "tpot_s", "itl_mean_s", "itl_max_s", "client_delay_s"):
            value = getattr(record, name)
            assert row[name] == ("" if value is None else repr(value)), name
        expected = wall_time(meta, record.start_ns)
        assert abs(datetime.fromisoformat(row["start_at"]) - datetime.fromisoformat(expected)) <= timedelta(
            milliseconds=1
        )


def test_wall_times_in_bulk_are_those_one_by_one() -> None:
    moments = [made.START_NS + n * 333_333_333 for n in range(-100, 1000)]
    for meta in (made.meta(), made.meta(time_scale=3.0), made.meta(started_at="2026-11-20T18:04:00-05:30")):
        assert wall_times(meta, moments) == [wall_time(meta, at_ns) for at_ns in moments]
    assert wall_times(made.meta(started_at="soon"), [1]) == [""]
    assert wall_times(made.meta(started_at="9999-12-31T23:59:59+00:00"), [2**62]) == [""]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("outcome", "'fine'"),
        ("start_ns", "-1"),
        ("start_ns", "'now'"),
        ("end_ns", "1.5"),
        ("events", "NULL"),
        ("error", "x'00'"),
        ("http_status", "-5"),
    ],
)
def test_a_wrong_value_among_many_is_one_clear_error(tmp_path: Path, column: str, value: str) -> None:
    path = made.session(tmp_path / "a.vramp", requests=[made.request(n) for n in range(20)])
    with made.altered(path) as connection:
        connection.execute(f"UPDATE requests SET {column} = {value} WHERE request_id = 11")
    with pytest.raises(SessionError, match=column):
        export_session(path, tmp_path / "out")
    assert not (tmp_path / "out" / "requests.csv").exists()


def test_a_million_requests_are_exported_in_seconds(tmp_path: Path) -> None:
    """A tenth of them here, and half the time of a machine that has nothing else to do."""
    count = 100_000
    path = made.session(tmp_path / "a.vramp", requests=[made.request(1)])
    with made.altered(path) as connection:
        names = ", ".join(f'"{name}"' for name in REQUESTS.declarations() if name != "end_ns")
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count - 1})"
            f"INSERT INTO requests ({names}, end_ns) SELECT {names}, end_ns + i * 1000 FROM requests, n"
        )
    shares: list[float] = []
    before = time.process_time()
    export_session(path, tmp_path / "out", formats=["csv"], on_progress=shares.append)
    assert time.process_time() - before < 4.0
    assert len(shares) >= 10 and shares == sorted(shares) and shares[-1] == 1.0
    assert (tmp_path / "out" / "requests.csv").read_bytes().count(b"\n") == count + 1


@pytest.mark.parametrize("render", [grid_table, grid_markdown, grid_html])
def test_cells_that_lie_apart_make_no_endless_grid(render: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [made.cell(number, number, time_to_resolve_s=float(number)) for number in range(1, 3001)]
    text = render(made.meta(), cells, NOTHING_BESIDE)
    assert len(text) < 400_000, "nine million places"
    assert "the first 2,000 of 3,000 cells, which lie too far apart for a grid" in text
    assert "2000" in text and "2001" not in text
    monkeypatch.setattr(tables, "MOST_PLACES", 3)
    few = render(made.meta(), cells[:2], NOTHING_BESIDE)
    assert "2 cells, which lie too far apart" in few
    assert "too far apart" not in render(made.meta(), cells[:1], NOTHING_BESIDE)
