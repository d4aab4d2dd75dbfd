"""The panes' lines: whatever the figures, they fit, and what must stand still does."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import HOSTILE
from tests.view import wire_app
from tests.view.live_app import LiveApp
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.hosts import HostReading
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.snapshot import (
    Figures,
    LatencyPoint,
    LoadStatus,
    Phase,
    RequestRow,
    ServerDeath,
    ServerStatus,
    Snapshot,
    SweepStatus,
)
from tui.view.panes.catalogue import PANES
from tui.view.panes.grid import GridPane
from tui.view.panes.header import ViewState, header_lines
from tui.view.panes.log import LogPane
from tui.view.panes.presentation import presentation_lines
from tui.view.panes.requests import RequestsPane
from tui.view.panes.server import ServerPane
from tui.view.panes.status_line import Said, status_line
from tui.view.panes.tiles import tile_lines
from tui.view.panes.vram import VramPane
from tui.view.screens.cell import cell_facts
from tui.view.widgets.big_digits import big
from tui.view.widgets.lines import Ink, text_of, width_of

NUMBER = st.one_of(st.none(), st.floats(), st.floats(0, 1e4), st.sampled_from([math.nan, math.inf, -1.0, 1e300]))
COUNT = st.one_of(st.integers(0, 200), st.sampled_from([10**12]))
BYTES = st.one_of(st.none(), st.integers(0, 10**12))
FIGURES = st.builds(
    Figures, **{name: NUMBER for name in Figures.__struct_fields__ if name.endswith(("_s", "_total", "user"))}
)
SERIES = st.builds(
    SeriesPoint,
    at_ns=st.integers(0, 2 * 10**12),
    users_wanted=COUNT,
    users_active=COUNT,
    in_flight=COUNT,
    prompt_tokens=COUNT,
    tokens_per_s_total=NUMBER,
    tokens_per_s_per_user=NUMBER,
    e2e_p50_s=NUMBER,
    ttft_p99_s=NUMBER,
    server_ttft_mean_s=NUMBER,
    server_itl_mean_s=NUMBER,
    prefix_cache_hits_total=NUMBER,
)
CARDS = st.builds(
    GpuReading,
    at_ns=st.just(0),
    index=st.integers(0, 15),
    name=st.sampled_from(HOSTILE),
    vram_total_bytes=BYTES,
    vram_used_bytes=BYTES,
    vram_weights_bytes=BYTES,
    vram_kv_cache_bytes=BYTES,
    active_share=NUMBER,
    power_w=NUMBER,
    temperature_c=NUMBER,
    throttle=st.sampled_from(["", "power cap"]),
)
ROWS = st.builds(
    RequestRow,
    request_id=COUNT,
    at_ns=st.just(0),
    outcome=st.sampled_from(list(Outcome)),
    users=COUNT,
    prompt_tokens=COUNT,
    ttft_s=NUMBER,
    e2e_s=NUMBER,
    tokens_per_s=NUMBER,
    error=st.sampled_from(["", *HOSTILE]),
)


@st.composite
def any_snapshot(draw: st.DrawFn) -> Snapshot:
    base = snapshots.ALL[draw(st.sampled_from(sorted(snapshots.ALL)))]()
    usage = draw(NUMBER)
    return msgspec.structs.replace(
        base,
        server=msgspec.structs.replace(base.server, kv_cache_usage=usage, running=draw(NUMBER), max_concurrency=usage),
        load=LoadStatus(
            users_wanted=draw(COUNT),
            users_active=draw(COUNT),
            prompt_tokens=draw(COUNT),
            steady_for_s=draw(NUMBER),
            delivered_concurrency=draw(NUMBER),
            client_ceiling_share=draw(NUMBER),
        ),
        figures=draw(FIGURES),
        series=draw(st.lists(SERIES, max_size=8)),
        trend=[],
        points=[LatencyPoint(base.at_ns - 10**9, draw(NUMBER), draw(NUMBER), True) for _ in range(3)],
        gpus=draw(st.lists(CARDS, max_size=9)),
        sweep=SweepStatus(
            running=draw(st.booleans()), cells_done=draw(COUNT), cells_total=draw(COUNT), remaining_s=draw(NUMBER)
        ),
        requests=draw(st.lists(ROWS, max_size=4)),
    )


@settings(max_examples=120, deadline=None)
@given(snapshot=any_snapshot(), width=st.integers(1, 130), height=st.integers(1, 40))
def test_any_figures_at_any_size(snapshot: Snapshot, width: int, height: int) -> None:
    for kind in PANES:
        lines = kind().lines(snapshot, width, height)
        assert not any("\x1b" in text or "\n" in text for line in lines for text, _ in line), kind
    wide = max(60, width)
    around = [
        *header_lines(snapshot, ViewState(users=12), wide, figures=True),
        *tile_lines(snapshot, ViewState(), wide, 3),
        *tile_lines(snapshot, ViewState(), wide, 4),
        status_line(snapshot, ViewState(), Said("a word"), wide),
        status_line(snapshot, ViewState(), None, wide),
    ]
    assert all(width_of(line) <= wide for line in around)
    presentation = presentation_lines(snapshot, max(60, width), max(16, height), users_wanted=3, words_per_token=0.75)
    assert len(presentation) <= max(16, height)


@pytest.mark.parametrize("width", [80, 120])
def test_a_host_that_is_lost_is_told_for_as_long_as_it_is(width: int) -> None:
    there, lost = HostReading(name="gpu1", clock_error_s=0.0002), HostReading(name="gpu2\x1b[2J", lost="it is gone")
    snapshot = snapshots.mid_ramp()

    def told(*hosts: HostReading) -> tuple[str, str]:
        load = msgspec.structs.replace(snapshot.load, hosts=list(hosts))
        shown = msgspec.structs.replace(snapshot, load=load)
        return (
            text_of([status_line(shown, ViewState(), None, width)]),
            text_of(ServerPane().lines(shown, width, 24)),
        )

    line, pane = told(there, lost)
    assert "▲ host lost: gpu2" in line and "hosts     1 host, host lost: gpu2" in pane
    assert "\x1b" not in line + pane
    line, pane = told(there, there)
    assert "▲" not in line and "hosts     2 hosts" in pane
    line, _ = told(msgspec.structs.replace(there, clock_error_s=0.0021))
    assert "▲ clocks of the hosts agree to ±2.1 ms"[: width // 2] in line


def test_figures_never_jump_in_width() -> None:
    """Words keep their columns while figures change: in the header and in the panes."""
    places: set[tuple[int, ...]] = set()
    for step in range(40):
        snapshot = wire_app.moving(step)
        header = text_of(header_lines(snapshot, ViewState(), 120, figures=False))
        status = text_of([status_line(snapshot, ViewState(), None, 120)])
        words = ["READY", "sweep", "SIMULATED"]
        second = ["users", "of", "prompt", "output", "unchanged", "delivered", "busy"]
        queue = text_of(VramPane().lines(snapshot, 56, 10)).splitlines()[-1]
        found = [*(header.index(word) for word in words), *(status.index(word) for word in second)]
        places.add((*found, *(queue.index(word) for word in ("running", "waiting", "preempted"))))
    assert len(places) == 1


def test_full_memory_is_a_warning() -> None:
    base = snapshots.mid_ramp(simulated=False)
    card = msgspec.structs.replace(base.gpus[0], vram_used_bytes=39_500_000_000)
    lines = VramPane().lines(msgspec.structs.replace(base, gpus=[card]), 56, 10)
    assert (" 39.5", Ink.WARNING) in lines[0]


def test_slices_have_rows_of_their_own_and_count_once() -> None:
    base = snapshots.mid_ramp(simulated=False)
    card = msgspec.structs.replace(base.gpus[0], mig_mode=True, vram_used_bytes=8 * 10**9)
    name = f"{card.name} MIG 1g.10gb"
    slices = [
        GpuReading(at_ns=0, index=0, mig_index=n, name=name, vram_total_bytes=10**10, vram_used_bytes=4 * 10**9)
        for n in (0, 2)
    ]
    snapshot = msgspec.structs.replace(base, gpus=[card, *slices])
    rows = text_of(VramPane().lines(snapshot, 100, 14)).splitlines()
    assert [row.split()[1] for row in rows if row.startswith("GPU ")] == ["0", "0:0", "0:2"]
    row = next(row for row in rows if row.startswith("GPU 0:2"))
    assert "MIG 1g.10gb" in row and " 4.0/10.0 GB" in row
    assert "W" not in row and "°C" not in row, "of a slice these are not told"
    presentation = text_of(presentation_lines(snapshot, 100, 30, users_wanted=3, words_per_token=0.75))
    memory = next(line for line in presentation.splitlines() if line.strip().startswith("memory"))
    assert memory.split()[-2:] == ["40", "%"]


def test_what_the_driver_tells_of_the_memory_is_shown_where_there_is_room() -> None:
    snapshot = snapshots.mid_ramp(simulated=False)
    assert "server 37.7  reserved  0.6  free  1.8" in text_of(VramPane().lines(snapshot, 56, 10))
    large = [msgspec.structs.replace(gpu, vram_server_bytes=138_700_000_000) for gpu in snapshot.gpus]
    assert "server 138.7  reserved" in text_of(VramPane().lines(msgspec.structs.replace(snapshot, gpus=large), 60, 10))
    narrow = text_of(VramPane().lines(msgspec.structs.replace(snapshot, gpus=snapshot.gpus * 2), 56, 11))
    assert "reserved" not in narrow and "64 °C" in narrow


def test_missing_figures_are_dashes_and_never_nought() -> None:
    snapshot = msgspec.structs.replace(
        snapshots.everything_none(), server=ServerStatus(phase=snapshots.everything_none().server.phase)
    )
    text = text_of(VramPane().lines(snapshot, 56, 10))
    assert "– % active" in text and "running    –" in text
    assert "0 %" not in text and "0.0" not in text


def test_the_server_pane_tells_what_the_server_says_of_itself() -> None:
    silent = snapshots.mid_ramp()
    assert "own figures" not in text_of(ServerPane().lines(silent, 76, 30))
    point = msgspec.structs.replace(
        silent.series[-1], server_ttft_mean_s=0.048, server_itl_mean_s=0.0075, prefix_cache_hits_total=1024.0
    )
    told = msgspec.structs.replace(silent, series=[*silent.series, point])
    text = text_of(ServerPane().lines(told, 90, 30))
    assert "server's own figures TTFT 48 ms, ITL 7.5 ms, 1,024 tokens hit its prefix cache" in text


def test_a_picked_cell_tells_all_it_knows() -> None:
    pane = GridPane()
    pane.picked = (16, 296)
    text = text_of(pane.lines(snapshots.full_grid(), 76, 30))
    assert "▸" in text
    assert "16 × 296  6.00 s  TTFT p50 0.48 s  published 6.42 s" in text


def test_grid_shows_the_cells_around_the_current_one_where_not_all_fit() -> None:
    pane = GridPane()
    pane.picked = (128, 2193)
    text = text_of(pane.lines(snapshots.oom_grid(), 30, 7))
    assert text.splitlines()[0].split() == ["+3", "↕", "296", "480", "822", "2193"]
    assert [line.split()[0] for line in text.splitlines()[1:6]] == ["8", "16", "32", "64", "128"]


def test_on_stage_a_quick_first_token_is_not_nought() -> None:
    base = snapshots.mid_ramp()
    for ttft_s, text in ((0.023, "0.02"), (0.43, "0.4"), (14.2, "14"), (None, "–")):
        shown = msgspec.structs.replace(base, figures=msgspec.structs.replace(base.figures, ttft_p50_s=ttft_s))
        lines = presentation_lines(shown, 120, 40, users_wanted=3, words_per_token=None)
        row = next(number for number, line in enumerate(lines) if ("seconds to the first token", Ink.STRONG) in line)
        digits = [span for line in lines[row - 10 : row] for span in line if span[1] is Ink.TTFT]
        assert [row for row, _ in digits] == big(text, wide=len(digits[0][0]) // len(big(text, wide=1)[0]), tall=2)


def test_the_map_goes_before_the_story_and_says_what_it_hides() -> None:
    rows = len(snapshots.oom_grid().grid.users)
    all_of_it = text_of(GridPane().lines(snapshots.oom_grid(), 60, rows + 1)).splitlines()
    assert all_of_it[0].startswith("users") and all_of_it[-1].split()[0] == "128"
    part = text_of(GridPane().lines(snapshots.oom_grid(), 60, rows - 1)).splitlines()
    assert part[0].startswith("+3 ↕")


def test_the_log_shows_what_a_line_says_before_where_it_comes_from() -> None:
    log = [
        ("server", "(APIServer pid=13595) INFO 11-20 20:42:18 [loggers.py:259] Engine 000: Running: 5 reqs"),
        ("server", "(EngineCore_DP0 pid=9) ERROR 11-20 20:42:18 [core.py:1] CUDA out of memory"),
        ("server", "INFO:     Application startup complete."),
        ("server", "(APIServer pid=7) "),
        ("engine", "(APIServer pid=13595) INFO 11-20 20:42:18 [a.py:1] quoted"),
    ]
    events = [Event(at_ns=at, source=source, text=text) for at, (source, text) in enumerate(log)]
    pane = LogPane()
    pane.chosen = pane.FILTERS.index("everything")
    lines = text_of(pane.lines(msgspec.structs.replace(snapshots.mid_ramp(), log=events), 100, 9)).splitlines()
    assert [line[17:].strip() for line in lines] == [
        "Engine 000: Running: 5 reqs",
        "EngineCore_DP0 ERROR CUDA out of memory",
        "INFO:     Application startup complete.",
        "(APIServer pid=7)",
        "(APIServer pid=13595) INFO 11-20 20:42:18 [a.py:1] quoted",
    ]


def test_failed_requests_come_first_with_what_was_said() -> None:
    lines = text_of(RequestsPane().lines(snapshots.mid_ramp(), 100, 12)).splitlines()
    assert "1877 engine-dead" in lines[1] and "CUDA out of memory" in lines[1]
    assert "1893 ok" in lines[4]


def test_log_goes_back_and_stays_there_while_new_lines_come() -> None:
    pane = LogPane()
    pane.snapshot = snapshots.mid_ramp()
    pane.redraw = lambda: None  # type: ignore[method-assign]  # it has no screen here
    pane.move(0, -3)
    later = msgspec.structs.replace(
        pane.snapshot,
        log=[*pane.snapshot.log, msgspec.structs.replace(pane.snapshot.log[-1], at_ns=10**15, text="new")],
    )
    assert "new" not in text_of(pane.lines(later, 80, 5))
    assert "newest" in pane.title(later)
    pane.snapshot = later
    pane.move(0, 9)
    assert "new" in text_of(pane.lines(later, 80, 5))


def test_rows_beside_the_grid_never_push_its_own_out_of_view() -> None:
    base = snapshots.oom_grid()
    beside = [3, 5, 6, 7, 9, 11, 12, 13]
    users = sorted([*base.grid.users, *beside])
    grid = msgspec.structs.replace(
        base.grid, users=users, asked_users=base.grid.users, current_users=5, current_prompt_tokens=296
    )
    shown = msgspec.structs.replace(base, grid=grid)
    rows = text_of(GridPane().lines(shown, 60, 11)).splitlines()[1:10]
    assert [int(line.split()[0]) for line in rows] == sorted([*base.grid.users, 5])
    rows = text_of(GridPane().lines(shown, 60, 30)).splitlines()[1:17]
    assert [int(line.split()[0]) for line in rows] == users


@pytest.mark.parametrize("replay", [False, True])
def test_a_replay_says_so_and_an_ended_session_does_too(replay: bool) -> None:
    base = snapshots.full_grid()
    ended = msgspec.structs.replace(base, server=msgspec.structs.replace(base.server, phase=Phase.ENDED))
    header = text_of(header_lines(ended, ViewState(read_only=True, replay=replay), 120, figures=False))
    assert ("REPLAY" in header, "ENDED" in header, "READ-ONLY" in header) == (replay, not replay, not replay)
    stage = text_of(presentation_lines(ended, 100, 30, users_wanted=0, replay=replay))
    assert ("REPLAY" in stage, "the server is ended" in stage) == (replay, not replay)


def test_the_session_is_named_whole_or_not_at_all() -> None:
    session_id = "2026-11-20-180412-mixtral-8x7b-awq-3f2a"
    shown = msgspec.structs.replace(snapshots.mid_ramp(), session_id=session_id, profile_title="Mixtral")
    assert f"session {session_id}" in text_of([status_line(shown, ViewState(), None, 180)])
    assert "session" not in text_of([status_line(shown, ViewState(), None, 120)])


def state_of(snapshot: Snapshot, width: int = 120) -> str:
    return text_of(header_lines(snapshot, ViewState(), width, figures=False))


def test_the_state_says_what_there_is_to_know_of_it() -> None:
    base = snapshots.mid_ramp()
    assert "● READY" in state_of(base)
    silent = msgspec.structs.replace(base, server=msgspec.structs.replace(base.server, silent_s=9.2))
    assert "▲ NO TOKEN FOR 9 s" in state_of(silent)
    relaunching = msgspec.structs.replace(base.server, phase=Phase.RELAUNCHING)
    last = msgspec.structs.replace(base.series[-1], users_wanted=64, prompt_tokens=2048)
    death = ServerDeath(at_ns=last.at_ns + 1, outcome=Outcome.OOM_RUNTIME, cause="CUDA out of memory")
    gone = msgspec.structs.replace(base, server=relaunching, series=[*base.series[:-1], last], deaths=[death])
    assert "◐ RELAUNCHING after OOM at 64 × 2048" in state_of(gone)
    narrow = state_of(gone, 60)
    assert "◐ RELAUNCHING " in narrow and "after" not in narrow and " vramp" in narrow
    assert "✕ FAILED" in state_of(snapshots.failed())
    assert "◐ LAUNCHING weights 40 %" in state_of(snapshots.launching())


def test_of_is_said_only_while_asked_and_present_users_differ() -> None:
    base = snapshots.mid_ramp()
    assert "24 of  32 users" in text_of([status_line(base, ViewState(), None, 120)])
    steady = msgspec.structs.replace(base, load=msgspec.structs.replace(base.load, users_wanted=24))
    line = text_of([status_line(steady, ViewState(), None, 120)])
    assert "24 users" in line and " of " not in line
    assert "24 of  25 users" in text_of([status_line(steady, ViewState(users=25), None, 120)])


def test_what_was_just_said_comes_before_the_news_and_these_before_how_the_run_stands() -> None:
    failed = snapshots.failed()
    news = text_of([status_line(failed, ViewState(), None, 120)])
    assert "server failed: The KV cache does not fit." in news
    assert "copied" in text_of([status_line(failed, ViewState(), Said("log: copied as text"), 120)])
    assert "load generator  11 % busy" in text_of([status_line(snapshots.mid_ramp(), ViewState(), None, 120)])


def test_tiles_name_each_figure_with_its_unit_in_its_hue() -> None:
    lines = tile_lines(snapshots.mid_ramp(), ViewState(), 120, 3)
    text = text_of(lines).splitlines()
    for name in ("users × 296", "total", "per user", "first token", "whole answer", "KV cache"):
        assert name in text[0]
    assert "24 of 32" in text[1] and "512 tok/s" in text[1] and "0.21 s p50" in text[1] and "43 %" in text[1]
    inks = [ink for value, ink in lines[1] if value.strip()[:1].isdigit()]
    assert inks == [Ink.USERS, Ink.TOTAL, Ink.EACH, Ink.TTFT, Ink.E2E, Ink.KV]
    without = msgspec.structs.replace(
        snapshots.mid_ramp(), server=msgspec.structs.replace(snapshots.mid_ramp().server, kv_cache_usage=None)
    )
    assert "VRAM" in text_of(tile_lines(without, ViewState(), 120, 3)) and "VRAM" in text_of(
        tile_lines(snapshots.mid_ramp(), ViewState(), 200, 3)
    )


@pytest.mark.parametrize("held", [False, True])
def test_our_name_is_never_cut(held: bool) -> None:
    shown = msgspec.structs.replace(snapshots.sweeping(), time_scale=10.0)
    (first, *_) = header_lines(shown, ViewState(held=held, read_only=True), 60, figures=True)
    text = "".join(part for part, _ in first)
    assert text.startswith(" vramp  ") and len(text) <= 60
    assert "SIMULATED × 10" in text and "READ-ONLY" in text


async def test_a_narrow_tab_line_shows_the_keys_of_all_panes() -> None:
    app = LiveApp(snapshots.mid_ramp())
    async with app.run_test(size=(60, 16)) as pilot:
        await pilot.press("7")
        await pilot.pause()
        tabs = app.picture().splitlines()[2]
        assert "[7 server]" in tabs
        assert all(pane.KEY in tabs for pane in PANES)


def dead_server() -> Snapshot:
    """Return a snapshot whose server died of memory a second ago, with what its requests said of it."""
    base = snapshots.mid_ramp()
    at_ns = base.at_ns - NS_PER_S
    lost = RequestRow(request_id=1, at_ns=at_ns, outcome=Outcome.ENGINE_DEAD, users=64, prompt_tokens=31, times=60)
    refused = msgspec.structs.replace(
        lost, request_id=2, outcome=Outcome.DISCONNECTED, error="connection refused", times=3
    )
    other = msgspec.structs.replace(lost, at_ns=0, outcome=Outcome.HTTP_ERROR, error="HTTP 500", times=2)
    death = ServerDeath(at_ns=at_ns, outcome=Outcome.OOM_RUNTIME, cause="CUDA out of memory")
    return msgspec.structs.replace(base, deaths=[death], requests_failed=[refused, lost, other])


def test_what_a_death_has_ended_is_one_row_with_its_cause_first() -> None:
    lines = ["".join(text for text, _ in line) for line in RequestsPane().lines(dead_server(), 100, 20)]
    assert lines[1].startswith("63 × engine-dead after: CUDA out of memory")
    assert lines[2].startswith("2 × http-error: HTTP 500")
    assert "refused" not in "".join(lines)


def test_a_cell_that_is_measured_now_has_no_requests_yet_and_another_has_none_any_more() -> None:
    empty = msgspec.structs.replace(snapshots.mid_ramp(), requests=[], requests_failed=[])
    told = [
        "".join(line.plain for fact in cell_facts(place, empty) for line in fact.lines)
        for place in ((16, 296), (1, 31))
    ]
    assert "none has ended yet" in told[0]
    assert "none of its requests are at hand any more" in told[1]


def test_an_opened_cell_shows_its_histograms_or_says_why_there_are_none() -> None:
    base = snapshots.full_grid()
    kept = Distributions(ttft=Distribution(3, 80, [3, 9, 4]), itl=Distribution(3, 50, [1, 100]))
    cells = [msgspec.structs.replace(one, distributions=kept) if one.users == 8 else one for one in base.grid.cells]
    snapshot = msgspec.structs.replace(base, grid=msgspec.structs.replace(base.grid, cells=cells))

    def told(users: int) -> str:
        return "\n".join(line.plain for fact in cell_facts((users, 296), snapshot) for line in fact.lines)

    assert "     9 ┤" in told(8) and "   100 ┤" in told(8) and told(8).count("0 ┼┴") == 2
    labels = [fact.label for fact in cell_facts((8, 296), snapshot)]
    assert max(map(len, labels)) <= 10, "a longer one would push what is drawn beside it out of its column"
    assert "an earlier version of vramp" in told(4) and "┼" not in told(4)
