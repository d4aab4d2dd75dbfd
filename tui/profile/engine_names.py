"""The names of the serving systems that are installed, found without importing one."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

import tui

ENTRY_POINTS = "vramp.engines"
SIMULATED = "simulated"
"""The one whose figures come from a model of a server instead of a server."""
# What stands in tui/engines and is no serving system.
_NO_ENGINES = frozenset(
    {
        "__init__",
        "__pycache__",
        "base",
        "catalogue",
        "command_line",
        "container",
        "engine",
        "help_flags",
        "over_ray",
        "parts",
        "triton",
    }
)


@cache
def installed_engines() -> MappingProxyType[str, str]:
    """Return where each serving system is, "module:attribute", by its name.

    Those of vramp are the modules and packages of `tui.engines`, each named as its module with dashes for underscores;
    others come by an entry point of the group `vramp.engines`, and take no name of these.
    """
    folder = Path(tui.__file__).parent / "engines"
    modules = sorted(each.stem for each in folder.iterdir() if each.suffix == ".py" or (each / "__init__.py").exists())
    own = {name.replace("_", "-"): f"tui.engines.{name}:ENGINE" for name in modules if name not in _NO_ENGINES}
    others = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    return MappingProxyType(others | own)
