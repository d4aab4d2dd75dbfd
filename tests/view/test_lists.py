"""Requests and log: what comes again is counted, filters, search, following, copying; by key on the live screen."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.fakes import snapshots
from tests.view.live_app import LiveApp
from tui.core.outcome import Outcome
from tui.metrics.reading import Event
from tui.metrics.snapshot import FailureReport, Phase, RequestRow, Snapshot
from tui.view.clipboard import MOST_BYTES, hears_osc_52
from tui.view.panes.list_pane import ListPane, marked
from tui.view.panes.log import LogPane, folded
from tui.view.panes.requests import RequestsPane
from tui.view.screens.replay import ReplayScreen
from tui.view.widgets.lines import Ink, flowed, text_of, width_of


def event(at: int, text: str, source: str = "engine", level: str = "info") -> Event:
    return Event(at_ns=at, source=source, text=text, level=level)


def logged(*events: Event) -> Snapshot:
    return msgspec.structs.replace(snapshots.mid_ramp(), log=list(events))


def on_paper(pane: ListPane, snapshot: Snapshot) -> ListPane:
    """Return the pane with a snapshot and without a screen."""
    pane.snapshot = snapshot
    pane.redraw = lambda: None  # type: ignore[method-assign]
    return pane


def texts(pane: ListPane, snapshot: Snapshot, rows: int = 30) -> list[str]:
    return text_of(pane.lines(snapshot, 100, rows)).splitlines()


def test_lines_of_the_servers_log_that_differ_in_numbers_are_one_row_and_own_words_are_taken_as_they_are() -> None:
    server = [event(at, f"INFO: 127.0.0.1:{30000 + at} POST /v1 200", "server") for at in range(8)]
    own = [event(10, "16 x 296: 4.31 s", "cell"), event(11, "32 x 296: 5.02 s", "cell")]
    tries = [event(20 + at, text) for at, text in enumerate(["stopped", "relaunch failed: no"] * 3)]
    assert [(one.text, times) for one, times in folded([*server, *own, *tries])] == [
        ("INFO: 127.0.0.1:30007 POST /v1 200", 8),
        ("16 x 296: 4.31 s", 1),
        ("32 x 296: 5.02 s", 1),
        ("stopped", 3),
        ("relaunch failed: no", 3),
    ]
    apart = [event(0, "stopped"), *(event(at, f"{at} users") for at in range(1, 9)), event(9, "stopped")]
    assert [times for one, times in folded(apart) if one.text == "stopped"] == [1, 1]


def test_the_log_is_what_happened_first_and_the_servers_own_lines_by_the_filter() -> None:
    snapshot = logged(
        event(1, "starting: vllm serve m"),
        event(2, "INFO Loading weights", "server"),
        event(3, "WARNING slow tokenizer", "server", "warning"),
        event(4, "out of memory", "engine", "error"),
    )
    pane = on_paper(LogPane(), snapshot)
    seen = []
    for _ in pane.FILTERS:
        seen.append([text[17:].strip() for text in texts(pane, snapshot)])
        pane.next_filter()
    assert seen == [
        ["starting: vllm serve m", "FAILED out of memory"],
        ["WARNING slow tokenizer", "FAILED out of memory"],
        ["INFO Loading weights", "WARNING slow tokenizer"],
        ["starting: vllm serve m", "INFO Loading weights", "WARNING slow tokenizer", "FAILED out of memory"],
    ]
    assert pane.chosen == 0


def test_the_cause_stands_above_the_log_of_a_server_that_is_down() -> None:
    failure = FailureReport(failure="oom-kv", summary="The KV cache does not fit", line="l", advice="Lower it.")
    base = logged(*(event(at, f"said {at}") for at in range(40)))
    server = msgspec.structs.replace(base.server, phase=Phase.FAILED, failure=failure)
    down = msgspec.structs.replace(base, server=server)
    assert texts(LogPane(), down, 12)[:2] == ["cause  The KV cache does not fit", "       Lower it."]
    assert texts(LogPane(), down, 12)[-1].endswith("said 39")
    back = msgspec.structs.replace(base, server=msgspec.structs.replace(server, phase=Phase.READY))
    assert "cause" not in texts(LogPane(), back, 12)[0]


def failed_request(number: int, error: str, users: int = 64) -> RequestRow:
    return RequestRow(
        request_id=number, at_ns=number, outcome=Outcome.HTTP_ERROR, users=users, prompt_tokens=31, error=error
    )


def test_requests_that_failed_alike_are_one_row_even_with_others_between_them() -> None:
    rows = [
        failed_request(9, "HTTP 503: queue 17"),
        failed_request(8, "HTTP 500"),
        failed_request(7, "HTTP 503: queue 4"),
    ]
    rows.append(failed_request(6, "HTTP 503: queue 2", users=32))
    snapshot = msgspec.structs.replace(snapshots.mid_ramp(), requests_failed=rows)
    pane = on_paper(RequestsPane(), snapshot)
    assert pane.next_filter() == "failed"
    shown = texts(pane, snapshot)[1:]
    assert [line.split()[0] for line in shown] == ["2", "8", "6"]
    assert shown[0].startswith("2 × http-error: HTTP 503: queue 17  64 users × 31 tok, latest #9")
    assert pane.next_filter() == "answered"
    assert all(" ok " in line for line in texts(pane, snapshot)[1:])


def test_found_rows_are_walked_from_the_newest_on_round_and_round_and_come_into_view() -> None:
    snapshot = logged(
        *(event(at, f"{'oom' if at % 20 == 0 else 'said'} at {chr(97 + at % 20)}{at}") for at in range(100))
    )
    pane = on_paper(LogPane(), snapshot)
    texts(pane, snapshot, 10)
    assert pane.find("OOM") == 5
    walked = []
    for _ in range(6):
        which, of = pane.find_next(1)
        assert of == 5
        walked.append(which)
        assert any("oom" in line for line in texts(pane, snapshot, 10))
    assert walked == [1, 2, 3, 4, 5, 1]
    assert pane.find_next(-1) == (5, 5)
    assert "oom: 5 rows" in pane.title(snapshot).lower()
    assert pane.unpick() and not pane.words
    assert "gone back" in pane.title(snapshot)
    assert pane.unpick() and "gone back" not in pane.title(snapshot)
    assert not pane.unpick()


def test_a_list_stays_where_it_was_left_while_rows_come_and_old_ones_fall_out() -> None:
    events = [event(at, f"said {chr(97 + at % 26)}") for at in range(60)]
    pane = on_paper(LogPane(), logged(*events))
    texts(pane, logged(*events), 5)
    pane.move(0, -10)
    before = texts(pane, logged(*events), 5)
    later = logged(*events[20:], *(event(at, f"later {at}") for at in range(60, 70)))
    assert texts(pane, later, 5) == before
    pane.snapshot = later
    pane.go_to_end(newest=False)
    assert texts(pane, later, 5)[0].endswith(texts(pane, logged(*events[20:25]), 5)[0][-6:])
    pane.go_to_end(newest=True)
    assert texts(pane, later, 5)[-1].endswith("later 69")


def test_moments_with_several_lines_are_walked_line_by_line() -> None:
    snapshot = logged(*(event(at // 4, f"line {chr(97 + at)}") for at in range(20)))
    pane = on_paper(LogPane(), snapshot)
    texts(pane, snapshot, 4)
    last = []
    for _ in range(17):
        last.append(texts(pane, snapshot, 4)[-1][-1])
        pane.move(0, -1)
    assert "".join(last) == "tsrqponmlkjihgfed"[: len(last)]


@pytest.mark.parametrize(
    ("spans", "words", "found"),
    [
        (["out of ", "memory"], "of mem", "of mem"),
        (["OOM oom"], "oom", "OOMoom"),
        (["nothing"], "x", ""),
        (["İstanbul oom"], "oom", ""),  # its small form is longer
    ],
)
def test_words_are_marked_where_they_stand(spans: Sequence[str], words: str, found: str) -> None:
    line = marked([(span, Ink.DIM) for span in spans], words, Ink.BADGE)
    assert "".join(text for text, ink in line if ink is Ink.BADGE) == found
    assert "".join(text for text, _ in line) == "".join(spans)


async def test_keys_filter_search_and_walk_and_a_search_of_a_chart_goes_to_the_log() -> None:
    base = snapshots.mid_ramp()
    app = LiveApp(base)
    async with app.run_test(size=(160, 45)) as pilot:
        await pilot.press("1", "/", *"kv")
        await pilot.pause()
        assert app.live.active.NAME == "log"
        assert "search the log" in app.picture() and "/kv" in app.picture()
        assert app.sent == []
        await pilot.press("enter", "f", "5", "f")
        await pilot.pause()
        log, requests = (
            next(pane for pane in app.live.panes if isinstance(pane, kind)) for kind in (LogPane, RequestsPane)
        )
        assert (log.FILTERS[log.chosen], requests.FILTERS[requests.chosen]) == ("warnings and errors", "failed")
        assert log.words == "kv"
        await pilot.press("6", "escape")
        assert log.words == ""
        await pilot.press("/", *"x+", "escape", "+")
        await pilot.pause()
        assert log.words == "" and len(app.sent) == 1


async def test_in_a_replay_f_filters_a_list_and_plays_faster_elsewhere() -> None:
    app = LiveApp(snapshots.full_grid(), ReplayScreen())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("6", "f")
        log = next(pane for pane in app.live.panes if isinstance(pane, LogPane))
        assert log.chosen == 1


@pytest.mark.parametrize(
    ("environ", "hears"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "tmux-256color"}, True),
        ({"TERM": "linux"}, False),
        ({"TERM": "vt220"}, False),
        ({}, False),
        ({"TERM": "screen", "STY": "1.pts"}, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "Apple_Terminal"}, False),
    ],
)
def test_a_clipboard_is_expected_of_terminals_that_have_one(environ: dict[str, str], hears: bool) -> None:
    assert hears_osc_52(environ) is hears


async def test_copies_go_to_the_terminal_or_to_a_file_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.view.clipboard.cache_dir", lambda: tmp_path)
    monkeypatch.setenv("TERM", "xterm-256color")
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(160, 45)) as pilot:
        await pilot.press("6", "y")
        await pilot.pause()
        assert "log: copied as text" in app.picture()
        assert "what happened" in app.clipboard and not list(tmp_path.iterdir())
        monkeypatch.setenv("TERM", "linux")
        await pilot.press("y")
        await pilot.pause()
        assert f"log: written to {tmp_path}" in app.picture()
        assert (tmp_path / "copied-log.txt").read_text() == app.clipboard
        numbers = itertools.count()
        long = logged(*(event(next(numbers), "x" * 900 + chr(97 + at % 26), "engine") for at in range(200)))
        monkeypatch.setenv("TERM", "xterm")
        app.live.show(long)
        await pilot.pause()
        await pilot.press("y")
        await pilot.pause()
        assert len((tmp_path / "copied-log.txt").read_bytes()) > MOST_BYTES
        monkeypatch.setattr("tui.view.clipboard.cache_dir", lambda: tmp_path / "gone")
        await pilot.press("y")
        await pilot.pause()
        assert "gone" in app.picture()


def test_a_warning_is_told_whole_over_several_lines_and_the_oldest_as_far_as_there_is_room() -> None:
    cause = "64 users x 480 tokens: oom-runtime: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.21 GiB"
    pane, snapshot = (
        LogPane(),
        logged(event(1, cause, "cell", "warning"), event(2, "8 users", "load"), event(3, "gone")),
    )
    lines = text_of(pane.lines(snapshot, 56, 5)).splitlines()
    assert len(lines) == 5 and lines[0].split()[1] == "cell" and lines[3].endswith("8 users")
    assert " ".join(line[17:] for line in lines[:3]) == cause
    assert all(not line[:17].strip() for line in lines[1:3])
    few = text_of(pane.lines(snapshot, 56, 3)).splitlines()
    assert "oom-runtime" in few[0] and few[0].endswith("…") and few[2].endswith("gone")
    pane.snapshot = snapshot
    pane.redraw = lambda: None  # type: ignore[method-assign]
    pane.move(0, -9)
    assert "CUDA" in text_of(pane.lines(snapshot, 56, 3)) and "gone" not in text_of(pane.lines(snapshot, 56, 3))


@pytest.mark.parametrize("width", range(4, 40))
def test_a_line_that_flows_keeps_to_its_width_and_all_of_its_words(width: int) -> None:
    words = "one two three fourfive six seven"
    lines = flowed([("a ", Ink.DIM), (words, Ink.PLAIN)], width, 2, 99)
    assert all(width_of(line) <= width for line in lines)
    assert "".join("".join(text for text, _ in line) for line in lines).replace(" ", "") == f"a{words}".replace(" ", "")
    cut = flowed([("a ", Ink.DIM), (words, Ink.PLAIN)], width, 2, 2)
    assert len(cut) <= 2 and all(width_of(line) <= width for line in cut)
    assert (len(lines) <= 2) or text_of(cut).rstrip().endswith("…")
