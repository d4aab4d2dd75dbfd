"""How a request or a cell ended. The names are the ones on screen and in every export."""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """The end of a cell, or of a single request."""

    PENDING = "pending"
    RUNNING = "running"
    OK = "ok"
    OOM_LAUNCH = "oom-launch"
    OOM_KV = "oom-kv"
    OOM_RUNTIME = "oom-runtime"
    OOM_HOST = "oom-host"
    TOO_LONG = "too-long"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    ENGINE_DEAD = "engine-dead"
    HTTP_ERROR = "http-error"
    DISCONNECTED = "disconnected"
    MALFORMED = "malformed"
    CLIENT_LIMIT = "client-limit"
    CANCELLED = "cancelled"
    IMPLIED = "implied"

    @property
    def is_open(self) -> bool:
        """Say whether nothing is known yet."""
        return self in (Outcome.PENDING, Outcome.RUNNING)

    @property
    def is_oom(self) -> bool:
        """Say whether memory gave out."""
        return self in _OOM

    @property
    def grows_with_load(self) -> bool:
        """Say whether a larger cell (more users, longer prompts) must end the same way, or worse.

        Not so too-long: that is arithmetic, and said of each cell by itself.
        """
        return self in _GROWS

    @property
    def is_known_end(self) -> bool:
        """Say whether the cell was measured or ended in a way that is the server's own (exit code 0)."""
        return self in (Outcome.OK, Outcome.TOO_LONG, Outcome.IMPLIED) or self.is_oom


_OOM = frozenset({Outcome.OOM_LAUNCH, Outcome.OOM_KV, Outcome.OOM_RUNTIME, Outcome.OOM_HOST})
_GROWS = _OOM | {Outcome.ENGINE_DEAD}
