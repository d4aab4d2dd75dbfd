from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.profile.simulator_table import SimulatorTable
from tui.simulator.model import Engine, KvCacheTooSmall, OutOfMemory, Sequence


def table(**changes: object) -> SimulatorTable:
    values: dict[str, object] = {
        "step_base_s": 1.0,
        "step_per_sequence_s": 0.0,
        "step_per_cached_token_s": 0.0,
        "prefill_per_token_s": 0.0,
        "max_model_len": 128,
        "max_num_batched_tokens": 64,
        "kv_cache_tokens": 1024,
        **changes,
    }
    return SimulatorTable(**values)  # type: ignore[arg-type]


def run(engine: Engine) -> tuple[list[Sequence], float]:
    """Step until all is done; return the sequences in the order in which they finished, and the time."""
    finished, now_s = [], 0.0
    while engine.has_work:
        step = engine.begin_step()
        now_s += step.duration_s
        finished += [sequence for sequence in engine.finish_step(step) if sequence.finished]
    return finished, now_s


def test_one_request_takes_its_prefill_step_and_one_step_per_further_token() -> None:
    engine = Engine(table())
    engine.add(Sequence(32, 10))
    assert run(engine)[1] == 10.0


def test_a_long_prompt_is_computed_in_chunks_within_the_budget() -> None:
    engine = Engine(table(max_num_batched_tokens=40))
    engine.add(Sequence(100, 1))
    computed = []
    while engine.has_work:
        step = engine.begin_step()
        computed.append((step.prefill_tokens, step.cached_tokens))
        engine.finish_step(step)
    assert computed == [(40, 0), (40, 40), (20, 80)]


def test_a_step_costs_what_the_formula_says() -> None:
    engine = Engine(
        table(
            step_base_s=0.5,
            step_per_sequence_s=0.01,
            step_sequence_exponent=2.0,
            step_per_cached_token_s=0.001,
            prefill_per_token_s=0.1,
        )
    )
    for _ in range(3):
        engine.add(Sequence(20, 5))
    first = engine.begin_step()
    assert first.duration_s == pytest.approx(0.5 + 0.01 * 9 + 0.1 * 60)
    engine.finish_step(first)
    second = engine.begin_step()
    assert (second.cached_tokens, second.prefill_tokens) == (60, 0)
    assert second.duration_s == pytest.approx(0.5 + 0.01 * 9 + 0.001 * 60)


def test_decoding_goes_on_while_a_prompt_is_computed() -> None:
    engine = Engine(table(max_num_batched_tokens=17))
    first = Sequence(16, 10)
    engine.add(first)
    engine.finish_step(engine.begin_step())
    engine.add(Sequence(64, 1))
    step = engine.begin_step()
    assert [tokens for _, tokens in step.scheduled] == [1, 16]
    assert engine.finish_step(step) == [first]


def test_no_more_run_than_allowed() -> None:
    engine = Engine(table(max_num_seqs=2))
    for _ in range(5):
        engine.add(Sequence(8, 3))
    engine.begin_step()
    assert (len(engine.running), len(engine.waiting)) == (2, 3)


def test_the_latest_is_preempted_and_computed_anew_when_blocks_run_out() -> None:
    engine = Engine(table(max_model_len=64, kv_cache_tokens=64))
    first, second = Sequence(30, 20), Sequence(30, 20)
    engine.add(first)
    engine.add(second)
    finished, _ = run(engine)
    assert finished == [first, second]
    assert (first.preemptions, second.preemptions, engine.preemptions_total) == (0, 1, 1)
    assert second.generated == 20
    assert engine.pool.used == 0


def test_the_same_prompt_again_costs_next_to_no_prefill() -> None:
    engine = Engine(table())
    hashes = [1, 2, 3, 4]
    engine.add(Sequence(64, 1, hashes))
    run(engine)
    again = Sequence(64, 1, hashes)
    engine.add(again)
    step = engine.begin_step()
    # The last block is computed once more: a token to sample from is needed.
    assert (step.prefill_tokens, again.cached_tokens) == (16, 48)
    assert (engine.prefix_queries_total, engine.prefix_hits_total) == (128, 48)


