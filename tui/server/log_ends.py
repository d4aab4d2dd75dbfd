"""Both ends of a log of any size: what a start looked like, and how it ended."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections import deque
from pathlib import Path
from typing import BinaryIO

from tui.core.errors import UsageError

HEAD_BYTES = 2 * 1024 * 1024
TAIL_BYTES = 4 * 1024 * 1024
_PIECE_BYTES = 256 * 1024
_LINE_ENDS = {b"\xff\xfe": b"\n\x00", b"\xfe\xff": b"\x00\n"}


def read_ends(path: Path) -> bytes:
    """Return a log's content; of one that is longer than both ends together only these, a line end between them.

    "-" is a pipe or a file on stdin. Raises UsageError for what cannot be read, and for what is no plain file: a named
    pipe would be waited for, and a device may never end.
    """
    if str(path) == "-":
        if not _is_file(kind := os.fstat(sys.stdin.fileno()).st_mode) and not stat.S_ISFIFO(kind):
            raise UsageError("stdin: found neither a pipe nor a file, expected a log")
        return _of_stream(sys.stdin.buffer)
    try:
        # A named pipe without a writer would hold up even the opening.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with io.FileIO(descriptor) as file:
            if not _is_file(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: found something that is no plain file; pipe it in, and name it -")
            return _of_file(file)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path}: cannot be read: {reason}") from None


def _is_file(kind: int) -> bool:
    return stat.S_ISREG(kind)


def _of_file(file: io.FileIO) -> bytes:
    size = os.fstat(file.fileno()).st_size
    if size <= HEAD_BYTES + TAIL_BYTES:
        return _read(file, HEAD_BYTES + TAIL_BYTES)
    head = _read(file, HEAD_BYTES)
    file.seek((size - TAIL_BYTES) // 2 * 2)  # UTF-16 has two bytes to a character
    return _joined(head, _read(file, TAIL_BYTES + 1))


def _read(file: io.FileIO, limit: int) -> bytes:
    content = bytearray()
    while len(content) < limit and (piece := file.read(min(_PIECE_BYTES, limit - len(content)))):
        content += piece
    return bytes(content)


def _of_stream(stream: BinaryIO) -> bytes:
    head, tail, tail_bytes, left_out = b"", deque[bytes](), 0, False
    while piece := stream.read(_PIECE_BYTES):
        if len(head) < HEAD_BYTES:
            head += piece
            continue
        tail.append(piece)
        tail_bytes += len(piece)
        while tail_bytes - len(tail[0]) >= TAIL_BYTES:
            tail_bytes -= len(tail.popleft())
            left_out = True
    rest = b"".join(tail)
    return _joined(head, rest) if left_out else head + rest


def _joined(head: bytes, tail: bytes) -> bytes:
    return head + _LINE_ENDS.get(head[:2], b"\n") + tail
