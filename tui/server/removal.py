"""The end of a container that outlives the command which started it. Used by all keepers of a server.

Imports little, since the guardian does.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence

TIMEOUT_S = 20.0
_PAUSE_S = 0.2
_GONE = ("no such container", "no container with", "no such object")
_SAID_CHARS = 200


def remove_container(command: Sequence[str]) -> str:
    """Run `command`, which removes a container by force, until there is none; return why one is left, or "".

    It is asked again while it refuses: of a container that is being removed already (`run --rm`) it says so, and it is
    there until it is gone. Takes at most TIMEOUT_S.
    """
    by = time.monotonic() + TIMEOUT_S
    said = ""
    while (left_s := by - time.monotonic()) > 0:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=left_s, check=False, errors="replace"
            )
        except subprocess.TimeoutExpired:
            return f"{command[0]} does not answer"
        except OSError as error:
            return f"{command[0]}: {error.strerror or error}"
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:_SAID_CHARS]
        if done.returncode == 0 or any(words in done.stderr.lower() for words in _GONE):
            return ""
        time.sleep(_PAUSE_S)
    return said
