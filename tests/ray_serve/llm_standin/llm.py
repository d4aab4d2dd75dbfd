"""What stands in for `ray.serve.llm` where there is no vLLM: the same deployments, placed alike, that compute nothing.

A replica takes a GPU for each part of the model, logs as vLLM does, and makes a token every TOKEN_S. With the engine's
argument `fail` it does not start, for this reason.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from ray import cloudpickle, serve

TOKEN_S = 0.005
api = FastAPI()
# The nodes of a cluster know no such module.
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def log(place: str, message: str) -> None:
    """Say a line as vLLM's engine."""
    print(f"(EngineCore pid={os.getpid()}) INFO {time.strftime('%m-%d %H:%M:%S')} [{place}] {message}", flush=True)  # noqa: T201


class LLMServer:
    """What makes the tokens."""

    def __init__(self, config: dict[str, Any]) -> None:
        """Start as vLLM does."""
        log("model.py:733", "Resolved architecture: LlamaForCausalLM")
        log("cpu_model_runner.py:68", "Starting to load model tiny...")
        log("default_loader.py:501", "Loading weights took 0.01 seconds")
        if reason := config["engine_kwargs"].get("fail"):
            raise ValueError(reason)
        log("kv_cache_utils.py:2327", "GPU KV cache size: 65,536 tokens")
        log("core.py:402", "init engine (profile, create kv cache, warmup model) took 0.07 s")

    async def generate(self, tokens: int) -> AsyncIterator[str]:
        """Yield so many texts of a token each."""
        for number in range(tokens):
            await asyncio.sleep(TOKEN_S)
            yield f" t{number}"


@serve.ingress(api)
class OpenAiIngress:
    """What speaks HTTP."""

    def __init__(self, model: str, engine: Any) -> None:
        """Take the model's name and the handle of its engine."""
        self._model, self._engine = model, engine

    @api.get("/v1/models")
    async def models(self) -> dict[str, object]:
        """List the model."""
        return {"object": "list", "data": [{"id": self._model, "object": "model", "created": 1, "owned_by": "ray"}]}

    @api.post("/v1/completions", response_model=None)
    async def completions(self, body: dict[str, Any]) -> StreamingResponse:
        """Stream a completion."""
        tokens, asked = int(body["max_tokens"]), len(body["prompt"])

        async def events() -> AsyncIterator[str]:
            number = 0
            async for text in self._engine.options(stream=True).generate.remote(tokens):
                number += 1
                usage = {"prompt_tokens": asked, "total_tokens": asked + number, "completion_tokens": number}
                choice = {"index": 0, "text": text, "finish_reason": "length" if number == tokens else None}
                event = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": self._model}
                yield f"data: {json.dumps({**event, 'choices': [choice], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


def build_openai_app(arguments: dict[str, Any]) -> Any:
    """Return the application of one model."""
    (config,) = arguments["llm_configs"]
    engine = config["engine_kwargs"]
    parts = engine.get("tensor_parallel_size", 1) * engine.get("pipeline_parallel_size", 1)
    bundles: list[dict[str, int]] = [{"CPU": 1, "GPU": 1}, *[{"GPU": 1}] * (parts - 1)]
    if config.get("accelerator_config") == {"kind": "cpu"}:
        bundles = [{"CPU": 1}]
    loading = config["model_loading_config"]
    server = serve.deployment(
        LLMServer,
        name=f"LLMServer:{loading['model_id']}",
        placement_group_bundles=bundles,
        placement_group_strategy="PACK",
        ray_actor_options={"num_cpus": 1, "runtime_env": config["runtime_env"]},
        **config["deployment_config"],
    ).bind(config)
    ingress = serve.deployment(OpenAiIngress, **arguments["ingress_deployment_config"])
    return ingress.bind(loading["model_id"], server)