def test_other_prompts_find_nothing_in_the_prefix_cache() -> None:
    engine = Engine(table())
    for first in (1, 100, 200):
        engine.add(Sequence(64, 1, [first, first + 1, first + 2, first + 3]))
    run(engine)
    assert engine.prefix_hits_total == 0


def test_two_of_one_prompt_at_once_share_nothing_and_finish() -> None:
    engine = Engine(table(max_num_batched_tokens=128))
    for _ in range(2):
        engine.add(Sequence(64, 5, [1, 2, 3, 4]))
    assert len(run(engine)[0]) == 2
    assert engine.pool.used == 0


def test_past_the_memory_limit_the_engine_dies() -> None:
    engine = Engine(table(memory_limit_tokens=40))
    engine.add(Sequence(20, 30))
    with pytest.raises(OutOfMemory):
        run(engine)
    engine = Engine(table(memory_limit_tokens=50))
    engine.add(Sequence(20, 30))
    run(engine)


def test_waiting_requests_take_memory_too_where_the_table_says_so() -> None:
    engine = Engine(table(memory_limit_tokens=100, memory_per_request_tokens=30.0, max_num_seqs=1))
    for _ in range(3):
        engine.add(Sequence(20, 1))
    with pytest.raises(OutOfMemory):
        engine.begin_step()


def test_an_aborted_request_leaves_nothing_even_in_mid_step() -> None:
    engine = Engine(table())
    gone, stays, queued = Sequence(40, 5), Sequence(8, 5), Sequence(8, 5)
    for sequence in (gone, stays):
        engine.add(sequence)
    step = engine.begin_step()
    engine.add(queued)
    engine.abort(gone)
    engine.abort(queued)
    assert engine.finish_step(step) == [stays]
    assert run(engine)[0] == [stays]
    assert engine.pool.used == 0


def test_a_kv_cache_below_one_longest_request_is_refused() -> None:
    with pytest.raises(KvCacheTooSmall):
        Engine(table(kv_cache_tokens=127))


@pytest.mark.parametrize(("prompt", "output"), [(0, 5), (5, 0), (100, 29)])
def test_a_request_that_could_not_finish_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Engine(table()).add(Sequence(prompt, output))


_requests = st.lists(st.tuples(st.integers(1, 90), st.integers(1, 38)), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(
    requests=_requests,
    kv_cache_tokens=st.integers(128, 700),
    budget=st.integers(1, 200),
    seqs=st.integers(1, 12),
    shared=st.booleans(),
)
def test_all_finish_with_all_tokens_and_all_blocks_come_back(
    requests: list[tuple[int, int]], kv_cache_tokens: int, budget: int, seqs: int, shared: bool
) -> None:
    limits = table(kv_cache_tokens=kv_cache_tokens, max_num_batched_tokens=budget, max_num_seqs=seqs)
    engine = Engine(limits)
    sequences = [
        Sequence(prompt, output, [(0 if shared else 1000 * index) + block for block in range(prompt // 16)])
        for index, (prompt, output) in enumerate(requests)
    ]
    for sequence in sequences:
        engine.add(sequence)
    tokens = 0
    while engine.has_work:
        step = engine.begin_step()
        assert step.scheduled, "a step that computes nothing would never end"
        assert sum(count for _, count in step.scheduled) <= budget
        assert len(engine.running) <= seqs
        assert 0 <= engine.kv_usage <= 1
        tokens += len(engine.finish_step(step))
    assert tokens == sum(output for _, output in requests)
    assert all(sequence.finished for sequence in sequences)
    assert engine.pool.used == 0


@given(requests=_requests)
@settings(max_examples=50, deadline=None)
def test_first_come_first_served(requests: list[tuple[int, int]]) -> None:
    engine = Engine(table(max_num_seqs=3))
    sequences = [Sequence(prompt, output) for prompt, output in requests]
    for sequence in sequences:
        engine.add(sequence)
    order: list[Sequence] = []
    while engine.has_work:
        step = engine.begin_step()
        order += [sequence for sequence in engine.running if sequence not in order]
        engine.finish_step(step)
    assert order == sequences
