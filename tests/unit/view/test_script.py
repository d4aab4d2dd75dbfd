"""When the steps of a script are due."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from tests.fakes.snapshots import mid_ramp
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.aside import Aside
from tui.metrics.snapshot import Phase, ServerDeath, Snapshot, SweepStatus
from tui.profile.demo_table import DemoStep, DemoTable
from tui.view.script import Script


def script(*steps: Mapping[str, object]) -> Script:
    return Script(DemoTable(step=[DemoStep.model_validate(dict(step)) for step in steps]))


def at(seconds: float, **changes: object) -> Snapshot:
    base = mid_ramp()
    return msgspec.structs.replace(base, at_ns=base.started_at_ns + round(seconds * NS_PER_S), **changes)


def places(script: Script, *snapshots: Snapshot) -> list[int | None]:
    """Return which step each snapshot was handed, None = none."""
    return [script.place if script.advance(snapshot) is not None else None for snapshot in snapshots]


def test_it_stands_until_it_is_run_and_then_goes_on_by_seconds() -> None:
    shown = script({"caption": "one", "seconds": 5}, {"seconds": 3}, {"caption": "three", "seconds": 0})
    assert places(shown, at(0), at(100)) == [None, None]
    assert "r runs it" in shown.in_words
    shown.run()
    assert places(shown, at(100), at(104.9), at(105), at(107.9), at(108), at(109)) == [0, None, 1, None, 2, None]
    assert shown.caption == "three" and not shown.running and "is over" in shown.in_words


def test_an_empty_caption_leaves_the_one_before() -> None:
    shown = script({"caption": "one", "seconds": 0}, {"seconds": 9})
    shown.run()
    places(shown, at(0), at(1))
    assert (shown.place, shown.caption) == (1, "one")


def test_held_time_counts_for_nothing() -> None:
    shown = script({"seconds": 5}, {"seconds": 5})
    shown.run()
    places(shown, at(0), at(3))
    shown.toggle()
    assert "is held" in shown.in_words
    assert places(shown, at(50)) == [None]
    shown.toggle()
    assert places(shown, at(51.9), at(52)) == [None, 1]


def test_arrows_go_to_a_step_at_once_and_stay_within() -> None:
    shown = script({}, {}, {})
    shown.step(1)
    assert places(shown, at(0)) == [0]
    for _ in range(5):
        shown.step(1)
    assert places(shown, at(1)) == [2]
    for _ in range(5):
        shown.step(-1)
    assert places(shown, at(2), at(99)) == [0, None]


def test_a_step_begins_no_earlier_than_it_says() -> None:
    shown = script({"seconds": 1}, {"at": 20.0})
    shown.run()
    assert places(shown, at(0), at(19), at(20)) == [0, None, 1]


def dead() -> Snapshot:
    return at(6, deaths=[ServerDeath(at_ns=1, outcome=Outcome.OOM_RUNTIME, cause="")])


def load(**changes: object) -> Snapshot:
    return at(6, load=msgspec.structs.replace(mid_ramp().load, **changes))


def phase(of: Phase) -> Snapshot:
    return at(6, server=msgspec.structs.replace(mid_ramp().server, phase=of))


STANDING = {"users_wanted": 4, "users_active": 4, "settling": False, "activity": "idle"}


@pytest.mark.parametrize(
    ("wait", "not_yet", "then"),
    [
        ("oom", at(6), dead()),
        ("ready", phase(Phase.RELAUNCHING), phase(Phase.READY)),
        ("steady", load(**STANDING, steady_for_s=1.0), load(**STANDING, steady_for_s=6.0)),
        ("steady", load(**{**STANDING, "users_active": 3}, steady_for_s=6.0), load(**STANDING, steady_for_s=6.0)),
        ("steady", load(**STANDING, steady_for_s=None), load(**STANDING, steady_for_s=6.0)),
        (
            "grid-full",
            at(6, sweep=SweepStatus(cells_done=3, cells_total=4)),
            at(6, sweep=SweepStatus(cells_done=4, cells_total=4)),
        ),
        ("walked", at(6, sweep=SweepStatus(running=True)), load(activity="idle")),
        ("answered", at(6, aside=Aside(question="q")), at(6, aside=Aside(question="q", over="answered"))),
    ],
)
def test_what_is_waited_for(wait: str, not_yet: Snapshot, then: Snapshot) -> None:
    shown = script({"seconds": 5, "wait": wait}, {})
    shown.run()
    assert places(shown, at(0), not_yet, then) == [0, None, 1]


def test_an_earlier_end_of_the_memory_is_not_the_one_waited_for() -> None:
    shown = script({"seconds": 0, "wait": "oom"}, {})
    shown.run()
    assert places(shown, dead(), dead()) == [0, None]


def test_what_never_comes_is_waited_for_only_so_long() -> None:
    shown = script({"seconds": 1, "wait": "oom", "at_most": 10.0}, {})
    shown.run()
    assert places(shown, at(0), at(9.9), at(10)) == [0, None, 1]
