"""What can be waited for, as facts of one snapshot."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.fakes.snapshots import failed, fresh, full_grid, launching, mid_ramp, oom_grid, sweeping
from tui.commands.ctl import wait
from tui.core.errors import ExitCode
from tui.core.outcome import Outcome
from tui.metrics.precision import Precision
from tui.metrics.snapshot import Phase, ServerDeath, Snapshot
from tui.remote.waiting import CONDITIONS, done, out_of_memory, ready, steady


def changed(snapshot: Snapshot, part: str, **fields: Any) -> Snapshot:
    return msgspec.structs.replace(snapshot, **{part: msgspec.structs.replace(getattr(snapshot, part), **fields)})


STANDING = changed(mid_ramp(), "load", users_wanted=24, users_active=24, steady_for_s=31.0)


def test_the_command_line_offers_all_of_them() -> None:
    (argument,) = (each for each in wait.params if each.name == "condition")
    assert list(argument.type.choices) == list(CONDITIONS)  # type: ignore[attr-defined]


def test_ready() -> None:
    assert ready(launching()) is None
    found = ready(fresh())
    assert found is not None and found.code is ExitCode.OK and "http://127.0.0.1:40123" in found.sentence


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_server_that_failed_for_good_ends_every_wait(condition: str) -> None:
    found = CONDITIONS[condition](failed())
    assert found is not None
    if condition == "oom":  # it failed for lack of memory, which is what was waited for
        assert found.code is ExitCode.OK and found.sentence.startswith("oom-kv: The KV cache does not fit")
    else:
        assert found.code is ExitCode.SERVER_UNAVAILABLE and "max seq len" in found.sentence


def test_steady_says_who_stands() -> None:
    found = steady(STANDING)
    assert found is not None and found.sentence == "24 users x 296 tokens: steady for 31 s"


@pytest.mark.parametrize(
    "moving",
    [
        {"steady_for_s": None},
        {"steady_for_s": 9.9},  # the live figures are of ten seconds
        {"settling": True},
        {"users_wanted": 0},
        {"precision": Precision(state="settling")},
        {"precision": Precision(state="drifting")},
    ],
)
def test_what_moves_is_not_steady(moving: dict[str, Any]) -> None:
    assert steady(changed(STANDING, "load", **moving)) is None


def test_nothing_is_steady_while_a_server_comes_back() -> None:
    assert steady(changed(STANDING, "server", phase=Phase.RELAUNCHING)) is None


def test_out_of_memory_in_a_cell_and_in_none() -> None:
    found = out_of_memory(oom_grid())
    assert found is not None and found.code is ExitCode.OK and "oom" in found.sentence
    assert out_of_memory(sweeping()) is None
    cells = [cell for cell in full_grid().grid.cells if cell.outcome is Outcome.OK]
    through = changed(full_grid(), "grid", cells=cells)
    never = out_of_memory(through)
    assert never is not None and never.code is ExitCode.UNEXPECTED


def test_out_of_memory_of_users_who_stood_in_no_cell() -> None:
    death = ServerDeath(at_ns=1, outcome=Outcome.OOM_RUNTIME, cause="CUDA out of memory")
    found = out_of_memory(msgspec.structs.replace(sweeping(), deaths=[death]))
    assert found is not None and found.sentence == "the server died: oom-runtime: CUDA out of memory"


def test_done_once_the_sweep_is_through() -> None:
    assert done(sweeping()) is None
    assert done(launching()) is None
    found = done(full_grid())
    assert found is not None and found.lasting and found.code is ExitCode.OK


def test_a_pause_must_last_to_be_the_end() -> None:
    found = done(fresh())
    assert found is not None and not found.lasting


def test_a_sweep_that_did_not_come_to_its_end_is_told_from_one_that_did() -> None:
    broken = done(changed(fresh(), "sweep", failed="the disk is full"))
    assert broken is not None and broken.code is ExitCode.UNEXPECTED
    taken = done(changed(fresh(), "sweep", taken_over="another front end took over"))
    assert taken is not None and taken.code is ExitCode.INTERRUPTED
    stopped = done(changed(fresh(), "sweep", stopped="the operator stopped the sweep", cells_done=3, cells_total=8))
    assert stopped is not None and stopped.code is ExitCode.OK and stopped.lasting
    assert stopped.sentence == "the operator stopped the sweep; 5 cells are open"
