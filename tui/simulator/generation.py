"""A way to ask, as bare ASGI: a stream's event is written with one `send` and no layer between.

A client that goes away is noticed by a task that waits for it, and its request leaves the engine at once.
"""

from __future__ import annotations

import asyncio

from starlette.types import Message, Receive, Scope, Send

from tui.simulator.dialect import Way
from tui.simulator.live import Job, LiveEngine
from tui.simulator.requests import Refused

_LARGEST_BODY_BYTES = 32 * 1024 * 1024


class Generation:
    """Answers what is posted to one path."""

    def __init__(self, engine: LiveEngine, way: Way, tokens_per_event: int) -> None:
        self._engine = engine
        self._way = way
        self._tokens_per_event = tokens_per_event
        headers = [(b"content-type", way.media_type)]
        self._start: Message = {"type": "http.response.start", "status": 200, "headers": headers}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        way = self._way
        try:
            body = await read_body(receive)
            way.admit(scope, body)
            request = way.accept(body, scope["path"])
            if self._engine.death is not None:
                await way.dead(self._engine.death)(scope, receive, send)
                return
            job = self._engine.submit(request)
        except Refused as refused:
            await way.refusal(refused)(scope, receive, send)
            return
        leaving = asyncio.create_task(_watch(receive, job))
        try:
            if request.stream:
                await self._stream(job, scope, receive, send)
            else:
                await self._respond(job, scope, receive, send)
        finally:
            leaving.cancel()
            self._engine.drop(job)

    async def _stream(self, job: Job, scope: Scope, receive: Receive, send: Send) -> None:
        writer = self._way.writer(job.request)
        begun = not self._way.head_waits
        if begun:
            await send(self._start)
        while not job.sequence.finished or job.taken < job.sequence.generated:
            await job.more(self._tokens_per_event)
            if job.gone:
                return
            if job.died_of is not None:
                if not begun:
                    await self._way.dead(job.died_of)(scope, receive, send)
                    return
                for part in writer.broken(job.died_of):
                    await send(_part(part))
                break
            if not begun:
                begun = True
                await send(self._start)
            first = job.taken == 0
            if first and (opening := writer.first()):
                await send(_part(opening))
            tokens = job.take()
            await send(_part(writer.event(tokens, job.taken, first=first, last=job.sequence.finished)))
        if job.died_of is None:
            for part in writer.end(job.taken):
                await send(_part(part))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _respond(self, job: Job, scope: Scope, receive: Receive, send: Send) -> None:
        await job.more(job.request.output_limit)
        if job.gone:
            return
        if job.died_of is not None:
            await self._way.dead(job.died_of)(scope, receive, send)
            return
        await self._way.whole(job.request, job.take())(scope, receive, send)


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
