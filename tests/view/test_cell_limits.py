"""What limited a cell and under what conditions it was measured: under the grid, in the opened cell; the edge."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import HOSTILE
from tui.core.outcome import Outcome
from tui.metrics.boundary import Edge
from tui.metrics.conditions import Conditions
from tui.metrics.earlier import EarlierMeasure
from tui.metrics.limits import Limit, Verdict
from tui.metrics.occupancy import Occupancy
from tui.metrics.snapshot import Snapshot
from tui.view.panes.grid import GridPane
from tui.view.panes.grid_cell import AGAIN
from tui.view.screens.cell import cell_facts
from tui.view.widgets.lines import text_of

PLACE = (16, 296)
VERDICT = Verdict(
    limit=Limit.KV_CACHE,
    sentence="The KV cache was full while requests waited for a place in it",
    evidence=["waited 2.00 s on average", "KV cache 99% at most (full)"],
)


def judged(place: tuple[int, int] = PLACE, edges: list[Edge] | None = None, **changes: Any) -> Snapshot:
    base = snapshots.full_grid()
    cells = [
        msgspec.structs.replace(cell, **changes) if (cell.users, cell.prompt_tokens) == place else cell
        for cell in base.grid.cells
    ]
    return msgspec.structs.replace(base, grid=msgspec.structs.replace(base.grid, cells=cells, edges=edges or []))


def picked(place: tuple[int, int] = PLACE) -> GridPane:
    pane = GridPane()
    pane.picked = place
    return pane


def test_the_line_under_the_grid_says_what_limited_the_picked_cell() -> None:
    snapshot = judged(verdict=VERDICT)
    rows = len(snapshot.grid.users)
    for width, height in ((76, 30), (76, rows + 4), (60, rows + 5)):
        lines = text_of(picked().lines(snapshot, width, height)).splitlines()
        story = next(place for place, line in enumerate(lines) if line.startswith("16 × 296"))
        assert lines[story + 1].startswith("kv-cache  The KV cache was full while requests"), lines
        assert len(lines) <= height
    assert "kv-cache" not in text_of(picked((8, 296)).lines(snapshot, 76, 30))
    # The map goes before all else.
    assert text_of(picked().lines(snapshot, 76, rows + 1)).splitlines()[-1].startswith("  128")


def test_without_a_picked_cell_the_last_one_is_told() -> None:
    shown = text_of(GridPane().lines(judged(verdict=VERDICT, started_at_ns=7), 76, 30))
    assert "16 × 296  kv-cache  The KV cache was full" in shown


def test_the_edge_of_the_kv_cache_is_a_line_below_the_last_users_within_it() -> None:
    edges = [
        Edge(prompt_tokens=296, predicted=20, measured=8, beyond=16),
        Edge(prompt_tokens=480, predicted=5_000, measured=64),
    ]
    pane, snapshot = GridPane(), judged(edges=edges)
    lines = text_of(pane.lines(snapshot, 76, 30)).splitlines()
    drawn = {line.strip(): lines[place - 1 : place + 3] for place, line in enumerate(lines) if "KV cache" in line}
    (measured, around), (predicted, below) = list(drawn.items())[:2]
    assert measured.startswith("━ KV cache gave out below") and measured.endswith(" ━━━━━━━━━")
    assert predicted.startswith("╌ KV cache full below, predicted") and predicted.endswith(" ╌╌╌╌╌╌╌╌╌")
    assert any(line.startswith("   16") for line in around) and any(line.startswith("   32") for line in below)
    # Where there is no row to spare it is left out, and told in words of the cell that is picked.
    pane.picked = (4, 296)
    small = text_of(pane.lines(snapshot, 76, len(snapshot.grid.users) + 4))
    assert "╌" not in small and "KV cache gave out at 16 users here  its blocks are full at 20 users" in small
    assert "KV cache" not in text_of(GridPane().lines(judged(), 76, 30))


def test_an_opened_cell_says_what_limited_it_how_many_ran_and_under_what_conditions() -> None:
    snapshot = judged(
        verdict=VERDICT,
        delivered_concurrency=16.0,
        delivered_concurrency_max=16,
        occupancy=Occupancy(readings=9, running_mean=5.0, running_max=6.0, waiting_mean=11.0),
        conditions=Conditions(
            launch=2,
            version="0.32.0",
            kv_pool_tokens=9_600,
            kv_pool_blocks=600,
            block_size=16,
            differences=["gpu-memory-utilization: the profile says 0.95, the server runs 0.90"],
            notes=["its KV pool differs by -2.0% from that of launch 1"],
        ),
        edges=[Edge(prompt_tokens=296, predicted=24, measured=8, beyond=16)],
    )
    told = {fact.label: [line.plain for line in fact.lines] for fact in cell_facts(PLACE, snapshot)}
    assert told["limit"] == ["kv-cache", VERDICT.sentence, *VERDICT.evidence]
    assert told["at once"] == [
        "16 asked, 16.0 delivered (16 at most), 5.0 running (6 at most), 11.0 waiting",
        "the server ran 5.0 of the 16.0 requests under way",
    ]
    assert told["conditions"] == [
        "launch 2",
        "version 0.32.0",
        "KV pool 9,600 tokens in 600 blocks of 16",
        "how many requests it runs at most is not known",
        "gpu-memory-utilization: the profile says 0.95, the server runs 0.90",
        "its KV pool differs by -2.0% from that of launch 1",
    ]
    assert told["edge"] == [
        "the KV cache holds 24 users at once, by its blocks",
        "8 users were measured within it, it gave out at 16",
    ]


def test_what_a_server_says_of_itself_is_never_markup_nor_moves_the_cursor() -> None:
    hostile = Verdict(limit=Limit.MEMORY, sentence="\n".join(HOSTILE), evidence=list(HOSTILE))
    snapshot = judged(verdict=hostile, conditions=Conditions(version=HOSTILE[0], differences=list(HOSTILE)))
    shown = text_of(picked().lines(snapshot, 300, 40))
    shown += "".join(line.plain for fact in cell_facts(PLACE, snapshot) for line in fact.lines)
    assert not any(char < " " and char != "\n" for char in shown)


def test_a_cell_that_was_measured_before_is_marked_and_its_page_shows_both() -> None:
    earlier = EarlierMeasure(
        count=2, outcome=Outcome.OK, launch=1, time_to_resolve_s=4.0, ttft_p50_s=0.5, tokens_per_s_total=200.0
    )
    snapshot = judged(earlier=earlier, time_to_resolve_s=3.0, ttft_p50_s=0.5, tokens_per_s_total=250.0)
    told = {fact.label: [line.plain for line in fact.lines] for fact in cell_facts((16, 296), snapshot)}
    assert told["before"] == [
        "2 earlier measures, the last on launch 1: ok",
        "resolve 4.00 s then, 3.00 s now (−25.0%)",
        "TTFT p50 0.50 s then, 0.50 s now (+0.0%)",
        "tokens/s 200 then, 250 now (+25.0%)",
    ]
    failed = judged(earlier=EarlierMeasure(outcome=Outcome.TIMEOUT))
    told = {fact.label: [line.plain for line in fact.lines] for fact in cell_facts((16, 296), failed)}
    assert told["before"] == ["one earlier measure, the last: timeout"]
    for width, height in ((80, 20), (120, 36), (200, 46), (46, 12)):
        lines = text_of(GridPane().lines(snapshot, width, height)).splitlines()
        row = next(place for place, line in enumerate(lines) if line.split()[:1] == ["16"])
        assert AGAIN in "".join(lines[row : row + 3]), (width, height, lines)
        assert all(len(line) <= width for line in lines)
    assert AGAIN not in text_of(GridPane().lines(judged(), 120, 36))
