"""What stands above and below all panes."""

from __future__ import annotations

import msgspec
import pytest

from tests.fakes import snapshots
from tui.view.panes.header import ViewState, users_line


@pytest.mark.parametrize(
    ("active", "wanted", "words"), [(1, 1, "1 user"), (2, 2, "2 users"), (0, 1, "0 of   1 user"), (0, 0, "0 users")]
)
def test_users_are_told_in_one_width(active: int, wanted: int, words: str) -> None:
    snapshot = snapshots.mid_ramp()
    load = msgspec.structs.replace(snapshot.load, users_active=active, users_wanted=wanted)
    line = users_line(msgspec.structs.replace(snapshot, load=load), ViewState())
    text = "".join(part for part, _ in line)
    assert text.strip() == words and len(text) == 16
