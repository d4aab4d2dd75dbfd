"""OpenAI's API as most systems have it, that is to say not byte by byte vLLM's: completions, chat, the list of models.

What differs between systems is a `Flavour`, of which each dialect has one of its own.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests, vocabulary
from tui.simulator.dialect import OUT_OF_MEMORY, Served, ServedDialect, Way, Writer, json_response, sse
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.requests import GenerationRequest, Refused

DONE = b"data: [DONE]\n\n"
_ANY_LENGTH = 10**9


class Flavour:
    """What a system makes of OpenAI's API."""

    owner = "simulated"
    """Whose the models are, by their list."""
    mark: bytes = DONE
    """What ends a stream; empty = nothing does but its finish reason."""
    usage_with_reason = False
    """Whether the usage comes with the finish reason, asked for or not, and in no event of its own."""
    fields: frozenset[str] | None = None
    """The fields that requests may have; None = any."""

    def forces(self, body: bytes) -> bool:
        """Say whether a request keeps the model from ending by itself, in a way other than `ignore_eos`."""
        return False

    def choice_more(self) -> dict[str, Any]:
        """Return what each choice of a stream has besides."""
        return {"logprobs": None}

    def too_long(self, prompt: int, limit: int) -> str:
        """Return the words for a prompt that is too long, or whose answer is."""
        return (
            f"This model's maximum context length is {limit} tokens. However, your messages resulted in {prompt} "
            "tokens. Please reduce the length of the messages."
        )

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        return json_response(refused.body, refused.status)

    def overload(self) -> Response:
        """Return the answer to a request for which there is no room."""
        refused = Refused(429, "The engine is currently overloaded, please try again later", kind="requests")
        return self.error(refused)

    def unknown_field(self, name: str) -> Refused:
        """Return the refusal of a field that is not known."""
        return Refused(400, f"Unrecognized request argument supplied: {name}", kind="invalid_request_error")

    def died(self, cause: FailOnPurpose) -> str:
        """Return the words for an engine that died."""
        if cause is FailOnPurpose.OOM_RUNTIME:
            return OUT_OF_MEMORY
        return "The engine died: a process of it was killed (SIMULATED)"

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return what a stream holds last whose engine died."""
        error = {"error": {"message": self.died(cause), "type": "server_error", "param": None, "code": 500}}
        return sse(json.dumps(error).encode()), *([self.mark] if self.mark else [])

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return the answer to a request whose engine has died."""
        return self.error(Refused(500, self.died(cause), kind="server_error"))


class OpenAiWriter(Writer):
    """Tokens without a reason, then the reason without a token, then the usage, then the mark."""

    def __init__(self, request: GenerationRequest, head: dict[str, Any], flavour: Flavour) -> None:
        self._request = request
        self._flavour = flavour
        self._head = b"data: " + msgspec.json.encode(head)[:-1] + b',"choices":['
        self._more = msgspec.json.encode(flavour.choice_more())[1:-1]
        self._delta = b'{"index":0,"delta":{"content":%s},' if request.chat else b'{"index":0,"text":%s,'

    def first(self) -> bytes:
        """Return the role of a chat."""
        if not self._request.chat:
            return b""
        return self._event(b'{"index":0,"delta":{"role":"assistant","content":""},', None)

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of `tokens`."""
        usage = self._usage(generated) if self._request.continuous_usage else b""
        return self._event(self._delta % vocabulary.text_json(tokens), None, usage)

    def end(self, generated: int) -> Sequence[bytes]:
        """Return the reason, the usage and the mark."""
        flavour, usage = self._flavour, self._usage(generated)
        nothing = b'{"index":0,"delta":{},' if self._request.chat else b'{"index":0,"text":"",'
        reason = self._request.finish_reason.encode()
        parts = [self._event(nothing, reason, usage if flavour.usage_with_reason else b"")]
        if self._request.include_usage and not flavour.usage_with_reason:
            parts.append(self._head + b"]" + usage + b"}\n\n")
        return [*parts, flavour.mark] if flavour.mark else parts

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return what comes when the engine dies in mid stream."""
        return self._flavour.broken(cause)

    def _event(self, choice: bytes, reason: bytes | None, usage: bytes = b"") -> bytes:
        finish = b"null" if reason is None else b'"%s"' % reason
        return b'%s%s%s,"finish_reason":%s}]%s}\n\n' % (self._head, choice, self._more, finish, usage)

    def _usage(self, generated: int) -> bytes:
        prompt = len(self._request.prompt)
        return b',"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}' % (
            prompt,
            prompt + generated,
            generated,
        )


