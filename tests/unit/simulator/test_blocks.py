from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.simulator.blocks import BlockPool, BlockTable


def test_growing_takes_whole_blocks() -> None:
    pool, table = BlockPool(4, 16), BlockTable()
    assert pool.grow(table, 17)
    assert (table.held, pool.used, pool.usage) == (2, 2, 0.5)
    assert pool.grow(table, 32)
    assert pool.used == 2


def test_what_does_not_fit_changes_nothing() -> None:
    pool, table = BlockPool(4, 16), BlockTable()
    assert pool.grow(table, 16)
    assert not pool.grow(table, 65)
    assert (table.held, pool.used) == (1, 1)


def test_a_published_prefix_is_shared_and_outlives_its_owner() -> None:
    pool, first, second = BlockPool(8, 16), BlockTable(), BlockTable()
    assert pool.grow(first, 40)
    assert pool.publish(first, 11)
    assert pool.publish(first, 22)
    assert pool.claim_prefix(second, [11, 22, 33]) == 2
    assert pool.used == 3
    pool.release(first)
    pool.release(second)
    assert (pool.used, pool.idle) == (0, 2)
    assert pool.claim_prefix(second, [11, 22]) == 2


def test_idle_blocks_give_way_the_tail_of_a_prefix_first() -> None:
    pool, table, other = BlockPool(3, 16), BlockTable(), BlockTable()
    assert pool.grow(table, 32)
    assert pool.publish(table, 11)
    assert pool.publish(table, 22)
    pool.release(table)
    assert pool.grow(other, 32)
    assert pool.claim_prefix(BlockTable(), [11, 22]) == 1


def test_a_hash_that_is_taken_is_not_published_twice() -> None:
    pool, first, second = BlockPool(4, 16), BlockTable(), BlockTable()
    assert pool.grow(first, 16)
    assert pool.grow(second, 16)
    assert pool.publish(first, 11)
    assert not pool.publish(second, 11)
    assert pool.used == 2


@pytest.mark.parametrize(("blocks", "size"), [(0, 16), (4, 0)])
def test_an_empty_pool_is_refused(blocks: int, size: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BlockPool(blocks, size)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["grow", "publish", "release", "claim"])), max_size=80))
def test_blocks_are_conserved(acts: list[tuple[int, str]]) -> None:
    pool = BlockPool(12, 16)
    tables = [BlockTable() for _ in range(6)]
    prefixes = [[100 * (index % 2) + step for step in range(4)] for index in range(6)]
    for index, act in acts:
        table = tables[index]
        if act == "grow":
            pool.grow(table, 16 * (table.held + 1))
        elif act == "publish" and table.private and len(table.shared) < 4:
            pool.publish(table, prefixes[index][len(table.shared)])
        elif act == "release":
            pool.release(table)
        elif act == "claim" and not table.held:
            pool.claim_prefix(table, prefixes[index])
        distinct = {block for each in tables for block in each.shared}
        assert pool.used == sum(each.private for each in tables) + len(distinct)
        assert pool.used + pool.idle <= pool.blocks
    for table in tables:
        pool.release(table)
    assert pool.used == 0
