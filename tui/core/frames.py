"""Frames on a stream between processes of ours: a 4-byte big-endian length, then that many bytes."""

from __future__ import annotations

import asyncio
import struct

_LENGTH = struct.Struct(">I")


def pack_frame(body: bytes) -> bytes:
    """Return `body` as a frame."""
    return _LENGTH.pack(len(body)) + body


class FrameSplitter:
    """The same for whoever reads by itself: bytes in, bodies out."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, come: bytes) -> list[bytes]:
        """Return the bodies that are whole by now. Raises ValueError for a frame of more than `limit` bytes."""
        self._rest += come
        bodies, at = [], 0
        while len(self._rest) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, at)
            if length > self._limit:
                raise ValueError(f"a frame of {length} bytes; at most {self._limit} are expected")
            begin, end = at + _LENGTH.size, at + _LENGTH.size + length
            if len(self._rest) < end:
                break
            bodies.append(bytes(self._rest[begin:end]))
            at = end
        del self._rest[:at]
        return bodies


async def read_frame(reader: asyncio.StreamReader, limit: int) -> bytes | None:
    """Return the next frame's body, or None at the end of the stream (a frame cut short counts as the end).

    Raises ValueError for a frame of more than `limit` bytes: whoever sends that speaks something else.
    """
    try:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > limit:
            raise ValueError(f"a frame of {length} bytes; at most {limit} are expected")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
