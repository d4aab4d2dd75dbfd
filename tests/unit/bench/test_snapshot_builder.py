"""What the bench shows of finished requests."""

from __future__ import annotations

from tests.unit.bench.records import record
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.metrics.window import LiveWindow


def test_a_request_is_shown_with_the_users_of_its_time() -> None:
    shown = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    shown.users_wanted = 128
    shown.begin_tag(7)
    shown.users_wanted = 0  # they finish what they asked
    shown.add_records([record(tag=7)])
    assert [row.users for row in shown.requests] == [128]


def test_what_is_remembered_of_tags_does_not_grow_with_the_run() -> None:
    shown = SnapshotBuilder(0, "", "s", "s.vramp", False, 1.0, "p", "P", "vllm", "", "", LiveWindow())
    for tag in range(1_000):
        shown.begin_tag(tag)
    assert len(shown.users_by_tag) == 100 and 999 in shown.users_by_tag
