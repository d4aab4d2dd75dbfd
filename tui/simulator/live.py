"""The modelled engine in real time: requests come in, a step takes as long as the model says, tokens go out.

One thread, one event loop. The engine wakes once per step; a stream wakes when it has tokens to send, and what it
could not send before the next step goes out together with that step's token, as vLLM merges outputs for a consumer
that is slow. Modelled seconds pass `time_scale` times as fast as the clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tui.profile.simulator_table import FailOnPurpose, SimulatorTable
from tui.simulator import vocabulary
from tui.simulator.gauges import Gauges
from tui.simulator.model import Engine, OutOfMemory, Sequence, Step
from tui.simulator.requests import GenerationRequest, Refused

# A loop that was kept from running for longer than this does not make up for it by running steps at once.
_LARGEST_LAG_S = 0.05


class Job:
    """A request in the live engine, and the mailbox of its stream."""

    __slots__ = (
        "_waiter",
        "admitted_s",
        "arrived_s",
        "died_of",
        "first_token_s",
        "gone",
        "last_token_s",
        "request",
        "seed",
        "sequence",
        "taken",
    )

    def __init__(self, request: GenerationRequest, sequence: Sequence, seed: int, arrived_s: float) -> None:
        self.request = request
        self.sequence = sequence
        self.seed = seed
        self.arrived_s = arrived_s
        self.admitted_s = self.first_token_s = self.last_token_s = 0.0
        self.taken = 0
        self.died_of: FailOnPurpose | None = None
        """Of what the engine died under it."""
        self.gone = False
        """The client went away."""
        self._waiter: asyncio.Future[None] | None = None

    async def more(self, tokens: int) -> None:
        """Wait for `tokens` untaken tokens, for the end of the answer, or for either side to go away."""
        while not (
            self.died_of or self.gone or self.sequence.finished or self.sequence.generated - self.taken >= tokens
        ):
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def wake(self) -> None:
        """Tell the stream that something happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> tuple[int, ...]:
        """Return the tokens that were not taken yet."""
        start, self.taken = self.taken, self.sequence.generated
        positions = range(start, self.taken)
        if self.request.speaks:
            return tuple(vocabulary.spoken_token(position) for position in positions)
        return tuple(vocabulary.answer_token(self.seed, position) for position in positions)


