"""A real llama-server: started, measured, too long, overloaded, out of memory, killed, stopped. Nothing may be left."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import (
    MEASURED,
    MEASURED_EXIT_CODES,
    cells_of,
    process_of,
    running,
    running_sweep,
    sweep,
    tree_of,
    wait_for_mid_cell,
    write_profile,
)
from tests.llama.conftest import CONTEXT, EXECUTABLE, MODEL, PYTHON, SLOTS, llama_profile
from tui.core.errors import LaunchError
from tui.core.outcome import Outcome
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor
from tui.session.reader import SessionReader

TOKENS = 20
# More than its binary and its threads take, less than what is asked for below: the same on every machine.
ROOM_BYTES = 60_000_000


def test_lengths_are_exact_and_what_no_slot_holds_is_too_long(world: World) -> None:
    load = {"users": [1, SLOTS], "prompt_tokens": [31, CONTEXT + 88], "output_tokens": TOKENS, "repeats": 2}
    cells = sweep(world, write_profile(world.root, llama_profile(load=load)))
    ends = {place: cell["outcome"] for place, cell in cells.items()}
    assert {ends[1, CONTEXT + 88], ends[SLOTS, CONTEXT + 88]} == {"too-long"}
    assert {ends[1, 31], ends[SLOTS, 31]} <= MEASURED
    for users in (1, SLOTS):
        cell = cells[users, 31]
        assert (cell["output_tokens_mean"], cell["output_forced"], cell["counted_by"]) == (TOKENS, True, "usage")
        assert cell["prompt_tokens_exact"] is True
        assert cell["server_output_tokens"] == 2 * users * TOKENS  # by its own counter, before and after
    with SessionReader(world.session_files[0]) as reader:
        records = [record for record in reader.requests() if record.outcome in MEASURED]
        assert reader.server is not None and reader.server.version.startswith("b")
    assert {(record.prompt_tokens_usage, record.output_tokens) for record in records} == {(31, TOKENS)}


def test_chat_goes_to_its_openai_api(world: World) -> None:
    load = {"users": [1], "prompt_tokens": [31], "output_tokens": TOKENS, "endpoint": "chat"}
    cell = sweep(world, write_profile(world.root, llama_profile(load=load)))[1, 31]
    assert cell["outcome"] in MEASURED
    assert (cell["output_tokens_mean"], cell["output_forced"]) == (TOKENS, True)


def test_more_requests_than_slots_wait_and_none_is_refused(world: World) -> None:
    users = 3 * SLOTS
    load = {"users": [users], "prompt_tokens": [31], "output_tokens": 400, "mode": "burst"}
    cell = sweep(world, write_profile(world.root, llama_profile(load=load)))[users, 31]
    assert cell["outcome"] in MEASURED
    assert (cell["requests_ok"], cell["requests_failed"]) == (users, 0)
    with SessionReader(world.session_files[0]) as reader:
        records = list(reader.requests())
    first_end = min(record.end_ns for record in records)
    waited = [record for record in records if record.first_token_ns is not None and record.first_token_ns > first_end]
    assert len(waited) >= users - SLOTS


async def test_a_start_tells_its_stages_and_its_figures_and_a_stop_leaves_nothing(
    supervised: Callable[[Profile], Supervisor],
) -> None:
    one = supervised(llama_profile())
    await one.launch()
    status = one.status
    assert {stage.name: stage.state for stage in status.stages}["loading model"] == "done"
    assert (status.max_model_len, status.kv_cache_tokens, status.max_concurrency) == (CONTEXT, SLOTS * CONTEXT, SLOTS)
    assert status.missing == []
    assert status.version.startswith("b11434")
    assert await one.tokenize("a b c") is not None
    metrics = await one.read_metrics()
    assert metrics is not None and (metrics.running, metrics.waiting, metrics.generation_tokens_total) == (0, 0, 0)
    assert metrics.kv_cache_usage == 0
    pids = one.pids()
    assert pids
    await one.stop()
    assert running(pids) == []


@pytest.mark.parametrize(
    ("args", "size"),
    [
        ({"ctx-size": SLOTS * 4096}, SLOTS * 4096),
        ({"ctx-size": 3840, "kv-unified": True}, 3840),
        ({"ctx-size": SLOTS * 4096, "kv-unified": True}, SLOTS * 4096),  # more than the model was trained for
    ],
)
async def test_the_share_of_the_kv_cache_is_told_while_requests_run(
    supervised: Callable[[Profile], Supervisor], args: dict[str, Any], size: int
) -> None:
    one = supervised(llama_profile(args))
    await one.launch()
    assert one.status.kv_cache_tokens == size
    asked = {"prompt": [97] * 100, "n_predict": 3400, "ignore_eos": True, "stream": True}
    told = 0.0
    async with httpx.AsyncClient(base_url=one.base_url, timeout=30, trust_env=False) as client, asyncio.timeout(60):
        while not told:  # a busy machine may be asked when the answer is complete
            async with client.stream("POST", "/completion", json=asked) as answer:
                await anext(answer.aiter_lines())
                metrics = await one.read_metrics()
            assert metrics is not None and metrics.kv_cache_usage is not None
            told = metrics.kv_cache_usage
    assert 100 <= round(told * size) <= 3500


def beyond(limit: str, *args: str) -> list[str]:
    """Return a command that runs llama-server with a limit of `prlimit`."""
    return ["prlimit", limit, str(EXECUTABLE), *args]


FAILURES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a KV cache that does not fit": (
        {"args": {"ctx-size": 2_000_000, "parallel": 1}, "executable": beyond("--as=500000000")},
        "oom-kv",
        "failed to allocate buffer for kv cache",
    ),
    "a context whose table does not fit": (
        {"args": {"ctx-size": 40_000_000, "parallel": 1}, "executable": beyond("--as=600000000")},
        "oom-kv",
        "std::bad_alloc",
    ),
    "no such file": ({"model": "/nowhere/none.gguf"}, "model-missing", "none.gguf"),
    "an unknown flag": ({"extra_args": ["--tensor-parallel-size", "2"]}, "bad-flag", "--tensor-parallel-size"),
    "a wrong number": ({"args": {"parallel": "many"}}, "bad-value", "--parallel"),
    "a wrong choice": ({"args": {"cache-type-k": "q9_9"}}, "bad-value", "Unsupported cache type: q9_9"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_a_start_that_fails_is_told_by_its_reason(supervised: Callable[[Profile], Supervisor], name: str) -> None:
    server, failure, words = FAILURES[name]
    one = supervised(llama_profile(**server))
    with pytest.raises(LaunchError):
        await one.launch()
    told = one.status.failure
    assert told is not None
    assert (told.failure, words in told.line) == (failure, True), told
    assert running(one.pids()) == []


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model of 75 MB."""
    file = tmp_path_factory.mktemp("models") / "large.gguf"
    subprocess.run([PYTHON, Path(__file__).parent / "tiny_model.py", file, "1024"], check=True, capture_output=True)
    return file


