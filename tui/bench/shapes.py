"""How this session asks this server: requests made of the profile, and of what the server told or refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui.bench.prompting import Prompts, learn_prompts
from tui.bench.token_count import tokens_per_event
from tui.bench.trial import Trial, try_request
from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.load.wire import PromptSource
from tui.profile.schema import Endpoint, LoadTable
from tui.server.supervisor import Supervisor


class RequestShapes:
    """Learned once, from the first server that is there; all but `by_hand` needs that. asyncio."""

    def __init__(self, load: LoadTable, engine: Engine, supervisor: Supervisor) -> None:
        self._load = load
        self._engine = engine
        self._supervisor = supervisor
        self.prompts: Prompts | None = None
        """What prompts are made of; None = not learned yet."""
        self._trial = Trial()
        """What the server refuses of our requests."""
        self._per_event: list[float | None] = []
        """Tokens in an event, once they were asked for."""

    @property
    def notes(self) -> list[str]:
        """Return what was left out of the requests, and why."""
        return self._trial.notes

    async def learn(self, warn: Callable[[str], None]) -> None:
        """Learn of what prompts are made, and what this server refuses of our requests, before any is measured."""
        load = self._load
        self.prompts = prompts = await learn_prompts(self._supervisor, self._engine, load.endpoint)
        for warning in prompts.warnings:
            warn(warning)
        if self._supervisor.simulated:
            return  # it takes what vLLM takes, and what was asked of it before would change what it measures
        size = load.prompt_tokens[0]
        self._trial = await try_request(
            lambda body: self._of(size, body), prompts.source, load.body, self._supervisor.try_request
        )
        for note in self.notes:
            warn(note)

    def of(self, prompt_tokens: int, output_tokens: int | None = None) -> RequestShape:
        """Return the shape of a request of this size. `output_tokens`: None = as the profile says."""
        return self._of(prompt_tokens, self._changes, output_tokens)

    @property
    def source(self) -> PromptSource:
        """Return what prompts are made of."""
        assert self.prompts is not None
        return self.prompts.source

    def one_token(self) -> tuple[RequestShape, PromptSource] | None:
        """Return a request for a single token; None before the server could be asked."""
        return None if self.prompts is None else (self.of(self._load.prompt_tokens[0], output_tokens=1), self.source)

    def by_hand(self, most: int) -> list[RequestShape]:
        """Return in what ways a question by hand is asked, the best first; `most` tokens are answered.

        By chat where the system has it, for a model's own template makes an answer of what else is a text gone on
        with; else, and where that is refused, as the load asks.
        """
        ways = [Endpoint.CHAT] if Endpoint.CHAT in self._engine.endpoints else []
        return [
            self._engine.request_shape(Wish(self._supervisor.model, way, 0, most, body=self._changes, by_hand=True))
            for way in dict.fromkeys([*ways, self._load.endpoint])
        ]

    async def tokens_per_event(self) -> float | None:
        """Return how many tokens an event bears by the server's tokenizer; None where that cannot be known.

        It is learned once, by an answer of its own, so nothing may be measured at the time.
        """
        if not self._per_event:
            shape, ask, count = (
                self.of(self._load.prompt_tokens[0]),
                self._supervisor.whole_answer,
                self._supervisor.count,
            )
            self._per_event.append(await tokens_per_event(shape, self.source, ask, count))
        return self._per_event[0]

    @property
    def _changes(self) -> dict[str, object]:
        return {**self._load.body, **self._trial.changes}

    def _of(self, prompt_tokens: int, body: Mapping[str, object], output_tokens: int | None = None) -> RequestShape:
        assert self.prompts is not None
        load = self._load
        return self._engine.request_shape(
            Wish(
                self._supervisor.model,
                load.endpoint,
                prompt_tokens,
                load.output_tokens if output_tokens is None else output_tokens,
                self.prompts.overhead_tokens,
                body,
            )
        )
