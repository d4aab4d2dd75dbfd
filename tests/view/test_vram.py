"""The VRAM pane: what the memory holds, who else is there, the latest minute, and many cards in little room."""

from __future__ import annotations

import msgspec
import pytest

from tests.fakes import snapshots
from tests.fakes.snapshot_parts import GB
from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import Snapshot
from tui.view.panes.vram import VramPane
from tui.view.widgets.lines import Ink, Over, text_of, width_of


def drawn(snapshot: Snapshot, width: int, height: int) -> str:
    lines = VramPane().lines(snapshot, width, height)
    assert len(lines) <= height and all(width_of(line) <= width for line in lines)
    return text_of(lines)


def test_what_is_used_of_the_kv_cache_lies_inside_what_is_reserved() -> None:
    base = snapshots.mid_ramp()
    widths = []
    for usage in (0.0, 0.5, 1.0):
        server = msgspec.structs.replace(base.server, kv_cache_usage=usage)
        lines = VramPane().lines(msgspec.structs.replace(base, server=server), 80, 20)
        cells = dict.fromkeys((Ink.WEIGHTS, Ink.KV, Ink.KV_RESERVED, Ink.OTHER), 0)
        for text, paint in lines[1]:
            if isinstance(paint, Over) and isinstance(paint.fore, Ink):
                cells[paint.fore] += len(text)
        widths.append((cells[Ink.KV], cells[Ink.KV_RESERVED]))
        assert cells[Ink.WEIGHTS] == 25
    assert [sum(pair) for pair in widths] == [50, 50, 50]
    assert widths[0][0] == 0 and widths[1][0] == 25 and widths[2][1] == 0
    assert "KV  12.4 of 24.9" in drawn(
        msgspec.structs.replace(base, server=msgspec.structs.replace(base.server, kv_cache_usage=0.5)), 80, 20
    )


def test_other_programs_on_a_card_are_named() -> None:
    base = snapshots.mid_ramp()
    card = msgspec.structs.replace(
        base.gpus[0],
        vram_used_bytes=39 * GB,
        vram_neighbours_bytes=8 * GB // 10,
        vram_neighbours="Xorg, \x1b[31mpython3",
    )
    text = drawn(msgspec.structs.replace(base, gpus=[card]), 80, 20)
    assert "Xorg, python3 0.8" in text and "╱ other programs" in text and "\x1b" not in text
    assert "other programs" not in drawn(base, 80, 20)


@pytest.mark.parametrize(("engine", "who"), [("vllm", "vLLM"), ("tgi", "the server")])
def test_one_sentence_says_why_the_memory_does_not_move(engine: str, who: str) -> None:
    base = msgspec.structs.replace(snapshots.mid_ramp(), engine=engine)
    assert drawn(base, 100, 20).count(f"flat under load: {who} reserves its KV cache at the start") == 1
    server = msgspec.structs.replace(base.server, kv_cache_usage=None)
    unknown = msgspec.structs.replace(snapshots.mid_ramp(simulated=False), server=server)
    assert "flat" not in drawn(unknown, 100, 20)


def test_each_card_has_its_latest_minute_of_activity_and_power() -> None:
    text = drawn(snapshots.mid_ramp(), 56, 10)
    rows = [line for line in text.splitlines() if line.startswith("active")]
    assert len(rows) == 2
    for row in rows:
        activity, power = row.split("power")
        assert "98 %" in activity and any(char in activity for char in "▅▆▇") and "W" in power and "°C" in power
    without = drawn(msgspec.structs.replace(snapshots.mid_ramp(), gpu_trends=[]), 56, 10)
    assert "98 % active" in without and "▅" not in without


def test_eight_cards_in_80x24_keep_their_minute_and_what_is_wrong_with_them() -> None:
    text = drawn(snapshots.eight_gpus(), 78, 19)
    assert [line.split()[1] for line in text.splitlines() if line.startswith("GPU")] == list("01234567")
    assert sum(line.startswith("active") for line in text.splitlines()) == 7
    assert "LOST" in text and "held back: power cap" in text and "KV cache" in text and "preempted" in text


def slices(cards: int) -> Snapshot:
    base = snapshots.mid_ramp(simulated=False)
    gpus: list[GpuReading] = []
    for index in range(cards):
        gpus.append(msgspec.structs.replace(base.gpus[0], index=index, mig_mode=True))
        gpus += [
            GpuReading(
                at_ns=0,
                index=index,
                mig_index=place,
                name="NVIDIA A100 MIG 1g.5gb",
                vram_total_bytes=5 * GB,
                vram_used_bytes=(place + 1) * GB // 2,
            )
            for place in range(7)
        ]
    return msgspec.structs.replace(base, gpus=gpus)


def test_slices_stand_side_by_side_where_they_are_too_many_and_those_left_out_are_counted() -> None:
    text = drawn(slices(4), 78, 19)
    for place in (*(f"{card}:{number} 1g.5gb" for card in range(4) for number in range(7)), "3.5/5.0"):
        assert place in text
    assert "running" in text
    few = drawn(slices(8), 56, 11).splitlines()
    assert few[0].split() == ["0", few[0].split()[1], "38.2/40.0", "1", few[0].split()[4], "38.2/40.0"]
    assert few[8] == "and 48 more" and few[1].startswith("0:0 1g.5gb") and "1:0 1g.5gb" in few[1]


