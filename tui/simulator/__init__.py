"""The embedded default: a real HTTP server with a model of a GPU server behind it; everything says SIMULATED."""

from __future__ import annotations

from tui.simulator.server import serve

__all__ = ["serve"]
