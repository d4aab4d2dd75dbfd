"""`transformers serve`, to attach to. Known by 5.24, run here with and without continuous batching.

One request after the other, unless it batches. Its usage comes in its last chunk by itself, without a mark behind it; a
field that it does not know it answers with 422. A length is forced by the library's own `generation_config`. It has no
tokenizer to be asked: how many tokens a prompt has, a request for a single token tells. No prompt is too long to it:
beyond what the model was made for it goes on with a warning in its log.
https://huggingface.co/docs/transformers/main/serving
"""

from __future__ import annotations

import json

import msgspec

from tui.core.outcome import Outcome
from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests, openai_stream
from tui.engines.parts.dialect import Dialect, StreamEvent
from tui.engines.parts.questions import Content, OpenAiQuestions, Question, healthy, object_in

# ---- the dialect

_ERROR = b'{"error": "'


def decode(payload: bytes) -> StreamEvent:
    """Read one event: OpenAI's, or an exception. Raises ValueError for what is neither."""
    try:
        return openai_stream.decode(payload)
    except ValueError:
        # The text of an exception is put between the quotes as it is: with quotes or line breaks in it, it is no JSON.
        if not payload.startswith(_ERROR):
            raise
    return StreamEvent(error=payload.removeprefix(_ERROR).decode("utf-8", "replace").strip().removesuffix('"}'))


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means: a batching worker that died refuses with 503 what it will never take again."""
    if "CB worker " in text and (" is dead" in text or " died" in text):
        return Outcome.ENGINE_DEAD
    return openai_stream.outcome_of(status, text)


DIALECT = Dialect(
    decode,
    text_keys=openai_stream.DIALECT.text_keys,
    outcome_of=outcome_of,
    text_of=openai_stream.text_of,
)

# ---- what it can be asked


class TransformersServeQuestions(OpenAiQuestions):
    """Its models, its health, and how many tokens a prompt has."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health: 503 once the worker that batches has died, else always well."""
        return Question("/health", healthy)

    def count(self, model: str, content: Content) -> Question[int] | None:
        """Ask for one token behind a prompt, whose usage tells how many tokens the prompt has."""
        asked = {"model": model, "max_tokens": 1, "temperature": 0}
        if isinstance(content, str):
            return Question("/v1/completions", _prompt_tokens_in, {**asked, "prompt": content}, generates=True)
        return Question("/v1/chat/completions", _prompt_tokens_in, {**asked, "messages": content}, generates=True)


def _prompt_tokens_in(status: int, content: bytes) -> int | None:
    usage = object_in(status, content).get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0 else None


def _is_it(status: int, content: bytes) -> bool:
    paths = object_in(status, content).get("paths")
    return isinstance(paths, dict) and {"/load_model", "/reset", "/v1/chat/completions"} <= set(paths)


# ---- the whole


class TransformersServeEngine(Engine):
    """`transformers serve`, chat and plain completions of a text."""

    name = "transformers-serve"
    title = "transformers serve"
    endpoints = ("chat", "completions")
    mark = Question("/openapi.json", _is_it)
    questions = TransformersServeQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a streaming request for exactly so many tokens, without options that it would refuse."""
        # No token is -1. What batches takes the least length of nobody, and its end token from whoever came first.
        forced = json.dumps({"eos_token_id": -1, "max_new_tokens": wish.output_tokens, "do_sample": False})
        shape = openai_requests.request_shape(
            wish, token_ids=False, extra={"generation_config": forced}, stream_options={}, dialect=f"{__name__}:DIALECT"
        )
        unchanged = openai_requests.is_as_asked(wish.body.get("max_tokens")) and "generation_config" not in wish.body
        return msgspec.structs.replace(shape, exact=unchanged)


ENGINE = TransformersServeEngine()
