"""`vramp run` against a real vLLM: what it measures, what it survives, what it leaves alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.sweeps import (
    MEASURED,
    MEASURED_EXIT_CODES,
    Cells,
    cells_of,
    process_of,
    running,
    running_sweep,
    sweep,
    tree_of,
    wait_for_mid_cell,
    write_profile,
)
from tests.real.conftest import ARGS, EXECUTABLE, MODEL, OFFLINE, START_TIMEOUT_S, titled, vllm_profile
from tui.core.outcome import Outcome
from tui.profile.schema import LoadTable
from tui.server.readiness import free_port
from tui.server.tree import descendants
from tui.session.reader import SessionReader

USERS = [1, 2, 4, 8, 16]
PROMPT_TOKENS = [64, 512]
AGREEMENT = 0.02
RUN_TIMEOUT_S = 2 * START_TIMEOUT_S
STOP_S = 10.0
# A cell that stands for a time has a middle on any machine. Its answers are short: as long as vLLM streams it may keep
# every core to itself, but the next question waits for us.
ANSWER_TOKENS = 200
STANDING = {
    "mode": "steady",
    "warm_up_s": 1.0,
    "duration_s": 24.0,
    "prompt_tokens": [64],
    "output_tokens": ANSWER_TOKENS,
}


def profile_of(folder: Path, **load: Any) -> Path:
    """Write a profile that launches the tiny model."""
    table = {"users": USERS, "prompt_tokens": PROMPT_TOKENS, "output_tokens": 64, **load}
    return write_profile(folder, vllm_profile().model_copy(update={"load": LoadTable.model_validate(table)}))


@dataclass
class Outsider:
    """A vLLM that somebody else started."""

    process: psutil.Process
    url: str


@pytest.fixture(scope="module")
def outsider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outsider]:
    """Start a vLLM without vramp; one for all tests that only ask it."""
    port = free_port("127.0.0.1")
    argv = [str(EXECUTABLE), "serve", str(MODEL), "--host", "127.0.0.1", "--port", str(port)]
    for name, value in ARGS.items():
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    folder = tmp_path_factory.mktemp("outsider")
    log = folder / "log.txt"
    with log.open("wb") as file:
        started = subprocess.Popen(
            argv,
            env={
                **os.environ,
                **OFFLINE,
                "VLLM_NO_USAGE_STATS": "1",
                # What it leaves behind stays in the test's own folder.
                "TMPDIR": str(folder),
                "VLLM_RPC_BASE_PATH": str(folder),
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    process = psutil.Process(started.pid)
    url = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: started.poll() is not None or _healthy(url))
        assert started.poll() is None, log.read_text()[-2000:]
        yield Outsider(process, url)
    finally:
        tree = [process, *descendants(process.pid)]
        started.terminate()
        _, alive = psutil.wait_procs(tree, timeout=30)
        for one in alive:
            one.kill()
        started.wait()


@pytest.mark.parametrize("mode", ["burst", "steady"])
def test_a_sweep_agrees_with_the_servers_own_counters(world: World, outsider: Outsider, mode: str) -> None:
    profile = profile_of(world.root, mode=mode, output_tokens=32, repeats=2, warm_up_s=1.0, duration_s=6.0)
    before = _counter(outsider.url, "generation_tokens_total")
    cells = _sweep(world, profile, outsider)
    assert sorted(cells) == [(users, size) for users in USERS for size in PROMPT_TOKENS]
    for (users, _), cell in cells.items():
        assert cell["outcome"] in MEASURED, cell
        if cell["outcome"] == Outcome.OK:
            assert cell["prompt_tokens_exact"] is True, cell
            assert cell["requests_failed"] == 0 and cell["requests_ok"] >= users, cell
        # Standing users are answered while the counters are read, which this vLLM, short of a core, does in seconds.
        if cell["outcome"] == Outcome.OK and mode == "burst":
            assert cell["server_ttft_mean_s"] > 0 and cell["ttft_mean_s"] > 0
            tokens = cell["tokens_per_s_total"] * cell["duration_s"]
            assert tokens == pytest.approx(cell["server_output_tokens"], rel=AGREEMENT), cell
    # All of it by the counter before and after, whatever the cells say of themselves.
    with SessionReader(world.session_files[0]) as reader:
        records = list(reader.requests())
    assert all(record.prompt_tokens_usage in (None, record.prompt_tokens) for record in records)
    received = sum(record.output_tokens or 0 for record in records)
    assert received == pytest.approx(_counter(outsider.url, "generation_tokens_total") - before, rel=AGREEMENT)


def test_chat_prompts_are_exact_by_the_servers_own_count(world: World, outsider: Outsider) -> None:
    profile = profile_of(world.root, endpoint="chat", users=[1, 4], mode="burst")
    cells = _sweep(world, profile, outsider)
    assert {cell["outcome"] for cell in cells.values()} <= MEASURED
    assert {cell["prompt_tokens_exact"] for cell in cells.values()} == {True}
    with SessionReader(world.session_files[0]) as reader:
        records = list(reader.requests())
    assert len(records) == 2 * (1 + 4)
    assert all(record.prompt_tokens_usage == record.prompt_tokens for record in records)
    assert {record.prompt_tokens_usage for record in records} == set(PROMPT_TOKENS)


def test_a_server_of_somebody_else_is_never_stopped(world: World, outsider: Outsider) -> None:
    before = tree_of(outsider.process.pid)
    profile = profile_of(world.root, users=[8], **STANDING)
    with running_sweep(world, profile, "--attach", outsider.url) as run:
        wait_for_mid_cell(world, run, 8, timeout_s=START_TIMEOUT_S)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=RUN_TIMEOUT_S)
    world.wait_until_empty()
    assert {process.pid for process in running(before)} == before
    assert _healthy(outsider.url)
    # What was asked is cut, not left to be answered.
    _until(lambda: _counter(outsider.url, "num_requests_running") == 0)


@pytest.mark.timeout(4 * START_TIMEOUT_S)  # three launches
def test_a_sweep_outlives_the_death_of_engine_and_api_server(world: World) -> None:
    profile = profile_of(world.root, users=[8, 16], **STANDING)
    victims: list[frozenset[int]] = []
    with running_sweep(world, profile) as run:
        for users in (8, 16):
            api = process_of(wait_for_mid_cell(world, run, users, gone=victims, timeout_s=START_TIMEOUT_S))
            pids = tree_of(api.pid)
            victims.append(pids)
            victim = titled(pids, "VLLM::EngineCore") if users == 8 else api
            victim.kill()
        output, errors = run.communicate(timeout=RUN_TIMEOUT_S)
    assert run.returncode in MEASURED_EXIT_CODES, errors
    cells = cells_of(output)
    assert {cell["outcome"] for cell in cells.values()} <= MEASURED
    assert sorted(cells) == [(8, 64), (16, 64)]
    for pids in victims:
        assert running(pids) == []
    world.wait_until_empty()
    with SessionReader(world.session_files[0]) as reader:
        assert reader.server is not None and reader.server.launches == 3
        records = list(reader.requests())
        told = [event.text for event in reader.events() if event.source == "cell"]
    assert sum("engine-dead" in text and "will be measured once more" in text for text in told) == 2, told
    # Nothing cut short counts, though the streams of a dead engine end in good order: HTTP 200, an error, [DONE].
    assert all(record.output_tokens == ANSWER_TOKENS for record in records if record.outcome in MEASURED)
    # What was lost is in no cell that counts, and nothing else was lost: a cell of control after a relaunch is whole.
    failed = {Outcome.ENGINE_DEAD, Outcome.DISCONNECTED}
    assert {record.outcome for record in records} <= MEASURED | {Outcome.CANCELLED} | failed
    lost = {record.tag for record in records if record.outcome in failed}
    assert len(lost) == 2
    assert not lost & {cell["tag"] for cell in cells.values()}


def test_what_limits_a_cell_is_found_by_its_own_gauges(world: World) -> None:
    """Blocks of 128: a request of 120 tokens takes one, one of 500 takes four; 15 blocks are to be had, 4 may run."""
    args = {"kv-cache-memory-bytes": "2M", "max-model-len": 1024, "max-num-seqs": 4}
    load = {"users": [1, 16], "prompt_tokens": [20, 400], "output_tokens": 100, "mode": "steady"}
    table = LoadTable.model_validate({**load, "warm_up_s": 3.0, "duration_s": 12.0})
    cells = sweep(
        world,
        write_profile(world.root, vllm_profile(args).model_copy(update={"load": table})),
        timeout_s=RUN_TIMEOUT_S,
    )
    for place, cell in cells.items():
        assert cell["outcome"] in MEASURED, cell
        conditions, seen = cell["conditions"], cell["occupancy"]
        assert (conditions["kv_pool_tokens"], conditions["block_size"]) == (2048, 128), conditions
        assert conditions["kv_pool_blocks"] == 15 and conditions["max_num_seqs"] == 4, conditions
        assert conditions["differences"] == [], conditions
        assert seen["readings"] >= 3 and seen["running_max"] <= 4, (place, seen)
        if cell["outcome"] == Outcome.OK:  # else the machine was too busy for the client, and the cell says so
            assert cell["delivered_concurrency"] == pytest.approx(place[0], rel=0.2), cell
    limits = {place: cell["verdict"]["limit"] for place, cell in cells.items() if cell["outcome"] == Outcome.OK}
    planted = {(16, 20): "scheduler-limit", (16, 400): "kv-cache"}
    wrong = {place: limit for place, limit in planted.items() if limits.get(place, limit) != limit}
    assert not wrong, [(cell["verdict"], cell["occupancy"]) for cell in cells.values()]


def test_sigterm_while_streaming_takes_seconds(world: World) -> None:
    profile = profile_of(world.root, users=[16], **STANDING)
    with running_sweep(world, profile) as run:
        pids = tree_of(process_of(wait_for_mid_cell(world, run, 16, timeout_s=START_TIMEOUT_S)).pid)
        began = time.monotonic()
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=RUN_TIMEOUT_S)
        assert time.monotonic() - began < STOP_S
    assert running(pids) == []
    world.wait_until_empty()


def _sweep(world: World, profile: Path, outsider: Outsider) -> Cells:
    cells = sweep(world, profile, "--attach", outsider.url, timeout_s=RUN_TIMEOUT_S)
    assert _healthy(outsider.url)
    return cells


def _counter(url: str, name: str) -> float:
    """Return a figure of the server's own."""
    text = httpx.get(f"{url}/metrics", timeout=60, trust_env=False).raise_for_status().text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"vllm:{name}{{"))


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=10, trust_env=False).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _until(condition: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
    """Wait for something of another process, which nothing but asking tells."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.2)
