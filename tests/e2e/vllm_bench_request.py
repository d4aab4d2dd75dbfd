"""Runs in the Python of a vLLM installation: asks one server by the request functions of `vllm bench serve`.

    PYTHON vllm_bench_request.py BASE_URL MODEL

Prints what they made of it as JSON. The module is loaded from its file, so that vLLM itself, which takes many seconds
and wants a device, is not imported.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType


def load_request_functions() -> ModuleType:
    package = importlib.util.find_spec("vllm")
    assert package is not None and package.submodule_search_locations, "no vllm in this Python"
    file = Path(next(iter(package.submodule_search_locations))) / "benchmarks" / "lib" / "endpoint_request_func.py"
    spec = importlib.util.spec_from_file_location("endpoint_request_func", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def main(base_url: str, model: str) -> None:
    import aiohttp  # type: ignore[import-not-found,unused-ignore]

    functions = load_request_functions()
    answers = []
    async with aiohttp.ClientSession() as session:
        for backend, path in (("vllm", "/v1/completions"), ("openai-chat", "/v1/chat/completions")):
            asked = functions.RequestFuncInput(
                prompt="the time of day",
                api_url=base_url + path,
                prompt_len=4,
                output_len=20,
                model=model,
                ignore_eos=True,
            )
            got = await functions.ASYNC_REQUEST_FUNCS[backend](asked, session=session)
            answers.append(
                {
                    "backend": backend,
                    "success": got.success,
                    "error": got.error,
                    "output_tokens": got.output_tokens,
                    "gaps": len(got.itl),
                    "ttft_s": got.ttft,
                    "latency_s": got.latency,
                }
            )
    print(json.dumps(answers))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
