"""Which processes of this machine are a container's, by their cgroup."""

from __future__ import annotations

from pathlib import Path

_PROC = Path("/proc")


def processes_of(container_id: str) -> frozenset[int]:
    """Return the pids, in this machine's numbers, of what runs in a container; none where they cannot be seen.

    Docker and podman name its cgroup by its id, whoever drives cgroups: `/docker/ID`, `docker-ID.scope`, `libpod-ID`,
    in v1 as in v2. What is no child of the command that started it is found so, whoever inherited it. A container
    without a cgroup of its own (rootless podman may have none) is below the command anyway.
    """
    try:
        pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    except OSError:
        return frozenset()
    return frozenset(pid for pid in pids if container_id in _cgroup(pid))


def _cgroup(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cgroup").read_text()
    except OSError:  # it has just ended
        return ""
