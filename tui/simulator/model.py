"""A continuous-batching engine, stepped: iteration-level scheduling after vLLM's v1 scheduler.

Pure and without clocks. `begin_step` says what the next step computes and how long it takes; `finish_step` says what
came out. Whoever steps it decides what passes for time: the HTTP server waits, the tests and the fit just add up.
Times are seconds of the modelled engine. One thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Items
from dataclasses import dataclass

from tui.profile.simulator_table import SimulatorTable
from tui.simulator.blocks import BlockPool, BlockTable


class OutOfMemory(Exception):
    """The running batch needs more memory than the cards have: the engine dies."""


class KvCacheTooSmall(ValueError):
    """The KV cache cannot hold one request of the longest allowed length."""


class Sequence:
    """One request inside the engine."""

    __slots__ = (
        "cached_tokens",
        "computed",
        "generated",
        "output_limit",
        "preemptions",
        "prefix",
        "prompt_tokens",
        "published",
        "table",
    )

    def __init__(self, prompt_tokens: int, output_limit: int, prefix: Items[int] = ()) -> None:
        """`prefix`: one hash per full block of the prompt, each covering all before it; empty = nothing is shared."""
        self.prompt_tokens = prompt_tokens
        self.output_limit = output_limit
        self.prefix = prefix
        self.generated = 0
        self.computed = 0
        """Tokens whose keys and values are in the cache."""
        self.cached_tokens = 0
        """Of these, how many the prefix cache gave at the latest admission."""
        self.published = 0
        self.preemptions = 0
        self.table = BlockTable()

    @property
    def length(self) -> int:
        """Return prompt and generated tokens."""
        return self.prompt_tokens + self.generated

    @property
    def finished(self) -> bool:
        """Say whether all its tokens were generated."""
        return self.generated >= self.output_limit


@dataclass(slots=True)
class Step:
    """One pass of the model over the running batch."""

    scheduled: list[tuple[Sequence, int]]
    """Sequences and how many tokens of each are computed."""
    cached_tokens: int
    """In the KV cache of these sequences before the step."""
    prefill_tokens: int
    """Computed in this step for prompts, and for answers that were preempted."""
    duration_s: float


class Engine:
    """The scheduler, the KV cache and the cost of a step."""

    def __init__(self, table: SimulatorTable) -> None:
        """Raises KvCacheTooSmall, as vLLM does at its start."""
        self._table = table
        self._pool = BlockPool(max(1, table.kv_cache_tokens // table.block_size), table.block_size)
        if self._pool.blocks * table.block_size < table.max_model_len:
            raise KvCacheTooSmall(f"{table.kv_cache_tokens} tokens of KV cache, max_model_len {table.max_model_len}")
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.preemptions_total = 0
        self.prefix_queries_total = 0
        self.prefix_hits_total = 0

    @property
    def has_work(self) -> bool:
        """Say whether a step has anything to do."""
        return bool(self.running or self.waiting)

    @property
    def kv_usage(self) -> float:
        """Return the used share of the KV cache, 0 to 1."""
        return self._pool.usage

    @property
    def pool(self) -> BlockPool:
        """Return the KV cache."""
        return self._pool

    @property
    def tokens_alive(self) -> int:
        """Return the tokens that the running batch has in the KV cache."""
        return sum(sequence.computed for sequence in self.running)

    def add(self, sequence: Sequence) -> None:
        """Put a request at the end of the queue. Raises ValueError for one that could never finish."""
        if not 0 < sequence.prompt_tokens < sequence.prompt_tokens + sequence.output_limit <= self._table.max_model_len:
            raise ValueError(f"{sequence.prompt_tokens} + {sequence.output_limit} tokens do not fit")
        self.waiting.append(sequence)

    def abort(self, sequence: Sequence) -> None:
        """Forget a request, wherever it is; one that is not there is no error."""
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._pool.release(sequence.table)

    def begin_step(self) -> Step:
        """Schedule a step: running sequences first, then waiting ones in the order of their arrival.

        Raises OutOfMemory when the batch that results does not fit the cards.
        """
        scheduled: list[tuple[Sequence, int]] = []
        budget, preempted = self._schedule_running(scheduled)
        if not preempted:
            self._admit(scheduled, budget)
        cached = prefill = 0
        for sequence, tokens in scheduled:
            cached += sequence.computed
            if tokens > 1 or sequence.computed < sequence.prompt_tokens:
                prefill += tokens
        self._check_memory(scheduled)
        return Step(scheduled, cached, prefill, self.duration_s(len(scheduled), cached, prefill))

    def finish_step(self, step: Step) -> list[Sequence]:
        """Book what the step computed; return the sequences that got a token, finished ones among them."""
        grown = []
        done = False
        for sequence, tokens in step.scheduled:
            if not sequence.table.held:  # aborted in mid step
                continue
            sequence.computed += tokens
            if sequence.published < len(sequence.prefix):
                self._publish(sequence)
            if sequence.computed == sequence.prompt_tokens + sequence.generated:
                sequence.generated += 1
                grown.append(sequence)
                if sequence.generated >= sequence.output_limit:
                    self._pool.release(sequence.table)
                    done = True
        if done:
            self.running = [sequence for sequence in self.running if not sequence.finished]
        return grown

    def duration_s(self, sequences: int, cached_tokens: int, prefill_tokens: int) -> float:
        """Return how long a step takes, s."""
        table = self._table
        batch: float = sequences**table.step_sequence_exponent
        return (
            table.step_base_s
            + table.step_per_sequence_s * batch
            + table.step_per_cached_token_s * cached_tokens
            + table.prefill_per_token_s * prefill_tokens
        )

    def _schedule_running(self, scheduled: list[tuple[Sequence, int]]) -> tuple[int, bool]:
        budget = self._table.max_num_batched_tokens
        preempted = False
        index = 0
        while index < len(self.running) and budget:
            sequence = self.running[index]
            tokens = min(sequence.prompt_tokens + sequence.generated - sequence.computed, budget)
            while not self._pool.grow(sequence.table, sequence.computed + tokens):
                victim = self.running.pop()
                self._preempt(victim)
                preempted = True
                if victim is sequence:
                    return budget, preempted
            scheduled.append((sequence, tokens))
            budget -= tokens
            index += 1
        return budget, preempted

    def _preempt(self, sequence: Sequence) -> None:
        """Back to the head of the queue, to be computed again: recomputation, not swapping."""
        self._pool.release(sequence.table)
        sequence.computed = sequence.published = 0
        sequence.preemptions += 1
        self.preemptions_total += 1
        self.waiting.appendleft(sequence)

    def _admit(self, scheduled: list[tuple[Sequence, int]], budget: int) -> None:
        size = self._table.block_size
        while self.waiting and budget and len(self.running) < self._table.max_num_seqs:
            sequence = self.waiting[0]
            # At least one token must be computed, or there would be no logits to sample from.
            known = self._pool.claim_prefix(sequence.table, sequence.prefix[: (sequence.length - 1) // size])
            tokens = min(sequence.length - known * size, budget)
            if not self._pool.grow(sequence.table, known * size + tokens):
                self._pool.release(sequence.table)
                return
            sequence.computed = sequence.cached_tokens = known * size
            sequence.published = known
            if not sequence.preemptions:
                self.prefix_queries_total += sequence.prompt_tokens
                self.prefix_hits_total += known * size
            scheduled.append((sequence, tokens))
            budget -= tokens
            self.running.append(self.waiting.popleft())

    def _publish(self, sequence: Sequence) -> None:
        full = min(sequence.computed // self._table.block_size, len(sequence.prefix))
        while sequence.published < full and self._pool.publish(sequence.table, sequence.prefix[sequence.published]):
            sequence.published += 1
        if sequence.published < full:  # another sequence computed the same prompt at the same time: keep a copy
            sequence.published = len(sequence.prefix)

    def _check_memory(self, scheduled: list[tuple[Sequence, int]]) -> None:
        limit = self._table.memory_limit_tokens
        if limit is None:
            return
        needed = (
            sum(sequence.computed for sequence in self.running)
            + sum(tokens for _, tokens in scheduled)
            + self._table.memory_per_request_tokens * (len(self.running) + len(self.waiting))
        )
        if needed > limit:
            raise OutOfMemory(f"{needed:.0f} tokens' worth of memory, limit {limit}")
