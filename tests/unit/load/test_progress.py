"""What the workers of a pool come to together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tui.load.crew import Crew
from tui.load.progress import progress_of
from tui.load.wire import Report


def crew(*stamps: str) -> Crew:
    handles = [SimpleNamespace(latest=report(each)) for each in stamps]
    return cast("Crew", SimpleNamespace(handles=handles, hosts=[SimpleNamespace(name="")]))


def report(stamps: str) -> Report:
    return Report(
        seq=1,
        heard=1,
        at_ns=1,
        tick=True,
        users_active=0,
        in_flight=0,
        tokens=[],
        events=0,
        cpu_share=0.0,
        lag_p99_s=None,
        stamps=stamps,
        rss_bytes=0,
        started=[],
        records=[],
        left=[],
    )


@pytest.mark.parametrize(
    ("of_each", "of_all"),
    [
        ((), ""),
        (("", ""), ""),
        (("", "kernel"), "kernel"),
        (("kernel", "client"), "client"),
        (("client", ""), "client"),
    ],
)
def test_stamps_are_of_whom_has_read_something_and_the_worst_of_those(of_each: tuple[str, ...], of_all: str) -> None:
    assert progress_of(crew(*of_each), [], 0).stamps == of_all
