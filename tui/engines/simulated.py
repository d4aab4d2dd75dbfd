"""The embedded simulated server: vLLM's dialect, log and metrics, another command line."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from tui.engines.base import LaunchPlan
from tui.engines.parts.addresses import base_url
from tui.engines.vllm import VllmEngine
from tui.engines.vllm.launch import ACCESS_LOG_FLAG, VllmLaunch

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile, ServerTable

TIME_SCALE_VARIABLE = "VRAMP_TIME_SCALE"


class SimulatedLaunch(VllmLaunch):
    """`vramp simulate PROFILE`."""

    known_flags = None

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `python -m tui simulate PROFILE ...`; a profile without a file is looked up by its name."""
        server = profile.server
        assert server is not None
        which = str(profile_path) if profile_path is not None else profile.name
        argv = [sys.executable, "-m", "tui", "simulate", which, "--host", server.host, "--port", str(port)]
        argv.append(f"--{ACCESS_LOG_FLAG}")
        if _is_scaled(time_scale := os.environ.get(TIME_SCALE_VARIABLE, "")):
            argv += ["--time-scale", time_scale]
        return LaunchPlan(argv=(*argv, *server.extra_args), env=dict(server.env), base_url=base_url(server.host, port))

    def gpus_needed(self, server: ServerTable) -> int:
        """Return 0: its GPUs are simulated, too."""
        return 0


class SimulatedEngine(VllmEngine):
    """A model of a vLLM."""

    name = "simulated"
    title = "simulated vLLM"
    mark = None
    seen = ""
    launch = SimulatedLaunch()


ENGINE = SimulatedEngine()


def _is_scaled(time_scale: str) -> bool:
    try:
        return float(time_scale) != 1.0
    except ValueError:
        return False
