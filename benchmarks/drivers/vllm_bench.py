"""The request function of `vllm bench serve`, out of the installed vLLM, in a closed loop as `--max-concurrency` makes.

    PYTHON-OF-A-VLLM drivers/vllm_bench.py URL USERS TOKENS SECONDS OUT

The module is loaded from its file: importing vLLM takes many seconds and wants a device. Session and connector are set
as in vllm/benchmarks/serve.py. OUT: see vramp_engine.py.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import time
from pathlib import Path
from types import ModuleType

import aiohttp


def request_functions() -> ModuleType:
    package = importlib.util.find_spec("vllm")
    assert package is not None and package.submodule_search_locations, "no vllm in this Python"
    file = Path(next(iter(package.submodule_search_locations))) / "benchmarks" / "lib" / "endpoint_request_func.py"
    spec = importlib.util.spec_from_file_location("endpoint_request_func", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def main(url: str, users: int, tokens: int, seconds: float, out: Path) -> int:
    functions = request_functions()
    ask = functions.ASYNC_REQUEST_FUNCS["vllm"]
    until = time.monotonic() + seconds
    answers = []

    async def one_user(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < until:
            asked = functions.RequestFuncInput(
                prompt="the time of day",
                api_url=url + "/v1/completions",
                prompt_len=4,
                output_len=tokens,
                model="m",
                ignore_eos=True,
            )
            answers.append(await ask(asked, session=session))

    connector = aiohttp.TCPConnector(
        limit=users,
        limit_per_host=users,
        ttl_dns_cache=300,
        use_dns_cache=True,
        keepalive_timeout=60,
        enable_cleanup_closed=True,
        force_close=False,
        ssl=False,
    )
    timeout = aiohttp.ClientTimeout(total=6 * 60 * 60)
    async with aiohttp.ClientSession(connector=connector, trust_env=True, timeout=timeout) as session:
        await asyncio.gather(*(one_user(session) for _ in range(users)))
    with out.open("w") as file:
        for answer in answers:
            if answer.success:
                file.write(json.dumps([answer.prompt_len, [round(gap * 1e6) for gap in answer.itl]]) + "\n")
    failed = sum(not answer.success for answer in answers)
    print(f"{len(answers)} requests, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    url, users, tokens, seconds, out = sys.argv[1:]
    sys.exit(asyncio.run(main(url, int(users), int(tokens), float(seconds), Path(out))))
