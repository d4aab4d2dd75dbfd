from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.distribution import Distribution
from tui.view.widgets.ascii import to_ascii
from tui.view.widgets.histogram_bars import HEIGHT, histogram_lines


def drawn(distribution: Distribution, width: int = 64) -> list[str]:
    return [line.plain for line in histogram_lines(distribution, width)]


def test_columns_are_as_high_as_their_counts_over_an_axis_with_its_unit() -> None:
    # Bins of 2^6 µs: 8.192, 8.320, ... ms.
    lines = drawn(Distribution(6, (7 << 6) + 64, [32, 16, 0, 1]))
    assert [line.rstrip() for line in lines] == [
        "    32 ┤███",
        "       │███",
        "       │██████",
        "       │██████   ▁▁▁",
        "     0 ┼┴───────────",
        "        8.19 8.70 ms",
    ]


distributions = st.builds(
    Distribution,
    st.integers(0, 6),
    st.integers(0, 8),
    st.lists(st.integers(0, 10**12), min_size=1, max_size=40).filter(any),
)


@given(distributions, st.integers(20, 130))
def test_it_fits_whatever_it_holds(distribution: Distribution, width: int) -> None:
    lines = drawn(distribution, width)
    assert len(lines) == HEIGHT + 2
    assert all(len(line) <= max(width, 32) for line in lines)
    assert all("?" not in to_ascii(line) for line in lines)
    assert lines[-1].endswith(" ms")
    # What was seen once is seen in the picture, and nothing else is.
    seen = any(distribution.counts)
    assert any(char in "▁▂▃▄▅▆▇█" for char in lines[HEIGHT - 1]) is seen


@pytest.mark.parametrize("width", [60, 110])
def test_more_room_makes_columns_wider_not_more(width: int) -> None:
    bottom = drawn(Distribution(3, 60, [5] * 30), width)[HEIGHT - 1]
    assert bottom.count("█") == 30 * min(3, (width - 8) // 30)
