"""Every serving system as it is simulated, from the command line: each way to fail ends in its class, by its own words.

What they wait for is mostly a clock (whether a dead server comes back), so they run beside each other.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import World, a_world
from tests.e2e.sweeps import MEASURED, MEASURED_EXIT_CODES, Cells, cells_of, running
from tui.core.errors import LaunchError
from tui.core.outcome import Outcome
from tui.engines.base import FailureClass
from tui.metrics.snapshot import FailureReport
from tui.profile.loader import load_profile
from tui.profile.simulator_table import FailOnPurpose, ServedAs
from tui.server.supervisor import Supervisor
from tui.session.reader import SessionReader

AT_ONCE = 6
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-key-0123456789"}
"""By which the simulated endpoint of SageMaker lets requests in."""
LIMIT = "600 prompt + 40 output tokens exceed the server's limit of 512"


@dataclass(frozen=True)
class Words:
    """What a system is to be heard saying; patterns."""

    overload: str | None
    """None = it refuses nothing, and what has no room waits."""
    death: str
    kv_cache: str
    too_long: str = re.escape(LIMIT)
    out_of_memory: str = "CUDA out of memory"


VLLM_DIED = r"VllmWorker-0 died unexpectedly \(exit code: -9\)"
VLLM_KV = "max seq len .512., .*is larger than the available KV cache memory"
SHARD = "Shard process was signaled to shutdown with signal 9"
TGI_KV = "Not enough memory to handle 512 prefill tokens"
PLAIN = "a process of the engine was killed by signal 9"
BUSY = "HTTP 429: The engine is currently overloaded"
QUEUE = "HTTP 503: .*Exceeds maximum queue size"
CONTEXT = "failed to allocate buffer for kv cache"
CUDA_MALLOC = "cudaMalloc failed: out of memory"

SAID = {
    ServedAs.VLLM: Words("HTTP 503: The engine is currently busy", VLLM_DIED, VLLM_KV),
    ServedAs.LLAMA_CPP: Words(None, r"ended by signal 9 \(SIGKILL\)", CONTEXT, out_of_memory=CUDA_MALLOC),
    ServedAs.LMDEPLOY: Words(BUSY, PLAIN, "No enough gpu memory for kv cache", "The prompt is too long"),
    ServedAs.OLLAMA: Words("HTTP 503: server busy", "no longer running: -9", CONTEXT, out_of_memory=CUDA_MALLOC),
    ServedAs.OPENAI: Words(BUSY, VLLM_DIED, VLLM_KV),
    ServedAs.RAY_SERVE: Words("HTTP 503: Request dropped due to backpressure", VLLM_DIED, VLLM_KV),
    ServedAs.SAGEMAKER: Words("Model is overloaded", SHARD, TGI_KV, "`truncate` must be strictly positive"),
    ServedAs.SGLANG: Words(
        "HTTP 503: The request queue is full",
        "RuntimeError: a scheduler process was killed by signal 9",
        "Please try to increase --mem-fraction-static",
        out_of_memory="^Decode out of memory",
    ),
    ServedAs.TGI: Words("HTTP 200, Model is overloaded", SHARD, TGI_KV),
    ServedAs.TRANSFORMERS_SERVE: Words(
        None, PLAIN, "not enough memory for the KV cache", "maximum context length is 512"
    ),
    ServedAs.TRITON_TRTLLM: Words(
        QUEUE,
        "Stub process 'postprocessing_0_0' is not healthy",
        r"maxTokensInPagedKvCache \(128\) must be large enough",
        r"Prompt length \(601\) exceeds maximum input length \(472\)",
        "cudaMallocAsync.*out of memory",
    ),
    ServedAs.TRITON_VLLM: Words(QUEUE, VLLM_DIED, VLLM_KV),
    ServedAs.TRTLLM_SERVE: Words("The executor's queue is full", PLAIN, "insufficient GPU memory", "should not exceed"),
}

# Of 16 users 4 run and 4 wait; 4 requests of 300 tokens are too many for the memory; and a worker is killed once the
# present server has made so many tokens, which is in some later cell: all but the last of those of 16 users, and all of
# those of 2, have fewer together, so that a cell that is measured once more comes to its end.
PROFILE = """\
name = "{fail}"
engine = "simulated"
[server]
model = "vramp/simulated"
stop_grace_s = 1
startup_timeout_s = {timeout_s}
[simulator]
dialect = "{name}"
max_model_len = 512
max_num_seqs = 4
max_num_queued_reqs = 4
kv_cache_tokens = 16384
memory_limit_tokens = 1000
step_base_s = 0.005
step_per_sequence_s = 0.0
prefill_per_token_s = 0.0
fail = "{fail}"
fail_after_tokens = {after}
[load]
users = [2, 16]
prompt_tokens = [30, 60, 90, 300, 600]
output_tokens = 40
mode = "burst"
"""
TOKENS_OF_REFUSING, TOKENS_OF_OTHERS = 700, 1000


ANSWERED = (30, 60, 90)
"""Prompts that are neither too long nor too many for the memory."""


@dataclass(frozen=True)
class Session:
    """What a sweep has told."""

    cells: Cells
    told: list[str]


def write(world: World, name: ServedAs, fail: FailOnPurpose, timeout_s: int = 60) -> Path:
    after = TOKENS_OF_REFUSING if SAID[name].overload else TOKENS_OF_OTHERS
    path = world.root / f"{fail}.toml"
    path.write_text(PROFILE.format(name=name, fail=fail, after=after, timeout_s=timeout_s))
    return path


def swept(name: ServedAs) -> Session:
    with a_world(f"simulated-{name}") as world:
        world.env |= KEYS
        done = world.run("run", str(write(world, name, FailOnPurpose.WORKER_KILLED)), "--json", timeout_s=200)
        assert done.returncode in MEASURED_EXIT_CODES, done.stderr
        assert "SIMULATED" in done.stderr
        with SessionReader(world.session_files[0]) as reader:
            return Session(cells_of(done.stdout), [event.text for event in reader.events()])


def started(name: ServedAs) -> dict[FailOnPurpose, FailureReport]:
    with a_world(f"simulated-starts-{name}") as world:
        return asyncio.run(_started(world, name))


async def _started(world: World, name: ServedAs) -> dict[FailOnPurpose, FailureReport]:
    ways = {FailOnPurpose.OOM_WEIGHTS: 60, FailOnPurpose.KV_TOO_SMALL: 60, FailOnPurpose.SLOW_START: 8}
    paths = [write(world, name, way, timeout_s) for way, timeout_s in ways.items()]
    reports = await asyncio.gather(*(_failure(world, path) for path in paths))
    return dict(zip(ways, reports, strict=True))


async def _failure(world: World, path: Path) -> FailureReport:
    one = Supervisor(load_profile(path), path, world.root / f"{path.stem}.log", on_event=lambda event: None)
    with pytest.raises(LaunchError):
        await one.launch()
    await one.stop()
    assert running(one.pids()) == []
    assert one.status.failure is not None
    return one.status.failure


Does = Callable[[ServedAs], Any]
Done = Callable[[Does, ServedAs], Any]


@pytest.fixture(scope="module")
def done(request: pytest.FixtureRequest) -> Iterator[Done]:
    """Have what is needed of all systems that are tested done, some of it at once; give what comes of each."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function) and item.path == request.path]
    names = dict.fromkeys(ServedAs(str(item.callspec.params["name"])) for item in tests)  # the first is wanted first
    each: list[Does] = [swept, started]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        doing = {(does, name): pool.submit(does, name) for does in each for name in names}
        yield lambda does, name: doing[does, name].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", ServedAs)
