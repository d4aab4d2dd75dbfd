"""What stands in for `vllm serve` on machines without GPUs: the same calls of Ray, the same log, an OpenAI API.

    python standin.py serve MODEL --host H --port P --tensor-parallel-size T --pipeline-parallel-size N ...

Ray is used as vllm/v1/executor/ray_utils.py and ray_executor_v2.py (0.32) do: `ray.init` with RAY_ADDRESS, a placement
group of one GPU a bundle packed on the nodes, and an actor in each. Nothing is computed: a token comes every TOKEN_S.
"""

import argparse
import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import ray
import uvicorn
from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

TOKEN_S = 0.005
VERSION = "0.32.0"
LIMIT = 4096


def log(process: str, place: str, message: str, level: str = "INFO") -> None:
    """Say a line as one of vLLM's processes."""
    print(f"({process} pid={os.getpid()}) {level} {time.strftime('%m-%d %H:%M:%S')} [{place}] {message}", flush=True)  # noqa: T201


class RayWorkerProc:
    """A worker on one GPU of some node."""

    def __init__(self, rank: int) -> None:
        """Take the rank."""
        self._rank = rank

    def load(self, model: str) -> str:
        """Load the weights, as its log says; return the node."""
        who = f"Worker_PP{self._rank}"
        log(who, "gpu_model_runner.py:4812", f"Starting to load model {model}...")
        log(who, "default_loader.py:501", "Loading weights took 0.10 seconds")
        log(who, "gpu_model_runner.py:4879", "Model loading took 1.50 GiB memory and 0.100000 seconds")
        log(who, "gpu_worker.py:456", "Available KV cache memory: 8.00 GiB")
        return str(ray.get_runtime_context().get_node_id())

    def run(self) -> None:
        """Work until it is killed."""
        threading.Event().wait()


def placed(world: int) -> Any:
    """Return the placement group of all workers."""
    log("EngineCore", "ray_utils.py:618", "No current placement group found. Creating a new placement group.")
    group = placement_group([{"GPU": 1.0}] * world, strategy="PACK")
    ray.get(group.ready(), timeout=60)
    return group


def workers_of(world: int, model: str) -> list[Any]:
    """Start a worker in each bundle and have it load; return what resolves when one dies."""
    group = placed(world)
    kind = ray.remote(RayWorkerProc)
    actors = [
        kind.options(
            name=f"vllm_Worker_{os.getpid()}_{rank}",
            num_cpus=0,
            num_gpus=1,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank),
        ).remote(rank)
        for rank in range(world)
    ]
    ray.get([actor.load.remote(model) for actor in actors])
    time.sleep(0.5)  # Ray brings the lines of workers some tenths later
    return [actor.run.remote() for actor in actors]


def watched(runs: list[Any]) -> None:
    """End the process as vLLM's does when a worker dies."""
    done, _ = ray.wait(runs, num_returns=1)
    ranks = [runs.index(one) for one in done]
    message = f"RayWorkerProc rank={ranks} died unexpectedly, shutting down executor."
    log("EngineCore", "ray_executor_v2.py:523", message, "ERROR")
    log("EngineCore", "core.py:1519", "EngineCore encountered a fatal error.", "ERROR")
    os._exit(1)


def application(model: str) -> FastAPI:
    """Return the API."""
    api = FastAPI()

    @api.get("/health")
    async def health() -> Response:
        return Response()

    @api.get("/version")
    async def version() -> dict[str, str]:
        return {"version": VERSION}

    @api.get("/v1/models")
    async def models() -> dict[str, object]:
        row = {"id": model, "object": "model", "created": 1, "owned_by": "vllm", "max_model_len": LIMIT}
        return {"object": "list", "data": [row]}

    @api.post("/v1/completions", response_model=None)
    async def completions(body: dict[str, Any]) -> StreamingResponse | JSONResponse:
        tokens = int(body.get("max_tokens", 16))
        asked = len(body["prompt"])

        async def events() -> AsyncIterator[str]:
            for number in range(1, tokens + 1):
                await asyncio.sleep(TOKEN_S)
                usage = {"prompt_tokens": asked, "total_tokens": asked + number, "completion_tokens": number}
                choice = {"index": 0, "text": f" t{number}", "finish_reason": "length" if number == tokens else None}
                event = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": model}
                yield f"data: {json.dumps({**event, 'choices': [choice], 'usage': usage})}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return api


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("serve")
    parser.add_argument("model")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    parser.add_argument("--pipeline-parallel-size", type=int, default=1)
    parser.add_argument("--distributed-executor-backend")
    options, _ = parser.parse_known_args()
    if options.distributed_executor_backend != "ray":
        sys.exit("World size (4) is larger than the number of available GPUs (0)")
    log("APIServer", "api_utils.py:286", f"vLLM API server version {VERSION}")
    log("APIServer", "model.py:2152", f"Using max model len {LIMIT}")
    ray.init()
    runs = workers_of(options.tensor_parallel_size * options.pipeline_parallel_size, options.model)
    threading.Thread(target=watched, args=(runs,), daemon=True).start()
    log("EngineCore", "kv_cache_utils.py:2327", "GPU KV cache size: 65,536 tokens")
    log("APIServer", "entry.py:140", f"Starting vLLM server on http://{options.host}:{options.port}")
    uvicorn.run(application(options.model), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
