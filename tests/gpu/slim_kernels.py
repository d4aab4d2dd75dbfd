"""Takes out of a CUDA library what one kind of card can never run, so that it packs well. Its size stays the same.

A library's section .nv_fatbin holds containers, each with images of machine code or PTX for several architectures.
What stays of a container: machine code for the architecture; else the newest PTX that is not newer (the driver compiles
it at first use); else the bare header of its smallest image. What stays moves to the front, the rest becomes zeros.
Files that were slimmed so served vLLM 0.26.0 on an H200 (architecture 90).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

CONTAINER = struct.pack("<I", 0xBA55ED50)
PTX, MACHINE_CODE = 1, 2


class Image(NamedTuple):
    """One image of a container: header and payload lie at `data[start : start + size]`."""

    kind: int
    architecture: int
    start: int
    size: int
    header: int


def slim(data: bytearray, architecture: int) -> int:
    """Slim a library in place; return how many bytes became zeros. Raises ValueError for a form that is not known."""
    zeroed = 0
    for offset, length in _sections(data, b".nv_fatbin"):
        at, end = offset, offset + length
        while at < end:
            if data[at : at + 4] != CONTAINER:
                at += 8  # padding
                continue
            header, size = struct.unpack_from("<HQ", data, at + 6)
            body = _kept(data, list(_images(data, at + header, at + header + size)), architecture)
            zeroed += size - len(body)
            data[at + header : at + header + size] = body + bytes(size - len(body))
            struct.pack_into("<Q", data, at + 8, len(body))
            at += header + size
    return zeroed


def _kept(data: bytearray, images: list[Image], architecture: int) -> bytes:
    keep = [image for image in images if image.kind == MACHINE_CODE and image.architecture == architecture]
    if not keep:
        older = [image for image in images if image.kind == PTX and image.architecture <= architecture]
        keep = [max(older, key=lambda image: image.architecture)] if older else []
    if keep:
        return b"".join(bytes(data[image.start : image.start + image.size]) for image in keep)
    smallest = min(images, key=lambda image: image.size)
    return bytes(data[smallest.start : smallest.start + smallest.header]) + bytes(smallest.size - smallest.header)


def _images(data: bytearray, start: int, end: int) -> Iterator[Image]:
    while start < end:
        kind, _, header, payload = struct.unpack_from("<HHIQ", data, start)
        architecture = struct.unpack_from("<I", data, start + 28)[0]
        size = header + payload
        if kind not in (PTX, MACHINE_CODE) or not 32 <= header <= 256 or start + size > end:
            raise ValueError(f"unknown image at {start}: kind {kind}, header {header}, payload {payload}")
        yield Image(kind, architecture, start, size, header)
        start += size


def _sections(data: bytearray, wanted: bytes) -> Iterator[tuple[int, int]]:
    """Yield offset and length of the sections of that name (ELF64, little-endian)."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit ELF library")
    table = struct.unpack_from("<Q", data, 0x28)[0]
    entry, count, names = struct.unpack_from("<HHH", data, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", data, table + number * entry) for number in range(count)]
    strings = rows[names][4]
    for name, _, _, _, offset, length in rows:
        if data[strings + name : data.index(b"\0", strings + name)] == wanted:
            yield offset, length
