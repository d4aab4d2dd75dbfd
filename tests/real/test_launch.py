"""A real vLLM: started, asked, killed in every way, stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.e2e.sweeps import running
from tests.real.conftest import Watched, titled, vllm_profile
from tui.engines.base import Wish
from tui.engines.catalogue import engine_for
from tui.engines.vllm.log import Stage
from tui.metrics.snapshot import Phase
from tui.profile.schema import Endpoint, Profile

Make = Callable[[Profile], Watched]
STOP_S = 10.0
# 64 MiB at 2 (K and V) x 2 layers x 2 heads x 64 values x 2 bytes per token.
KV_CACHE_TOKENS = 64 * 1024**2 // 1024


async def test_good_start_tells_its_stages_and_stops_at_once(watched: Make) -> None:
    one = watched(vllm_profile())
    supervisor = one.supervisor
    temporary = Path(tempfile.gettempdir())
    before = set(temporary.iterdir())
    await supervisor.launch()
    status = supervisor.status
    assert status.phase is Phase.READY
    assert (supervisor.model, status.max_model_len, status.kv_cache_tokens) == ("tiny", 4096, KV_CACHE_TOKENS)
    assert status.max_concurrency == KV_CACHE_TOKENS / 4096
    assert status.version.startswith("0.")
    assert status.missing == []
    seconds = {stage.name: stage.seconds for stage in status.stages}
    assert [stage.state for stage in status.stages] == ["done"] * len(status.stages)
    assert (seconds[Stage.PROCESS_UP] or 0) > 1
    assert seconds[Stage.LOADING_WEIGHTS] is not None
    assert seconds[Stage.KV_CACHE] is not None

    for endpoint, prompt in ((Endpoint.COMPLETIONS, list(range(300, 340))), (Endpoint.CHAT, "la li lo")):
        asked = await _ask(supervisor.base_url, endpoint, prompt, output_tokens=25)
        assert asked["completion_tokens"] == 25
        if endpoint is Endpoint.COMPLETIONS:
            assert asked["prompt_tokens"] == 40
    metrics = await supervisor.read_metrics()
    assert metrics is not None
    assert metrics.generation_tokens_total == 50
    assert metrics.kv_cache_tokens == KV_CACHE_TOKENS
    assert metrics.ttft_count == 2
    tokens = await supervisor.tokenize("la li lo")
    assert tokens

    pids = supervisor.pids()
    assert titled(pids, "VLLM::EngineCore")
    await supervisor.stop()
    assert running(pids) == []
    assert any("nothing of it is left" in text for text in one.said())
    # Neither its sockets nor the file by which its processes find each other.
    assert [path for path in set(temporary.iterdir()) - before if path.is_socket() or "vllm" in path.name] == []


async def test_deaths_are_told_and_leave_nothing(watched: Make) -> None:
    one = watched(vllm_profile())
    supervisor = one.supervisor
    for victim in ("VLLM::EngineCore", "API server"):
        await supervisor.launch()
        pids, pid = supervisor.pids(), supervisor.status.pid
        assert pid is not None
        stream = await _streaming(supervisor.base_url, 2000)
        if victim == "API server":
            next(process for process in running(pids) if process.pid == pid).send_signal(signal.SIGKILL)
        else:
            titled(pids, victim).send_signal(signal.SIGKILL)
        report = await supervisor.wait_died()
        assert report.failure == "crash"
        assert supervisor.status.phase is Phase.FAILED
        await asyncio.gather(stream, return_exceptions=True)
        await supervisor.stop()
        assert running(pids) == []
    assert supervisor.status.launches == 2


async def test_stop_after_the_streams_were_cut_takes_seconds(watched: Make) -> None:
    one = watched(vllm_profile())
    await one.supervisor.launch()
    stream = await _streaming(one.supervisor.base_url, 3000)
    pids = one.supervisor.pids()
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    began = time.monotonic()
    await one.supervisor.stop()
    assert time.monotonic() - began < STOP_S
    assert running(pids) == []


async def test_stop_while_loading_does_not_wait_for_the_start(watched: Make) -> None:
    one = watched(vllm_profile(stop_grace_s=60.0))
    launching = asyncio.create_task(one.supervisor.launch())
    while not any("Initializing a V1 LLM engine" in text for text in one.said("server")):
        await asyncio.sleep(0.2)
        assert not launching.done()
    pids = one.supervisor.pids()
    launching.cancel()
    await asyncio.gather(launching, return_exceptions=True)
    began = time.monotonic()
    await one.supervisor.stop()
    assert time.monotonic() - began < STOP_S
    assert running(pids) == []


async def _streaming(base_url: str, output_tokens: int) -> asyncio.Task[dict[str, int]]:
    """Return a request whose first event has come. A vLLM short of a core may answer /metrics after its end only."""
    begun = asyncio.Event()
    prompt = list(range(300, 340))
    asking = _ask(base_url, Endpoint.COMPLETIONS, prompt, output_tokens=output_tokens, on_event=begun.set)
    stream = asyncio.create_task(asking)
    waiting = asyncio.create_task(begun.wait())
    await asyncio.wait((stream, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    assert begun.is_set() and not stream.done()
    return stream


async def _ask(
    base_url: str,
    endpoint: Endpoint,
    prompt: list[int] | str,
    *,
    output_tokens: int,
    on_event: Callable[[], None] = lambda: None,
) -> dict[str, int]:
    """Ask as the load does; return the usage of the answer."""
    shape = engine_for("vllm").request_shape(Wish("tiny", endpoint, 1, output_tokens))
    body = shape.body_head + json.dumps(prompt).encode() + shape.body_tail
    usage: dict[str, int] = {}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("POST", base_url + shape.path, content=body, headers=shape.headers) as answer,
    ):
        assert answer.status_code == httpx.codes.OK
        async for line in answer.aiter_lines():
            if line.startswith("data: {"):
                on_event()
                usage = json.loads(line[6:]).get("usage") or usage
    return usage
