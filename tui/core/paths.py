"""Where vramp keeps things: XDG folders, on every system."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from platformdirs.unix import Unix

from tui.core.errors import VrampError

_DIRS = Unix("vramp")
# What Linux takes as the address of a unix socket, its closing zero left out.
MAX_SOCKET_BYTES = 107


def from_home(path: str) -> str:
    """Return a path as a shell takes it, too, and shorter to read: what lies in the home folder begins by ~."""
    home = os.environ.get("HOME", "").rstrip("/")
    return f"~{path[len(home) :]}" if home and path.startswith(f"{home}/") else path


def config_dir() -> Path:
    """Return the folder of the settings; it may not exist."""
    return Path(_DIRS.user_config_dir)


def user_profiles_dir() -> Path:
    """Return the folder of the user's own profiles; it may not exist."""
    return config_dir() / "profiles"


def sessions_dir() -> Path:
    """Return the folder of the session files and logs, readable by its owner only.

    It is made if absent; where that is impossible it stays so, and a session is kept in memory. Raises VrampError when
    somebody else owns it.
    """
    path = Path(_DIRS.user_data_dir) / "sessions"
    try:
        return _private_dir(path)
    except OSError:
        return path


def cache_dir() -> Path:
    """Return the folder of what can be found out again, made if absent, readable by its owner only.

    Raises VrampError when there can be none.
    """
    path = Path(_DIRS.user_cache_dir)
    try:
        return _private_dir(path)
    except OSError as error:
        raise VrampError(f"{path}: cannot be made: {error.strerror}") from None


def runtime_dirs() -> list[Path]:
    """Return the folders that may hold sockets, the first choice first; they may not exist.

    Benches that were started without XDG_RUNTIME_DIR are found with it, and the other way round; VRAMP_RUNTIME_DIR
    names the only folder, for one who wants none of the others.
    """
    if only := os.environ.get("VRAMP_RUNTIME_DIR"):
        return [Path(only)]
    base = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(base) / "vramp"] if base and Path(base).is_dir() and os.access(base, os.W_OK) else []
    name = f"vramp-{os.getuid()}"
    try:
        places.append(Path(tempfile.gettempdir()) / name)
    except OSError:
        pass  # no temporary folder can be written
    return [*places, *(shared for shared in (Path("/tmp") / name,) if shared not in places)]  # noqa: S108 - made private


def socket_of(session_id: str) -> Path:
    """Return where the bench of a session listens: in a folder of mode 0700 that is the user's own.

    Raises VrampError when no folder will do: none can be written, all are too long for a socket's address, or somebody
    else owns one (a trap set in a shared temporary folder).
    """
    if "/" in session_id or "\0" in session_id:
        raise VrampError(f"{session_id!r} is no name of a session")
    reasons = []
    for folder in runtime_dirs():
        path = folder / f"{session_id}.sock"
        if len(os.fsencode(path)) > MAX_SOCKET_BYTES:
            reasons.append(f"{folder} is too long for a socket's address")
            continue
        try:
            _private_dir(folder)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror}")
            continue
        return path
    raise VrampError(
        f"there is no folder for the bench's socket ({'; '.join(reasons)}); "
        "set XDG_RUNTIME_DIR to a short path that can be written"
    )


def _private_dir(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise VrampError(f"{path}: expected a folder of your own, found one that belongs to somebody else")
    if stat.S_IMODE(info.st_mode) != 0o700:
        path.chmod(0o700)
    return path
