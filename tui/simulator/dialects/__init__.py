"""How a simulated server looks: one module for each serving system, called as its engine, with a `DIALECT`."""

from __future__ import annotations

import importlib

from tui.profile.simulator_table import ServedAs
from tui.simulator.dialect import ServedDialect

__all__ = ["dialect_of"]


def dialect_of(name: ServedAs) -> type[ServedDialect]:
    """Return what a simulated server of this name looks like."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    found: type[ServedDialect] = module.DIALECT
    return found
