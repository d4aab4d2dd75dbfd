"""An app of OpenAI's shape on a Ray cluster of two local nodes: `python app.py PORT`, by the Python of the environment.

As ray.serve.llm does, an ingress on the first node hands each request to an engine's replica on the second. It makes a
token every TOKEN_S, refuses what is longer than LIMIT in vLLM's words, and has room for ONGOING requests with as many
in its queue. It says READY once it serves, and ends with its input.
"""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import ray
from fastapi import FastAPI
from fastapi.responses import JSONResponse, StreamingResponse
from ray import serve
from ray.cluster_utils import Cluster

MODEL, LIMIT = "tiny", 512
TOKEN_S = 0.01
ONGOING = 4
STORE_BYTES = 80 * 2**20

api = FastAPI()


@serve.deployment(
    max_ongoing_requests=ONGOING,
    max_queued_requests=ONGOING,
    ray_actor_options={"num_cpus": 0, "resources": {"second": 0.1}},
)
class Engine:
    """What makes the tokens."""

    async def generate(self, tokens: int) -> AsyncIterator[str]:
        """Yield so many texts of a token each."""
        for number in range(tokens):
            await asyncio.sleep(TOKEN_S)
            yield f" t{number}"


@serve.deployment(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0, "resources": {"first": 0.1}})
@serve.ingress(api)
class Ingress:
    """What speaks HTTP."""

    def __init__(self, engine: Any) -> None:
        """Take the handle of the engine."""
        self._engine = engine

    @api.get("/v1/models")
    async def models(self) -> dict[str, object]:
        """List the model."""
        row = {"id": MODEL, "object": "model", "created": 1, "owned_by": "organization-owner"}
        return {"object": "list", "data": [row]}

    @api.post("/v1/completions", response_model=None)
    async def completions(self, body: dict[str, Any]) -> StreamingResponse | JSONResponse:
        """Stream a completion."""
        prompt, tokens = body["prompt"], int(body["max_tokens"])
        asked = len(prompt) if isinstance(prompt, list) else len(prompt.split())
        if asked + tokens > LIMIT:
            message = (
                f"This model's maximum context length is {LIMIT} tokens. However, you requested {tokens} output tokens"
            )
            error = {"message": f"{message} and your prompt contains {asked} input tokens.", "type": "BadRequestError"}
            return JSONResponse({"error": {**error, "code": 400}}, status_code=400)
        stream = self._engine.options(stream=True).generate.remote(tokens)
        # Whether it is refused shows with the first token, while there is still a status to be given.
        first = await anext(aiter(stream))
        return StreamingResponse(self._events(first, stream, asked, tokens), media_type="text/event-stream")

    async def _events(self, first: str, stream: Any, asked: int, tokens: int) -> AsyncIterator[str]:
        texts = [first]
        for number in range(1, tokens + 1):
            usage = {"prompt_tokens": asked, "total_tokens": asked + number, "completion_tokens": number}
            choice = {"index": 0, "text": texts.pop(), "finish_reason": "length" if number == tokens else None}
            event = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": MODEL, "choices": [choice]}
            yield f"data: {json.dumps({**event, 'usage': usage})}\n\n"
            if number < tokens:
                texts.append(await anext(aiter(stream)))
        yield "data: [DONE]\n\n"


def main(port: int) -> None:
    """Serve until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # as ignored, their children would inherit it
    cluster = Cluster()
    cluster.add_node(num_cpus=1, include_dashboard=False, object_store_memory=STORE_BYTES, resources={"first": 1})
    cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES, resources={"second": 1})
    ray.init(address=cluster.address)
    serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
    serve.run(Ingress.bind(Engine.bind()), name="llm", route_prefix="/")
    print("READY", len([node for node in ray.nodes() if node["Alive"]]), flush=True)  # noqa: T201
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