def test_what_requests_run_into_is_told_as_what_it_is(name: ServedAs, done: Done) -> None:
    session: Session = done(swept, name)
    said, cells = SAID[name], session.cells
    ends = {place: cell["outcome"] for place, cell in cells.items()}
    assert {ends[2, size] for size in (*ANSWERED, 300)} <= MEASURED, cells
    assert ends[16, 300] == Outcome.OOM_RUNTIME, cells[16, 300]
    assert re.search(said.out_of_memory, cells[16, 300]["evidence"]), cells[16, 300]["evidence"]
    # Without a limit that is told each is asked for, but for those that the lack of memory implies.
    assert (ends[2, 600], ends[16, 600] in (Outcome.TOO_LONG, Outcome.IMPLIED)) == (Outcome.TOO_LONG, True)
    assert re.search(said.too_long, cells[2, 600]["evidence"]), cells[2, 600]["evidence"]
    for size in ANSWERED:
        assert ends[16, size] in (MEASURED if said.overload is None else {Outcome.OVERLOADED}), cells[16, size]
        assert said.overload is None or re.search(said.overload, cells[16, size]["evidence"])
    deaths = [text for text in session.told if "; will be measured once more" in text]
    assert deaths
    for death in deaths:
        assert re.search(f"tokens: engine-dead: .*{said.death}", death), death


@pytest.mark.parametrize("name", ServedAs)
def test_a_start_that_fails_is_told_by_its_reason(name: ServedAs, done: Done) -> None:
    reports: dict[FailOnPurpose, FailureReport] = done(started, name)
    weights, kv_cache = reports[FailOnPurpose.OOM_WEIGHTS], reports[FailOnPurpose.KV_TOO_SMALL]
    assert weights.failure == FailureClass.OOM_WEIGHTS
    assert "out of memory" in weights.line and weights.summary and weights.advice
    assert kv_cache.failure == FailureClass.OOM_KV
    assert re.search(SAID[name].kv_cache, kv_cache.line) and kv_cache.summary and kv_cache.advice
    slow = reports[FailOnPurpose.SLOW_START]
    assert (slow.failure, slow.summary) == (FailureClass.TIMEOUT, "The server was not ready within 8 s")
    assert slow.line and "startup_timeout_s" in slow.advice