class LiveEngine:
    """Steps the model by the clock."""

    def __init__(
        self,
        table: SimulatorTable,
        gauges: Gauges,
        time_scale: float,
        on_death: Callable[[FailOnPurpose], None],
        *,
        refuses: bool = True,
    ) -> None:
        """`on_death` is told, once, what the engine died of; `refuses`: whether its queue may have a limit.

        Raises KvCacheTooSmall.
        """
        self.model = Engine(table)
        self.death: FailOnPurpose | None = None
        """What it died of; None = it lives."""
        self.busy_s = 0.0
        """Modelled seconds spent in steps."""
        self.prompt_tokens = 0
        self.generated_tokens = 0
        self._table = table
        self._gauges = gauges
        self._time_scale = time_scale
        self._on_death = on_death
        self._queue_limit = table.max_num_queued_reqs if refuses else None
        self._jobs: dict[Sequence, Job] = {}
        self._seed = 0
        self.frozen = False
        """Whether it computes nothing any more."""
        self._failing_from = 0
        """Tokens that were generated before the present engine came up."""
        self._arrived = asyncio.Event()

    @property
    def dead(self) -> bool:
        """Say whether it died."""
        return self.death is not None

    def now_s(self) -> float:
        """Return the modelled time."""
        return asyncio.get_running_loop().time() * self._time_scale

    def submit(self, request: GenerationRequest) -> Job:
        """Queue a request. Raises Refused when the queue has its limit."""
        limit = self._queue_limit
        if limit is not None and len(self.model.waiting) >= limit:
            self._gauges.rejections.inc()
            message = "The engine is currently busy and cannot accept new requests. Please try again later."
            raise Refused(503, message, kind="ServiceUnavailableError")
        prefix = vocabulary.prefix_hashes(request.prompt, self._table.block_size)
        sequence = Sequence(len(request.prompt), request.output_limit, prefix)
        self._seed += 1
        job = self._jobs[sequence] = Job(request, sequence, self._seed, self.now_s())
        delay_s = self._table.request_overhead_s / self._time_scale
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._queue, job)
        else:
            self._queue(job)
        return job

    def drop(self, job: Job) -> None:
        """Forget a request; what it holds in the KV cache is free at once."""
        if self._jobs.pop(job.sequence, None) is not None:
            self.model.abort(job.sequence)

    def freeze(self) -> None:
        """Stop computing: streams stall, connections stay open."""
        self.frozen = True

    def come_back(self) -> None:
        """Be another engine, with an empty KV cache; `run` is to be called again."""
        self._jobs.clear()
        self.model = Engine(self._table)
        self.death, self.frozen = None, False
        self._failing_from = self.generated_tokens

    async def run(self) -> None:
        """Step until cancelled, frozen or dead."""
        loop = asyncio.get_running_loop()
        deadline = loop.time()
        while not self.frozen:
            if not self.model.has_work:
                self._arrived.clear()
                await self._arrived.wait()
                deadline = loop.time()
                continue
            try:
                step = self.model.begin_step()
            except OutOfMemory:
                self._die(FailOnPurpose.OOM_RUNTIME)
                return
            self._note_admitted(step)
            deadline = max(deadline, loop.time() - _LARGEST_LAG_S) + step.duration_s / self._time_scale
            await asyncio.sleep(deadline - loop.time())
            if not self.frozen:
                self._finish(step)
                self._fail_on_purpose()

    def _queue(self, job: Job) -> None:
        if job.sequence in self._jobs:
            self.model.add(job.sequence)
            self._arrived.set()

    def _note_admitted(self, step: Step) -> None:
        now_s = self.now_s()
        for sequence, _ in reversed(step.scheduled):  # the newly admitted ones stand at the end
            job = self._jobs[sequence]
            if job.admitted_s:
                return
            job.admitted_s = now_s

    def _finish(self, step: Step) -> None:
        now_s = self.now_s()
        self.busy_s += step.duration_s
        self._gauges.iteration.observe(sum(tokens for _, tokens in step.scheduled))
        grown = self.model.finish_step(step)
        itl = self._gauges.itl_s
        for sequence in grown:
            job = self._jobs[sequence]
            if sequence.generated == 1:
                self._count_first(job, now_s)
            else:
                itl.observe(now_s - job.last_token_s)
            job.last_token_s = now_s
            if sequence.finished:
                self._count_finished(job, now_s)
            job.wake()
        self.generated_tokens += len(grown)
        self._gauges.generation_tokens.inc(len(grown))

    def _count_first(self, job: Job, now_s: float) -> None:
        job.first_token_s = now_s
        self.prompt_tokens += job.sequence.prompt_tokens
        self._gauges.prompt_tokens.inc(job.sequence.prompt_tokens)
        self._gauges.ttft_s.observe(now_s - job.arrived_s)

    def _count_finished(self, job: Job, now_s: float) -> None:
        del self._jobs[job.sequence]
        gauges, tokens = self._gauges, job.sequence.generated
        gauges.e2e_s.observe(now_s - job.arrived_s)
        gauges.note_finished(queued_s=job.admitted_s - job.arrived_s)
        gauges.inference_s.observe(now_s - job.admitted_s)
        gauges.prefill_s.observe(job.first_token_s - job.admitted_s)
        gauges.decode_s.observe(now_s - job.first_token_s)
        gauges.request_preemptions.observe(job.sequence.preemptions)
        gauges.request_prompt.observe(job.sequence.prompt_tokens)
        gauges.request_output.observe(tokens)
        if tokens > 1:
            gauges.tpot_s.observe((now_s - job.first_token_s) / (tokens - 1))
        gauges.success[job.request.finish_reason].inc()

    def _fail_on_purpose(self) -> None:
        fail = self._table.fail
        if fail is None or self.generated_tokens - self._failing_from < self._table.fail_after_tokens:
            return
        if fail in (FailOnPurpose.OOM_RUNTIME, FailOnPurpose.WORKER_KILLED):
            self._die(fail)
        elif fail is FailOnPurpose.HANG:
            self.freeze()

    def _die(self, cause: FailOnPurpose) -> None:
        self.death, self.frozen = cause, True
        self._on_death(cause)
        for job in self._jobs.values():
            job.died_of = cause
            job.wake()
