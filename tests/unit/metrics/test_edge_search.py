"""The search for the edge: right for any monotone truth, in no more cells than its bound, sane where truth is noisy."""

from __future__ import annotations

import random
from collections.abc import Callable
from math import ceil, floor, log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.edge_search import MOST_MEASURES, EdgeSearch, FoundEdge


def searched(search: EdgeSearch, holds: Callable[[int], bool]) -> list[int]:
    """Carry a search out; return what was asked, in order."""
    asked: list[int] = []
    while (users := search.next) is not None:
        asked.append(users)
        search.take(users, held=holds(users))
        assert len(asked) < 500
    return asked


@given(edge=st.integers(0, 5000), start=st.integers(1, 300), repeats=st.integers(0, 2))
def test_any_monotone_truth_is_found_exactly_within_the_bound(edge: int, start: int, repeats: int) -> None:
    search = EdgeSearch(start=start, largest=100_000, repeats=repeats)
    asked = searched(search, lambda users: users <= edge)
    assert search.found() == FoundEdge(edge, edge, edge, edge + 1)
    assert len(set(asked)) <= most_cells(edge, start)
    assert len(asked) <= len(set(asked)) + 2 * repeats
    assert all(1 <= users <= 100_000 for users in asked)


@given(edge=st.integers(0, 5000), precision=st.floats(0.0, 0.5), start=st.integers(1, 64))
def test_a_coarser_precision_asks_no_more_and_still_holds_the_truth(edge: int, precision: float, start: int) -> None:
    fine, coarse = (EdgeSearch(start=start, largest=100_000, precision=p) for p in (0.0, precision))
    exactly, roughly = (searched(search, lambda users: users <= edge) for search in (fine, coarse))
    found = coarse.found()
    assert len(roughly) <= len(exactly)
    assert found.most is not None and found.least <= edge <= found.most
    assert found.most + 1 - found.users <= max(1, precision * found.users)


@given(edge=st.integers(0, 600), bound=st.integers(1, 600))
def test_what_shorter_prompts_failed_at_bounds_the_search_and_is_shown_where_it_decides(edge: int, bound: int) -> None:
    edge = min(edge, bound - 1)
    search = EdgeSearch(start=8, largest=100_000, repeats=0)
    search.imply_failure(bound)
    asked = searched(search, lambda users: users <= edge)
    assert search.found().users == edge
    assert len(asked) <= bound.bit_length() + 2
    assert max(asked) <= bound
    assert (edge + 1 == bound) is (bound in asked)


def test_a_wrong_implication_gives_way_to_a_measure() -> None:
    search = EdgeSearch(start=8, largest=1000)
    search.imply_failure(20)
    searched(search, lambda users: users <= 33)
    assert search.found().users == 33


@pytest.mark.parametrize(("largest", "edge"), [(1, 5), (100, 100), (100, 5000)])
def test_beyond_the_largest_nothing_is_asked(largest: int, edge: int) -> None:
    search = EdgeSearch(start=8, largest=largest)
    assert max(searched(search, lambda users: users <= edge)) == largest
    assert search.found() == FoundEdge(largest, largest, None, None)


def test_a_death_is_not_repeated() -> None:
    search = EdgeSearch(start=1, largest=100, repeats=2)
    asked = []
    while (users := search.next) is not None:
        asked.append(users)
        search.take(users, held=users <= 5, final=users > 5)
    assert asked.count(6) == 1 and asked.count(5) == 3
    assert search.found().users == 5


@given(seed=st.integers(0, 10_000), edge=st.integers(2, 400), repeats=st.integers(0, 2))
def test_a_noisy_truth_is_bracketed_in_few_cells(seed: int, edge: int, repeats: int) -> None:
    chance = random.Random(seed)
    width = max(1.0, 0.1 * edge)
    search = EdgeSearch(start=8, largest=100_000, repeats=repeats)

    def holds(users: int) -> bool:
        """Certain below 0.9 and above 1.1 times the edge; a matter of chance between."""
        return chance.random() < min(1.0, max(0.0, 0.5 + (edge + 0.5 - users) / (2 * width)))

    asked = searched(search, holds)
    found = search.found()
    assert found.fails_at is not None and found.most is not None
    assert edge - width - 1 <= found.users <= edge + width + 1
    assert found.least <= found.users < found.fails_at and found.least <= found.most
    assert max(asked.count(users) for users in asked) <= MOST_MEASURES
    # Each turn of luck costs a cell beside the edge at most, and there are no more of these than the noise is wide.
    assert len(set(asked)) <= most_cells(edge + round(width) + 1, 8) + 2 * width + 2


def test_of_two_against_one_the_two_count() -> None:
    told = {4: [True], 8: [False, False], 6: [True], 7: [True, False, False]}
    search = EdgeSearch(start=4, largest=100)
    searched(search, lambda users: told[users].pop(0) if told[users] else users == 6)
    found = search.found()
    assert (found.users, found.fails_at, found.least, found.most) == (6, 7, 6, 7)


def most_cells(edge: int, start: int = 1) -> int:
    """Return how many different numbers of users a search for `edge` asks at most, repeats not counted.

    Below the start the bracket is halved down from it: 1 + ⌈log2 start⌉. Else ⌊log2(edge / start)⌋ + 2 doublings,
    the last of which fails, and ⌈log2⌉ of the bracket they leave.
    """
    if edge < start:
        return 1 + ceil(log2(start)) if start > 1 else 1
    doublings = floor(log2(edge / start))
    return doublings + 2 + ceil(log2(start * 2**doublings))
