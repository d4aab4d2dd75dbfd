"""What a session says of itself: where its figures come from, and how it ended. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from tui.core.clock import NS_PER_S, NS_PER_US

_SAME_BOOT_S = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SessionMeta(msgspec.Struct, frozen=True, kw_only=True):
    """Where the figures of a session come from. Holds no secret: `redaction` sees to that before it is written."""

    session_id: str
    started_at: str
    """ISO 8601, UTC."""
    started_at_ns: int
    """The same moment on the session's time axis."""
    vramp_version: str
    profile_name: str
    profile_title: str = ""
    profile_toml: str = ""
    """The profile as written, before overrides."""
    profile_json: str = ""
    """The profile with all overrides, as `Profile.model_validate_json` reads it."""
    profile_path: str = ""
    """Where the profile was read from, for going on with the session on the same machine."""
    engine: str
    simulated: bool = False
    time_scale: float = 1.0
    gpu_summary: str = ""
    gpu_note: str = ""
    command_line: str = ""
    stamps: str = ""
    """Where token times come from: kernel or client."""
    environment: dict[str, str] = {}
    """Machine and versions, by name."""
    note: str = ""
    """What its owner wrote about it."""

    def on_first_start(self, first: SessionMeta) -> SessionMeta:
        """Return this with id, start and note of `first`: a session that is resumed goes on under its first start."""
        return msgspec.structs.replace(
            self,
            session_id=first.session_id,
            started_at=first.started_at,
            started_at_ns=first.started_at_ns,
            note=self.note or first.note,
        )


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a session was closed."""

    how: str
    """In a few words, e.g. "finished", "stopped by the operator"."""
    at: str
    """ISO 8601, UTC."""
    at_ns: int


def wall_time(meta: SessionMeta, at_ns: int) -> str:
    """Return a moment of the session's axis as ISO 8601 in UTC, to the ms; empty when that cannot be said."""
    try:
        elapsed = timedelta(seconds=(at_ns - meta.started_at_ns) / NS_PER_S / meta.time_scale)
        return (datetime.fromisoformat(meta.started_at) + elapsed).astimezone(UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, ZeroDivisionError):
        return ""


def wall_times(meta: SessionMeta, moments_ns: Sequence[int]) -> list[str]:
    """Return `wall_time` of many moments; each second is spelled out once."""
    try:
        started = datetime.fromisoformat(meta.started_at)
    except ValueError:
        return [""] * len(moments_ns)
    if started.tzinfo is None:  # its offset may change meanwhile
        return [wall_time(meta, at_ns) for at_ns in moments_ns]
    start_us = (started - _EPOCH) // timedelta(microseconds=1)
    per_us = NS_PER_US * meta.time_scale
    seconds: dict[int, str] = {}
    texts = []
    for at_ns in moments_ns:
        second, rest_us = divmod(start_us + round((at_ns - meta.started_at_ns) / per_us), 1_000_000)
        if second not in seconds:
            seconds[second] = _spelled(second)
        texts.append(f"{seconds[second]}.{rest_us // 1000:03d}+00:00" if seconds[second] else "")
    return texts


def _spelled(second: int) -> str:
    try:
        return (_EPOCH + timedelta(seconds=second)).isoformat(timespec="seconds")[:19]
    except OverflowError:
        return ""


def axis_shift_ns(earlier: SessionMeta, last_ns: int, at_ns: int, wall: datetime) -> int:
    """Return what must be added to session times from now on (`at_ns`, at wall time `wall`) to continue a session.

    0 while the machine has not restarted; else the session's axis goes on by the wall clock, never backwards.
    """
    try:
        elapsed_s = (wall - datetime.fromisoformat(earlier.started_at)).total_seconds()
    except (ValueError, TypeError):
        elapsed_s = 0.0
    expected_ns = earlier.started_at_ns + round(elapsed_s * earlier.time_scale * NS_PER_S)
    if at_ns >= last_ns and abs(expected_ns - at_ns) < _SAME_BOOT_S * NS_PER_S:
        return 0
    return max(expected_ns, last_ns) - at_ns