class OpenAiWay(Way):
    """Completions."""

    path = "/v1/completions"

    def __init__(self, served: Served, flavour: Flavour, *, chat: bool = False) -> None:
        super().__init__(served)
        self._flavour = flavour
        self._chat = chat
        if chat:
            self.path = "/v1/chat/completions"

    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what is asked for. Raises Refused."""
        self._expect_fields(body)
        model, limit = self.served.model, self.served.table.max_model_len
        # What vLLM cuts without a word these refuse, so that only what fits is left for it to judge.
        if self._chat:
            chat = requests.parse(body, requests.ChatBody)
            chat.ignore_eos = chat.ignore_eos or self._flavour.forces(body)
            request = requests.accept_chat(chat, model=model, max_model_len=_ANY_LENGTH)
        else:
            asked = requests.parse(body, requests.CompletionBody)
            asked.ignore_eos = asked.ignore_eos or self._flavour.forces(body)
            request = requests.accept_completion(asked, model=model, max_model_len=_ANY_LENGTH)
        if len(request.prompt) + request.output_limit > limit:
            raise Refused(400, self._flavour.too_long(len(request.prompt), limit), param="messages")
        return request

    def _expect_fields(self, body: bytes) -> None:
        known = self._flavour.fields
        if known is not None:
            for name in requests.parse(body, dict[str, msgspec.Raw]):
                if name not in known:
                    raise self._flavour.unknown_field(name)

    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""
        kind = "chat.completion.chunk" if self._chat else "text_completion"
        head = {"id": self._id(), "object": kind, "created": int(time.time()), "model": self.served.model}
        return OpenAiWriter(request, head, self._flavour)

    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""
        text, prompt = vocabulary.decode(tokens), len(request.prompt)
        said = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        return json_response(
            {
                "id": self._id(),
                "object": "chat.completion" if self._chat else "text_completion",
                "created": int(time.time()),
                "model": self.served.model,
                "choices": [{"index": 0, **said, "logprobs": None, "finish_reason": request.finish_reason}],
                "usage": {
                    "prompt_tokens": prompt,
                    "total_tokens": prompt + len(tokens),
                    "completion_tokens": len(tokens),
                },
            }
        )

    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""
        return self._flavour.overload() if refused.status == 503 else self._flavour.error(refused)

    def dead(self, cause: FailOnPurpose) -> Response:
        """Return how a request is answered whose engine has died."""
        return self._flavour.dead(cause)

    def _id(self) -> str:
        return ("chatcmpl-" if self._chat else "cmpl-") + uuid.uuid4().hex[:16]


class OpenAiDialect(ServedDialect):
    """A system of this API."""

    flavour = Flavour()

    def ways(self) -> Sequence[Way]:
        """Return completions and chat."""
        return OpenAiWay(self.served, self.flavour), OpenAiWay(self.served, self.flavour, chat=True)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""
        return [Route("/v1/models", self._models)]

    def model_row(self) -> dict[str, Any]:
        """Return the one row of the list of models."""
        served = self.served
        return {"id": served.model, "object": "model", "created": served.created, "owned_by": self.flavour.owner}

    async def _models(self, _: Request) -> Response:
        return json_response({"object": "list", "data": [self.model_row()]})


def prometheus(samples: dict[str, float]) -> Response:
    """Return gauges and counters as Prometheus' text, each by its name with its labels."""
    text = "".join(f"{name} {value}\n" for name, value in samples.items())
    return Response(text, media_type="text/plain; version=0.0.4")
