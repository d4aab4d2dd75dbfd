"""What a session says of the machine it ran on, and of what its profile needs."""

from __future__ import annotations

import os
import platform

from tui.profile.schema import Profile


def environment_of() -> dict[str, str]:
    """Return what later readers of a session need to know of this machine; nothing that names its user or owner."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "cpus": str(os.cpu_count() or ""),
    }


def gpu_summary_of(profile: Profile) -> str:
    """Return the GPUs of a profile in words, as far as the profile tells, e.g. "2 × A100 40GB"."""
    count = profile.gpu_count
    if not count:
        return ""
    where = f" on {profile.nodes} nodes" if profile.nodes > 1 else ""
    if profile.simulator is None:
        return (f"{count} GPUs" if count > 1 else "1 GPU") + where
    return (f"{count} × {profile.simulator.gpu}" if count > 1 else profile.simulator.gpu) + where
