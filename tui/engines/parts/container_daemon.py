"""Where the daemon of a container runtime is, as its own command finds it: by variables, and by docker's contexts.

https://docs.docker.com/engine/manage-resources/contexts/
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tui.core.address import ServerAddress

_HERE = ("unix", "fd", "npipe", "")
_LARGEST_FILE_BYTES = 1024 * 1024


def other_host(runtime: str, env: Mapping[str, str]) -> str:
    """Return the host of the daemon, where it is another than this one; else "".

    `env`: that of the runtime's command. What cannot be read is "": the runtime will say what is wrong with it.
    """
    if runtime == "docker":
        return _host_in(env.get("DOCKER_HOST") or _address_of_context(env))
    return _host_in(env.get("CONTAINER_HOST", "")) if runtime == "podman" else ""


def _address_of_context(env: Mapping[str, str]) -> str:
    """Return the address in docker's present context; "" for its default."""
    folder = Path(env.get("DOCKER_CONFIG") or Path(env.get("HOME") or Path.home()) / ".docker")
    name = env.get("DOCKER_CONTEXT") or _object_in(folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return ""
    found: object = _object_in(folder / "contexts" / "meta" / sha256(name.encode()).hexdigest() / "meta.json")
    for key in ("Endpoints", "docker", "Host"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _object_in(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            found: object = msgspec.json.decode(opened.read(_LARGEST_FILE_BYTES))
    except (OSError, msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _host_in(daemon: str) -> str:
    """Return the host in the address of a daemon, e.g. "ssh://me@gpu-7"; "" where it is this one."""
    try:
        found = urlsplit(daemon if "://" in daemon else f"tcp://{daemon}")
        host = found.hostname or ""
    except ValueError:
        return ""
    if found.scheme in _HERE or not host:
        return ""
    return "" if ServerAddress(tls=False, host=host, port=0).is_loopback else host
