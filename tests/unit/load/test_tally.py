"""Tokens by the time they arrived."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tui.load.tally import Tally
from tui.load.wire import BUCKET_NS

AT = st.integers(0, 5 * BUCKET_NS)


@given(st.lists(AT), st.lists(st.tuples(AT, st.integers(1, 40))))
def test_every_token_stands_in_the_bucket_of_its_arrival(arrivals: list[int], more: list[tuple[int, int]]) -> None:
    tally = Tally()
    tally.arrivals_ns += arrivals
    expected = Counter(at // BUCKET_NS * BUCKET_NS for at in arrivals)
    for at, tokens in more:
        tally.add_more(at, tokens)
        expected[at // BUCKET_NS * BUCKET_NS] += tokens
    assert tally.take() == (sorted(expected.items()), len(arrivals))
    assert tally.take() == ([], 0)