@pytest.mark.parametrize(
    ("beside_bytes", "args", "failure", "words"),
    [
        (ROOM_BYTES, {}, "oom-weights", "mmap failed: Cannot allocate memory"),
        # The weights fit, and the KV cache, and what is computed in does not.
        (300_000_000, {"ubatch-size": 4096, "batch-size": 4096, "ctx-size": 4096}, "oom-runtime", "compute pp buffers"),
    ],
)
async def test_a_model_that_does_not_fit_is_told(
    supervised: Callable[[Profile], Supervisor],
    large: Path,
    beside_bytes: int,
    args: dict[str, int],
    failure: str,
    words: str,
) -> None:
    limit = f"--as={large.stat().st_size + beside_bytes}"
    one = supervised(llama_profile({"parallel": 1, **args}, model=str(large), executable=beyond(limit)))
    with pytest.raises(LaunchError):
        await one.launch()
    told = one.status.failure
    assert told is not None
    assert (told.failure, words in told.line) == (failure, True), told


def test_a_kv_cache_that_all_slots_share_runs_out_for_all_of_them(world: World) -> None:
    """It goes on behind that: the next cell is measured by the same server."""
    load = {"users": [1, SLOTS], "prompt_tokens": [200], "output_tokens": 250}
    profile = llama_profile({"ctx-size": CONTEXT, "kv-unified": True}, load)
    done = world.run("run", str(write_profile(world.root, profile)), "--json")
    cells = cells_of(done.stdout)
    assert cells[1, 200]["outcome"] in MEASURED, done.stderr
    assert cells[SLOTS, 200]["outcome"] == "oom-runtime"
    assert "Context size has been exceeded" in cells[SLOTS, 200]["evidence"]
    with SessionReader(world.session_files[0]) as reader:
        assert reader.server is not None and reader.server.launches == 1


async def test_a_file_that_is_no_model_is_told(supervised: Callable[[Profile], Supervisor], tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(MODEL.read_bytes()[: MODEL.stat().st_size // 2])
    one = supervised(llama_profile(model=str(broken)))
    with pytest.raises(LaunchError):
        await one.launch()
    told = one.status.failure
    assert told is not None and told.failure == "model-missing", told


async def test_a_port_that_is_taken_meanwhile_is_told(supervised: Callable[[Profile], Supervisor]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # The last one holds, and vramp knows of none but its own.
        args = ["--port", str(taken.getsockname()[1])]
        one = supervised(llama_profile(extra_args=args))
        with pytest.raises(LaunchError):
            await one.launch()
    told = one.status.failure
    assert told is not None and told.failure == "port-in-use", told


def test_a_sweep_outlives_the_death_of_its_server(world: World) -> None:
    load = {"users": [2, SLOTS], "prompt_tokens": [31], "output_tokens": 100, "mode": "steady"}
    profile = llama_profile(load={**load, "warm_up_s": 0.5, "duration_s": 5.0})
    with running_sweep(world, write_profile(world.root, profile)) as run:
        victim = process_of(wait_for_mid_cell(world, run, 2))
        pids = tree_of(victim.pid)
        victim.send_signal(signal.SIGKILL)
        output, errors = run.communicate(timeout=100)
    assert run.returncode in MEASURED_EXIT_CODES, errors
    assert {cell["outcome"] for cell in cells_of(output).values()} <= MEASURED
    assert running(pids) == []
    world.wait_until_empty()
    with SessionReader(world.session_files[0]) as reader:
        assert reader.server is not None and reader.server.launches == 2
        told = [event.text for event in reader.events() if event.source == "cell"]
        cut = {record.outcome for record in reader.requests()} - MEASURED
    assert sum("engine-dead: The server was ended by signal 9 (SIGKILL)" in text for text in told) == 1, told
    assert cut <= {Outcome.DISCONNECTED, Outcome.ENGINE_DEAD, Outcome.CANCELLED}