def test_eight_cards_of_a_line_each_have_their_minute_beside_power_and_heat() -> None:
    rows = [line for line in drawn(snapshots.eight_gpus(), 56, 10).splitlines() if line.startswith("GPU")]
    assert len(rows) == 8 and "LOST" in rows[3]
    for row in rows[:3] + rows[4:]:
        assert "▇" in row.split("GB")[1] and "98%" in row and "W" in row and "°C" in row and "/85.9 GB" in row
        assert row.count("█") >= 5, "the memory is seen as well"
    assert "held" in rows[5]


def test_cards_of_several_hosts_stand_below_their_host_and_its_sum() -> None:
    rows = drawn(snapshots.gpu_hosts(2, 2), 78, 19).splitlines()
    assert [row.split()[0] for row in rows[:6]] == ["all", "node1", "active", "GPU", "GPU", "node2"]
    assert "152.8/160.0 GB" in rows[0] and "76.4 / 80.0 GB" in rows[1] and "38.2/40.0 GB" in rows[3]
    assert "4 × A100" in rows[0]


def test_a_host_above_its_cards_has_a_bar_as_long_as_theirs() -> None:
    rows = drawn(snapshots.gpu_hosts(4, 2), 78, 19).splitlines()
    bars = [sum(row.count(glyph) for glyph in "█▓▒▄░") for row in rows[1:13]]
    assert [row.split()[0] for row in rows[1:5]] == ["node1", "GPU", "GPU", "node2"]
    assert max(bars) - min(bars) <= 3, bars


def test_the_bars_of_a_sum_its_hosts_and_their_cards_end_below_each_other() -> None:
    for width, rows in ((78, 13), (56, 5)):
        drawn_rows = drawn(snapshots.gpu_hosts(4, 2), width, rows + 4).splitlines()[:rows]
        places = [[place for place, glyph in enumerate(row) if glyph in "█▓▒▄░"] for row in drawn_rows]
        # The trend of a host's latest minute has glyphs of a bar, too, behind the figures.
        begins = {bar[0] for bar in places}
        ends = {row.rindex("░", 0, row.index("/")) for row in drawn_rows}
        assert len(begins) == len(ends) == 1, drawn_rows


def test_long_names_take_power_and_heat_before_they_take_the_bar() -> None:
    base = snapshots.gpu_hosts(2, 8)
    hosts = {gpu.host for gpu in base.gpus}
    named = dict(zip(sorted(hosts), ("10.83.41.11:22", "10.83.41.12:22"), strict=True))
    gpus = [msgspec.structs.replace(gpu, host=named[gpu.host]) for gpu in base.gpus]
    rows = drawn(msgspec.structs.replace(base, gpus=gpus), 56, 7).splitlines()[:3]
    assert all(" GB" in row and row.endswith("%") and "W" not in row for row in rows), rows


def test_what_no_process_holds_is_not_the_server_s() -> None:
    base = snapshots.mid_ramp()
    idle = {"vram_weights_bytes": 0, "vram_kv_cache_bytes": 0, "vram_other_bytes": 0, "vram_server_bytes": 0}
    card = msgspec.structs.replace(base.gpus[0], vram_used_bytes=30 * GB, **idle)
    text = drawn(msgspec.structs.replace(base, gpus=[card]), 80, 20)
    assert "unknown 30.0" in text and "▚ unknown" in text and "▄" not in text.splitlines()[1]
    others = msgspec.structs.replace(base.gpus[1], vram_neighbours_bytes=8 * GB)
    narrow = drawn(msgspec.structs.replace(base, gpus=[card, others]), 58, 20)
    assert "█ weights  ▓ KV  ▒ KV free  ▄ rest  ▚ unknown  ╱ others" in narrow
    # What a driver keeps for itself is not worth a word.
    little = msgspec.structs.replace(card, vram_used_bytes=GB // 10)
    assert "unknown" not in drawn(msgspec.structs.replace(base, gpus=[little]), 80, 20)


def test_many_hosts_are_a_line_each_and_more_than_that_side_by_side() -> None:
    rows = drawn(snapshots.gpu_hosts(12, 8), 78, 17).splitlines()
    assert rows[0].startswith("all 12 96 × A100 40 GB") and " 3667.2/3840.0 GB" in rows[0]
    assert "  26kW" in rows[0] and "98% 2128W" in rows[1]
    assert [row.split()[0] for row in rows[1:13]] == [f"node{number}" for number in range(1, 13)]
    few = drawn(snapshots.gpu_hosts(40, 8), 78, 14)
    assert few.startswith("all 40") and few.count("node") == 20 and "and 20 more" in few


def test_a_host_with_trends_of_its_own_where_there_is_room() -> None:
    text = drawn(snapshots.gpu_hosts(8, 8), 110, 40)
    assert text.count("active") == 8 and "node8" in text


def test_the_one_host_is_named_in_the_title() -> None:
    base = snapshots.mid_ramp(simulated=False)
    elsewhere = [msgspec.structs.replace(card, host="gpu1\x1b[1m") for card in base.gpus]
    snapshot = msgspec.structs.replace(base, gpus=elsewhere)
    assert VramPane().title(snapshot) == "VRAM and KV cache · gpu1"
    assert "GPU 0" in drawn(snapshot, 78, 19)
