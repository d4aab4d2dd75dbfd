"""Where vramp keeps things: XDG folders, on every system."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from platformdirs.unix import Unix

from tui.core.errors import VrampError

_DIRS = Unix("vramp")


def config_dir() -> Path:
    """Return the folder of the settings; it may not exist."""
    return Path(_DIRS.user_config_dir)


def user_profiles_dir() -> Path:
    """Return the folder of the user's own profiles; it may not exist."""
    return config_dir() / "profiles"


def sessions_dir() -> Path:
    """Return the folder of the session files and logs, made if absent, readable by its owner only."""
    return _private_dir(Path(_DIRS.user_data_dir) / "sessions")


def cache_dir() -> Path:
    """Return the folder of what can be found out again, made if absent, readable by its owner only."""
    return _private_dir(Path(_DIRS.user_cache_dir))


def runtime_dir() -> Path:
    """Return the folder of the sockets: mode 0700 and the user's own, whatever was there before.

    Raises VrampError when somebody else owns it (a trap set in a shared temporary folder).
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir() and os.access(base, os.W_OK):
        return _private_dir(Path(base) / "vramp")
    return _private_dir(Path(tempfile.gettempdir()) / f"vramp-{os.getuid()}")


def socket_of(session_id: str) -> Path:
    """Return where the bench of a session listens. Raises VrampError as `runtime_dir` does."""
    return runtime_dir() / f"{session_id}.sock"


def _private_dir(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.getuid():
        raise VrampError(f"{path}: expected a folder of your own, found one that belongs to somebody else")
    if stat.S_IMODE(info.st_mode) != 0o700:
        path.chmod(0o700)
    return path
