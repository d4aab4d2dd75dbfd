"""The two ways to ask, as bare ASGI: a stream's event is written with one `send` and no layer between.

A client that goes away is noticed by a task that waits for it, and its request leaves the engine at once.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from tui.simulator import requests, responses
from tui.simulator.live import Job, LiveEngine
from tui.simulator.requests import GenerationRequest, Refused

_LARGEST_BODY_BYTES = 32 * 1024 * 1024
_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8")]
_STREAM_START: Message = {"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS}


class Generation:
    """POST /v1/completions, or /v1/chat/completions when `chat`."""

    def __init__(
        self, engine: LiveEngine, model: str, max_model_len: int, tokens_per_event: int, *, chat: bool
    ) -> None:
        self._engine = engine
        self._model = model
        self._max_model_len = max_model_len
        self._tokens_per_event = tokens_per_event
        self._chat = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            request = self._accept(await read_body(receive))
            if self._engine.dead:
                await json_response(responses.ENGINE_DEAD, 500)(scope, receive, send)
                return
            job = self._engine.submit(request)
        except Refused as refused:
            await json_response(refused.body, refused.status)(scope, receive, send)
            return
        leaving = asyncio.create_task(_watch(receive, job))
        try:
            if request.stream:
                await self._stream(job, send)
            else:
                await self._respond(job, scope, receive, send)
        finally:
            leaving.cancel()
            self._engine.drop(job)

    def _accept(self, body: bytes) -> GenerationRequest:
        if self._chat:
            chat = requests.parse(body, requests.ChatBody)
            return requests.accept_chat(chat, model=self._model, max_model_len=self._max_model_len)
        completion = requests.parse(body, requests.CompletionBody)
        return requests.accept_completion(completion, model=self._model, max_model_len=self._max_model_len)

    def _response_id(self) -> str:
        return ("chatcmpl-" if self._chat else "cmpl-") + uuid.uuid4().hex[:16]

    async def _stream(self, job: Job, send: Send) -> None:
        writer = responses.StreamWriter(job.request, self._response_id(), int(time.time()), self._model)
        await send(_STREAM_START)
        while not job.sequence.finished or job.taken < job.sequence.generated:
            await job.more(self._tokens_per_event)
            if job.gone:
                return
            if job.dead:
                await send(_part(responses.ENGINE_DEAD_EVENT))
                break
            first = job.taken == 0
            if first and self._chat:
                await send(_part(writer.first()))
            tokens = job.take()
            reason = job.request.finish_reason if job.sequence.finished else None
            await send(_part(writer.event(tokens, job.taken, first=first, finish_reason=reason)))
        if job.request.include_usage and not job.dead:
            await send(_part(writer.last(job.taken)))
        await send(_part(responses.DONE))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _respond(self, job: Job, scope: Scope, receive: Receive, send: Send) -> None:
        await job.more(job.request.output_limit)
        if job.gone:
            return
        if job.dead:
            await json_response(responses.ENGINE_DEAD, 500)(scope, receive, send)
            return
        body = responses.full_response(job.request, job.take(), self._response_id(), int(time.time()), self._model)
        await json_response(body)(scope, receive, send)


def json_response(content: dict[str, Any] | list[dict[str, Any]], status: int = 200) -> Response:
    """Return `content` as a response."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request. Raises Refused when it is too large."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > _LARGEST_BODY_BYTES:
            raise Refused(413, f"The request body is larger than {_LARGEST_BODY_BYTES} bytes.")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _watch(receive: Receive, job: Job) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    job.gone = True
    job.wake()


def _part(body: bytes) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": True}
