"""What clients send, checked as vLLM checks it: every refusal has its status, type, wording and parameter.

Sources: answers of vLLM 0.32.0 (tests/corpus/streams/http.txt) and vllm/entrypoints/openai.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from tui.simulator import vocabulary

_T = TypeVar("_T")
_DEFAULT_COMPLETION_TOKENS = 16
_LONGEST_OWN_ANSWER = 256


class Refused(Exception):
    """The request is answered with an error body."""

    def __init__(self, status: int, message: str, *, kind: str = "BadRequestError", param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.param = param

    @property
    def body(self) -> dict[str, Any]:
        """Return the error body."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.status}}


class StreamOptions(msgspec.Struct):
    """The `stream_options` of a request."""

    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class _Body(msgspec.Struct, kw_only=True):
    """What both ways to ask share; all else that vLLM knows is accepted and ignored."""

    model: str | None = None
    max_tokens: int | None = None
    min_tokens: int | None = 0
    ignore_eos: bool | None = False
    temperature: float | None = None
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    return_token_ids: bool | None = False
    n: int | None = 1
    echo: bool | None = False


class CompletionBody(_Body, kw_only=True):
    """The body of POST /v1/completions."""

    prompt: Any = None


class ChatBody(_Body, kw_only=True):
    """The body of POST /v1/chat/completions."""

    messages: list[dict[str, Any]] = []
    max_completion_tokens: int | None = None


class TokenizeBody(msgspec.Struct):
    """The body of POST /tokenize."""

    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    add_special_tokens: bool = True


class DetokenizeBody(msgspec.Struct):
    """The body of POST /detokenize."""

    tokens: list[int] = []


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request that was accepted."""

    prompt: list[int]
    output_limit: int
    finish_reason: str
    """`length`, or `stop` where the model ends by itself."""
    chat: bool = False
    stream: bool = True
    include_usage: bool = False
    continuous_usage: bool = False
    return_token_ids: bool = False
    speaks: bool = False
    """Whether a person may read the answer: then it is words that say what they are."""
    asked: int | None = None
    """How many tokens were asked for, where fewer are given without a word; None = as many."""


def parse(body: bytes, kind: type[_T]) -> _T:
    """Return the body as `kind`. Raises Refused."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refused(400, f"1 validation error:\n  {error}", kind="Bad Request") from None
    except msgspec.DecodeError:
        raise _broken_json(body) from None


def accept_completion(body: CompletionBody, *, model: str, max_model_len: int) -> GenerationRequest:
    """Return what a completion asks for. Raises Refused."""
    _check_model(body.model, model)
    prompt = _prompt(body.prompt)
    asked = body.max_tokens if body.max_tokens is not None else _DEFAULT_COMPLETION_TOKENS
    return _accept(body, prompt, asked, chat=False, max_model_len=max_model_len)


def accept_chat(body: ChatBody, *, model: str, max_model_len: int) -> GenerationRequest:
    """Return what a chat completion asks for. Raises Refused."""
    _check_model(body.model, model)
    prompt = vocabulary.encode_messages(messages_text(body.messages))
    asked = body.max_completion_tokens if body.max_completion_tokens is not None else body.max_tokens
    return _accept(body, prompt, asked, chat=True, max_model_len=max_model_len)


def messages_text(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (role, text) of each message; parts that are no text count for nothing. Raises Refused."""
    if not messages:
        raise Refused(400, "You must pass at least one message", param="messages")
    texts: list[tuple[str, str]] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
        texts.append((str(message.get("role", "user")), content if isinstance(content, str) else ""))
    return texts


def _accept(body: _Body, prompt: list[int], asked: int | None, *, chat: bool, max_model_len: int) -> GenerationRequest:
    if body.temperature is not None and body.temperature < 0:
        message = f"temperature must be non-negative, got {body.temperature}."
        raise Refused(400, f"{message} (parameter=temperature, value={body.temperature})", param="temperature")
    if (body.n or 1) != 1 or body.echo:
        raise Refused(400, "The simulated server gives one answer per request, without echo.", param="n")
    if body.stream_options is not None and not body.stream:
        raise Refused(400, "Stream options can only be defined when `stream=True`.", param="stream_options")
    if len(prompt) > max_model_len:
        raise _too_long(len(prompt), max_model_len)
    # What does not fit any more is cut without a word: 200, and fewer tokens than asked for.
    limit = min(asked if asked is not None else max_model_len, max_model_len - len(prompt))
    if limit < 1:
        raise Refused(
            400,
            f"max_tokens must be at least 1, got {limit}. (parameter=max_tokens, value={limit})",
            param="max_tokens",
        )
    least = body.min_tokens or 0
    if least > limit:
        raise Refused(400, f"min_tokens must be less than or equal to max_tokens={limit}, got {least}.")
    length, reason = answer_length(prompt, limit, least=least, forced=bool(body.ignore_eos))
    options = body.stream_options or StreamOptions()
    return GenerationRequest(
        prompt=prompt,
        output_limit=length,
        finish_reason=reason,
        chat=chat,
        stream=bool(body.stream),
        include_usage=bool(options.include_usage),
        continuous_usage=bool(options.include_usage and options.continuous_usage_stats),
        return_token_ids=bool(body.return_token_ids),
        speaks=chat and not body.ignore_eos,
    )


def answer_length(prompt: list[int], limit: int, *, least: int = 0, forced: bool = False) -> tuple[int, str]:
    """Return how many tokens the simulated model gives, and why it ends: by itself, unless `forced` up to the limit."""
    own = limit if forced else max(least, 16 + sum(prompt[-16:]) % _LONGEST_OWN_ANSWER)
    return min(limit, own), "length" if own >= limit else "stop"


def _prompt(prompt: object) -> list[int]:
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], list | str):
        prompt = prompt[0]
    if isinstance(prompt, str):
        tokens = [vocabulary.START, *vocabulary.encode(prompt)] if prompt else []
    elif isinstance(prompt, list) and all(type(token) is int for token in prompt):
        tokens = prompt
        for token in (min(tokens, default=0), max(tokens, default=0)):
            if not 0 <= token < vocabulary.SIZE:
                raise Refused(400, f"Token id {token} is out of vocabulary")
    elif prompt is None:
        tokens = []
    else:
        raise Refused(400, "The simulated server takes one prompt per request: a text or a list of token ids.")
    if not tokens:
        raise Refused(400, "You must pass at least one prompt")
    return tokens


def _check_model(asked: str | None, served: str) -> None:
    if asked is not None and asked != served:
        message = f"The model `{asked}` does not exist. Valid aliases: {served}."
        raise Refused(404, message, kind="NotFoundError", param="model")


def _too_long(tokens: int, limit: int) -> Refused:
    return Refused(
        400,
        f"This model's maximum context length is {limit} tokens. However, your prompt contains {tokens} input tokens, "
        "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt. "
        f"(parameter=input_tokens, value={tokens})",
        param="input_tokens",
    )


def _broken_json(body: bytes) -> Refused:
    place, reason = "body.0", "Expecting value"
    try:
        json.loads(body)
    except json.JSONDecodeError as error:
        place, reason = f"body.{error.pos}", error.msg
    except (UnicodeDecodeError, RecursionError):
        reason = "not readable as JSON"
    message = (
        f"1 validation error:\n  {{'type': 'json_invalid', 'loc': '{place}', 'msg': 'JSON decode error', "
        f"'input': '<dict of 0 items>', 'ctx': {{'error': '{reason}'}}}}"
    )
    return Refused(400, message, kind="Bad Request", param=place)
