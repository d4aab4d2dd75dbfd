"""That a server died while it was measured."""

from __future__ import annotations

from tui.metrics.snapshot import FailureReport


class ServerDied(Exception):
    """The server died while it was measured."""

    def __init__(self, report: FailureReport) -> None:
        super().__init__(report.summary)
        self.report = report


class DiedUnsettled(ServerDied):
    """It died while requests of another cell were still under way: of this cell, that says nothing."""
