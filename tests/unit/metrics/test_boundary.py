"""How many users a KV cache holds, in whole blocks: foretold and found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.core.outcome import Outcome
from tui.metrics.boundary import Edge, KvPool, edges, must_queue
from tui.metrics.cell import CellResult
from tui.metrics.limits import Limit, Verdict


def test_cells_that_do_not_fit_at_once_must_queue() -> None:
    assert must_queue(KvPool(tokens=4096), [2, 16], [64, 512], 64) == [(16, 512)]
    assert must_queue(KvPool(tokens=2048), [16], [64], 64) == []  # just fits
    assert must_queue(KvPool(tokens=2047), [16], [64], 64) == [(16, 64)]
    assert must_queue(KvPool(), [1024], [8192], 64) == []


def test_blocks_are_handed_out_whole() -> None:
    # 1,023 blocks of 128 for a vLLM on the CPU with 131,072 tokens: a request of 129 takes two.
    pool = KvPool(tokens=131_072, blocks=1023, block_size=128)
    assert pool.requests_of(128) == 1023
    assert pool.requests_of(129) == 511
    # The larger blocks of a hybrid model hold fewer short requests for the same number of tokens.
    assert KvPool(tokens=131_072, blocks=127, block_size=1024).requests_of(129) == 127
    # A hybrid model: one block of 784 tokens for attention, three for the states of its Mamba layers.
    assert KvPool(tokens=131_072, blocks=400, block_size=784, state_blocks=3).requests_of(196) == 100
    assert KvPool(tokens=131_072, blocks=400, block_size=784, state_blocks=3).requests_of(785) == 80
    assert must_queue(pool, [511, 512], [29], 100) == [(512, 29)]


@given(st.integers(1, 10**6), st.integers(1, 2048), st.integers(1, 10**5))
def test_whole_blocks_never_hold_more_than_their_tokens(blocks: int, size: int, tokens: int) -> None:
    fit = KvPool(tokens=blocks * size, blocks=blocks, block_size=size).requests_of(tokens)
    assert fit is not None
    assert fit * tokens <= blocks * size
    assert (fit + 1) * -(-tokens // size) > blocks


def cell(users: int, limit: Limit, outcome: Outcome = Outcome.OK) -> CellResult:
    verdict = Verdict(limit=limit, sentence="")
    return CellResult(users=users, prompt_tokens=60, output_tokens=4, mode="burst", outcome=outcome, verdict=verdict)


def test_the_measured_edge_lies_below_the_fewest_users_that_the_cache_could_not_carry() -> None:
    pool = KvPool(tokens=640, blocks=10, block_size=64)
    cells = [cell(1, Limit.NONE), cell(4, Limit.DECODE), cell(16, Limit.KV_CACHE), cell(32, Limit.PREFILL)]
    found = edges(pool, cells, [60, 500], 4)
    assert found == [
        Edge(prompt_tokens=60, predicted=10, measured=4, beyond=16),
        Edge(prompt_tokens=500, predicted=1),
    ]
    died = [cell(8, Limit.MEMORY, Outcome.OOM_RUNTIME)]
    assert edges(KvPool(), died, [60], 4) == [Edge(prompt_tokens=60, measured=0, beyond=8)]
    assert edges(KvPool(), [cell(8, Limit.NONE)], [60], 4) == [Edge(prompt_tokens=60, measured=8)]
    assert edges(KvPool(), [], [60], 4) == []
