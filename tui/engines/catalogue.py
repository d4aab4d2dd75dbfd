"""Which serving systems there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.core.errors import UsageError
from tui.engines.base import Engine
from tui.engines.openai import OpenAiEngine
from tui.engines.simulated import SimulatedEngine
from tui.engines.vllm import VllmEngine

if TYPE_CHECKING:
    from tui.profile.schema import EngineName

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (VllmEngine(), SimulatedEngine(), OpenAiEngine())}


def engine_for(name: EngineName | str) -> Engine:
    """Return the serving system of this name. Raises UsageError for one that vramp cannot drive."""
    try:
        return ENGINES[str(name)]
    except KeyError:
        known = ", ".join(sorted(ENGINES))
        raise UsageError(f'engine = "{name}" cannot be launched by this vramp; these can: {known}') from None
