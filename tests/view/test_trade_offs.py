"""The screen of what a grid comes to: the front, the best cell, the costs."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import HOSTILE
from tests.view.live_app import LiveApp
from tui.metrics.snapshot import Snapshot
from tui.metrics.terms import Terms
from tui.profile.prices import ApiPrice
from tui.view.screens.trade_offs import TradeOffsScreen, trade_off_lines
from tui.view.widgets.lines import text_of, width_of

PRICES = [
    ApiPrice(name="GPT-3.5 Turbo", input_per_1m=1.5, output_per_1m=2.0),
    ApiPrice(name="GPT-4", input_per_1m=30.0, output_per_1m=60.0),
]


def priced(snapshot: Snapshot, **terms: object) -> Snapshot:
    cells = [msgspec.structs.replace(cell, cost_per_1k_tokens=0.0006, currency="USD") for cell in snapshot.grid.cells]
    known = Terms(price_per_hour=1.6, currency="USD", prices=PRICES)
    return msgspec.structs.replace(
        snapshot,
        grid=msgspec.structs.replace(snapshot.grid, cells=cells),
        terms=msgspec.structs.replace(known, **terms),
    )


async def test_a_key_opens_it_and_it_follows_the_run() -> None:
    app = LiveApp(priced(snapshots.full_grid()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("p")
        await pilot.pause()
        assert isinstance(app.screen, TradeOffsScreen)
        picture = app.picture()
        assert "Best cell: 128 users × 31 prompt tokens" in picture
        assert "tokens/s per user" in picture and "▣" in picture and "●" in picture
        assert "60.00 USD" in picture and "GPT-4" in picture
        app.live.show(priced(snapshots.fresh()))
        await pilot.pause()
        assert "No cell has been measured yet" in app.picture()
        await pilot.press("escape")
        assert not isinstance(app.screen, TradeOffsScreen)


def test_cells_of_the_front_are_named_and_what_misses_the_slo_is_hollow() -> None:
    snapshot = priced(snapshots.full_grid())
    cells = [msgspec.structs.replace(cell, slo_met=cell.users < 16) for cell in snapshot.grid.cells]
    text = text_of(
        trade_off_lines(
            msgspec.structs.replace(snapshot, grid=msgspec.structs.replace(snapshot.grid, cells=cells)), 120, 40
        )
    )
    assert "128 × 31" in text.split("Best cell")[0]
    assert "○ outside the SLO" in text and text.count("○") > 1
    assert "○" not in text_of(trade_off_lines(snapshot, 120, 40))


def test_bars_have_an_axis_where_there_is_room() -> None:
    snapshot = priced(snapshots.full_grid())
    assert text_of(trade_off_lines(snapshot, 100, 40)).count("└") == 2
    assert text_of(trade_off_lines(snapshot, 78, 22)).count("└") == 1


async def test_it_fits_a_large_terminal_and_says_simulated() -> None:
    app = LiveApp(msgspec.structs.replace(priced(snapshots.full_grid()), simulated=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("p")
        await pilot.pause()
        assert "SIMULATED" in app.picture().splitlines()[0]


def test_the_dearest_has_the_longest_bar_and_the_own_server_is_told() -> None:
    text = text_of(trade_off_lines(priced(snapshots.full_grid()), 100, 30)).splitlines()
    bars = {line.split("  ")[0].strip(): line.count("█") for line in text if "USD" in line}
    assert list(bars) == ["mixtral-8x7b-awq (own)", "GPT-3.5 Turbo", "GPT-4"]
    assert bars["GPT-4"] == max(bars.values()) and min(bars.values()) >= 1


def test_what_is_missing_is_said() -> None:
    assert "no [cost] price_per_hour" in text_of(trade_off_lines(snapshots.full_grid(), 100, 30))
    noted = priced(snapshots.full_grid(), prices=[], notes=["prices.toml: GPT-4: found no price; it is left out"])
    text = text_of(trade_off_lines(noted, 100, 30))
    assert "GPT-4: found no price" in text and "No price of a closed API is known" in text
    unmet = priced(snapshots.full_grid(), has_slo=True, slo_ttft_s=0.001)
    cells = [msgspec.structs.replace(cell, goodput_requests_per_s=0.0, slo_met=False) for cell in unmet.grid.cells]
    unmet = msgspec.structs.replace(unmet, grid=msgspec.structs.replace(unmet.grid, cells=cells))
    said = text_of(trade_off_lines(unmet, 100, 30))
    assert "No best cell: no request of any cell meets the SLO (TTFT ≤ 0.001 s)" in said
    assert "60.00 USD" in said


@settings(max_examples=50)
@given(st.sampled_from(sorted(snapshots.ALL)), st.integers(1, 130), st.integers(1, 50), st.sampled_from(HOSTILE))
def test_whatever_there_is_it_fits(name: str, width: int, height: int, hostile: str) -> None:
    base = priced(
        snapshots.ALL[name](), prices=[ApiPrice(name=hostile, input_per_1m=1, output_per_1m=1)], notes=[hostile]
    )
    lines = trade_off_lines(msgspec.structs.replace(base, profile_name=hostile), width, height)
    assert len(lines) <= height
    assert all(width_of(line) <= width for line in lines)


def test_what_the_sentences_cost_is_headed_whole() -> None:
    text = text_of(trade_off_lines(priced(snapshots.full_grid()), 78, 24))
    assert "prompt tokens" in " ".join(text.partition("One million sentences")[2].split())
