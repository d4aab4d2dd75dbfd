"""Frames on a stream: a 4-byte big-endian length, then that many bytes."""

from __future__ import annotations

import asyncio
import struct

from tui.link.protocol import MAX_FRAME_BYTES

_LENGTH = struct.Struct(">I")


def pack_frame(body: bytes) -> bytes:
    """Return `body` as a frame."""
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next frame's body, or None at the end of the stream (a frame cut short counts as the end).

    Raises ValueError for a frame longer than MAX_FRAME_BYTES: whoever sends that speaks something else.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > MAX_FRAME_BYTES:
            raise ValueError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are expected")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
