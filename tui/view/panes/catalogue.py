"""All panes, in the order of the tab line. A new one is a file beside this and an entry here."""

from __future__ import annotations

from tui.view.panes.grid import GridPane
from tui.view.panes.latency import LatencyPane
from tui.view.panes.log import LogPane
from tui.view.panes.pane import Pane
from tui.view.panes.requests import RequestsPane
from tui.view.panes.server import ServerPane
from tui.view.panes.throughput import ThroughputPane
from tui.view.panes.vram import VramPane

PANES: tuple[type[Pane], ...] = (
    ThroughputPane,
    LatencyPane,
    VramPane,
    GridPane,
    RequestsPane,
    LogPane,
    ServerPane,
)
