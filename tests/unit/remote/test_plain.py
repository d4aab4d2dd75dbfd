"""A session told in lines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.fakes.snapshot_parts import HOSTILE
from tests.fakes.snapshots import failed, fresh, gpu_hosts, hostile, launching, mid_ramp, oom_grid, sweeping
from tui.core.outcome import Outcome
from tui.link import unheard
from tui.link.client import BenchLink
from tui.link.launcher import RunningBench
from tui.metrics.reading import Event
from tui.metrics.snapshot import Snapshot
from tui.remote import plain
from tui.remote.plain import MOST_LINES, Teller

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def told(*snapshots: Snapshot) -> list[list[str]]:
    teller = Teller()
    return [list(teller.news(snapshot)) for snapshot in snapshots]


def said(snapshot: Snapshot, *events: Event) -> Snapshot:
    return msgspec.structs.replace(snapshot, log=[*snapshot.log, *events])


async def test_a_bench_of_which_nothing_comes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    told_of = asyncio.Event()

    class Link:
        why_gone = "stopped"

        async def snapshots(self) -> AsyncIterator[Snapshot]:
            yield mid_ramp()
            await told_of.wait()

        async def last_word(self) -> None:
            return None

        async def close(self) -> None:
            pass

    async def connect(*args: object, **options: object) -> Link:
        return Link()

    def tell(text: str) -> None:
        lines.append(text)
        if text.startswith("no word from the bench for"):
            told_of.set()

    monkeypatch.setattr(BenchLink, "connect", connect)
    monkeypatch.setattr(plain, "tell", tell)
    monkeypatch.setattr(unheard, "UNHEARD_S", 0.5)
    await plain._follow(RunningBench("1", Path("socket")), 0.0)
    assert lines[-2:] == ["no word from the bench for 1 s", "the session is over: stopped"]


def test_it_begins_with_how_things_stand_and_says_nothing_twice() -> None:
    first, again = told(mid_ramp(), mid_ramp())
    assert first[0].startswith("session 2026-11-20-1804: ") and "SIMULATED" in first[0]
    assert again == []


def test_a_launch_is_told_by_its_stages_and_its_end() -> None:
    _, ready = told(launching(), fresh())
    assert ready[0] == "server: ready"
    first, why = told(launching(), failed())
    assert "server: launching, weights" in first
    assert why[0].startswith("server: failed, oom-kv, The KV cache does not fit") and "max-model-len" in why[0]


def test_what_is_asked_is_told_when_it_changes() -> None:
    _, news = told(fresh(), sweeping())
    assert {"now: the sweep of the grid", "16 users", "296 prompt tokens"} <= set(news)


def test_a_cell_is_told_with_its_figures() -> None:
    before = sweeping()
    without = msgspec.structs.replace(before.grid, cells=before.grid.cells[1:])
    _, news = told(msgspec.structs.replace(before, grid=without), before)
    cell = before.grid.cells[0]
    assert cell.outcome is Outcome.OK
    assert news == [
        "cell 1 user x 31 tokens: ok: 3.10 s to resolve, 32 tokens/s, 32.3 tokens/s per user, "
        "0.25 s to the first token (median), SIMULATED"
    ]


def test_a_cell_that_failed_is_told_by_its_event_alone() -> None:
    grid = oom_grid().grid
    text = "64 users x 480 tokens: oom-runtime: CUDA out of memory"
    event = Event(at_ns=1, source="cell", level="warning", text=text)
    _, news = told(sweeping(), said(msgspec.structs.replace(sweeping(), grid=grid), event))
    assert [line for line in news if "oom" in line] == [f"warning: {text}"]


def test_the_servers_own_log_is_left_out_but_for_errors() -> None:
    base = mid_ramp()
    lines = [("info", "INFO 200 OK"), ("error", "CUDA error"), ("warning", "slow tokenizer")]
    events = [Event(at_ns=7, source="server", level=level, text=text) for level, text in lines]
    _, news = told(base, said(base, *events))
    assert news == ["error: CUDA error"]


def test_a_flood_is_cut_and_counted() -> None:
    base = mid_ramp()
    events = [Event(at_ns=7, source="load", level="warning", text=f"refused {n}") for n in range(MOST_LINES + 5)]
    _, news = told(base, said(base, *events))
    assert len(news) == MOST_LINES + 1 and news[-1] == "and 5 lines more"


def test_nothing_from_outside_moves_the_cursor() -> None:
    base = mid_ramp()
    events = [Event(at_ns=7, source="engine", text=text) for text in HOSTILE]
    lines = [line for news in told(base, said(base, *events), hostile()) for line in news]
    assert len(lines) > len(HOSTILE) and not any(CONTROL.search(line) for line in lines)


def test_the_figures_say_that_they_are_simulated() -> None:
    line = Teller().figures(mid_ramp())
    assert line.startswith("24 users x 296 tokens: 512 tokens/s") and "SIMULATED; at 13 min" in line
    assert "SIMULATED" not in Teller().figures(mid_ramp(simulated=False))
    assert "no figures yet, SIMULATED" in Teller().figures(fresh())


def test_the_memory_of_the_cards_is_told_of_all_hosts_and_of_each() -> None:
    ((*lines,),) = told(gpu_hosts(2, 4))
    assert [line for line in lines if line.startswith("GPU memory")] == [
        "GPU memory of all 2 hosts: SIMULATED 8 × A100 40 GB, 305.6 of 320.0 GB",
        "GPU memory of node1: SIMULATED 4 × A100 40 GB, 152.8 of 160.0 GB",
        "GPU memory of node2: SIMULATED 4 × A100 40 GB, 152.8 of 160.0 GB",
    ]
    ((*many,),) = told(gpu_hosts(40, 1))
    assert "and 25 hosts more" in many
    ((*one,),) = told(mid_ramp(simulated=False))
    assert "GPU memory: 2 × NVIDIA A100-PCIE-40GB, 76.4 of 80.0 GB" in one


def test_what_of_the_memory_is_the_server_s_is_told_where_it_is_not_all() -> None:
    base = gpu_hosts(2, 2)
    gpus = [msgspec.structs.replace(gpu, vram_server_bytes=30 * 10**9) for gpu in base.gpus]
    ((*lines,),) = told(msgspec.structs.replace(base, gpus=gpus))
    assert [line.rpartition(", ")[2] for line in lines if line.startswith("GPU memory")] == [
        "120.0 the server's",
        "60.0 the server's",
        "60.0 the server's",
    ]
