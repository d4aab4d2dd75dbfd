"""Hosts with networks of their own, which are cut and slowed down; skipped where there can be none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import world
from tests.fakes.lan import DAY_S, LanHost, lan, missing

__all__ = ["world"]

TIMEOUT_S = 300.0
"""They wait for one another, and for what takes ten seconds and more to be noticed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


@pytest.fixture(scope="module")
def hosts() -> Iterator[list[LanHost]]:
    """Have three hosts, the last behind a link that can be slow; their clocks are days and a minute out."""
    if why := missing():
        pytest.skip(why)
    with (
        tempfile.TemporaryDirectory(prefix="vr") as folder,
        pytest.MonkeyPatch.context() as patch,
        lan(Path(folder), 3, clocks_ahead_s=[5 * DAY_S, -60, 40 * DAY_S], slow=1) as made,
    ):
        patch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
        yield made
