"""Which serving systems there are; each is imported when it is first asked for."""

from __future__ import annotations

import importlib
from functools import cache

from tui.core.errors import UsageError
from tui.core.safe_text import safe_line
from tui.engines.container import ContainedLaunch
from tui.engines.engine import Engine, Launch
from tui.engines.over_ray import RayLaunch
from tui.engines.simulated import SimulatedEngine
from tui.profile.engine_names import SIMULATED, installed_engines
from tui.profile.schema import Profile
from tui.profile.simulator_table import ServedAs, SimulatorTable

_LOG_OF = {ServedAs.RAY_SERVE: "vllm", ServedAs.OPENAI: "vllm", ServedAs.SAGEMAKER: "tgi"}
"""Whose log the simulated ones write, where it is not their own."""


@cache
def engine_for(name: str) -> Engine:
    """Return the serving system of this name, or of "simulated-" and a name, the simulated server that is seen as it.

    Raises UsageError for one that is not installed, or cannot be used.
    """
    where = installed_engines().get(name)
    kind, _, seen_as = name.partition("-")
    if where is None and kind == SIMULATED and seen_as in list(ServedAs):
        return simulated_as(ServedAs(seen_as))
    if where is None:
        raise UsageError(f'engine = "{safe_line(name, limit=40)}" is not installed; there are: {", ".join(names())}')
    module, _, attribute = where.partition(":")
    try:
        found: object = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever a module of somebody else raises
        why = safe_line(f"{type(error).__name__}: {error}", limit=300)
        raise UsageError(f'engine = "{name}" cannot be used, since {module} fails: {why}') from error
    if not isinstance(found, Engine):
        raise UsageError(f'engine = "{name}" cannot be used: {where} is no Engine')
    return found


def launch_for(name: str) -> Launch:
    """Return how the serving system of this name is started. Raises UsageError where it is attached to only."""
    launch = engine_for(name).launch
    if launch is None:
        raise UsageError(f'engine = "{name}" is attached to, not launched; use a table [attach]')
    return launch


def engine_of(profile: Profile) -> Engine:
    """Return the serving system of a profile; of a simulated one, what it is seen as. Raises UsageError."""
    if profile.engine != SIMULATED:
        return engine_for(profile.engine)
    return simulated_as((profile.simulator or SimulatorTable()).dialect)


@cache
def simulated_as(dialect: ServedAs) -> Engine:
    """Return the simulated server that is seen as a server of this serving system."""
    if dialect is ServedAs.VLLM:
        return engine_for(SIMULATED)
    return SimulatedEngine(engine_for(dialect), engine_for(_LOG_OF.get(dialect, dialect)).launch)


def mistakes_in(profile: Profile) -> list[str]:
    """Return what the serving system of a profile finds wrong in it, one line each; a system that fails says so."""
    try:
        return [safe_line(line, limit=400) for line in engine_of(profile).mistakes(profile)]
    except UsageError as error:
        return [str(error)]


def launch_of(profile: Profile) -> Launch:
    """Return how the server of a profile is started, in its container or over its cluster where it has one.

    Raises UsageError.
    """
    engine = engine_of(profile)
    launch = engine.launch or launch_for(profile.engine)
    server = profile.server
    if server is not None and server.container is not None:
        return ContainedLaunch(launch, server.container, engine.key_variable)
    if server is not None and server.ray is not None and launch.ray_arguments is not None:
        return RayLaunch(launch, server.ray)
    return launch


@cache
def title_of(name: str) -> str:
    """Return what people call the serving system of this name; the name where it is not installed, or has no other."""
    try:
        return engine_for(name).title or name
    except UsageError:
        return name


def shown_log_line(engine: str, line: str) -> str:
    """Return a line of the log of a server of this system as it is shown; as it is where nothing is known of it."""
    try:
        return launch_for(engine).shown_log_line(line)
    except UsageError:
        return line


def names() -> list[str]:
    """Return the names of all that are installed."""
    return sorted(installed_engines())
