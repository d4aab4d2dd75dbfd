"""Libraries of kernels for one architecture: made-up containers, told by their images."""

from __future__ import annotations

import struct

import pytest

from tests.gpu.slim_kernels import CONTAINER, MACHINE_CODE, PTX, slim

HEADER_BYTES = 64


def image(kind: int, architecture: int, payload: bytes) -> bytes:
    head = struct.pack("<HHIQ", kind, 1, HEADER_BYTES, len(payload)).ljust(28, b"\0") + struct.pack("<I", architecture)
    return head.ljust(HEADER_BYTES, b"\0") + payload


def container(*images: bytes) -> bytes:
    body = b"".join(images)
    return CONTAINER + struct.pack("<HHQ", 1, 16, len(body)) + body


def library(section: bytes) -> bytearray:
    """Return an ELF file with one section of kernels and its table of names."""
    names = b"\0.nv_fatbin\0.shstrtab\0"
    offset = 64
    table = offset + len(section) + len(names)
    head = b"\x7fELF\x02\x01".ljust(0x28, b"\0") + struct.pack("<Q", table)
    head = head.ljust(0x3A, b"\0") + struct.pack("<HHH", 64, 2, 1)
    rows = struct.pack("<IIQQQQ", 1, 1, 0, 0, offset, len(section)).ljust(64, b"\0")
    rows += struct.pack("<IIQQQQ", 12, 3, 0, 0, offset + len(section), len(names)).ljust(64, b"\0")
    return bytearray(head.ljust(64, b"\0") + section + names + rows)


def kept_of(*images: bytes) -> bytes:
    data = library(container(*images))
    size = len(data)
    zeroed = slim(data, 90)
    assert len(data) == size
    length = struct.unpack_from("<Q", data, 64 + 8)[0]
    assert zeroed == len(b"".join(images)) - length
    assert not any(data[80 + length : 64 + 16 + len(b"".join(images))])
    return bytes(data[80 : 80 + length])


def test_machine_code_for_the_card_is_all_that_stays() -> None:
    own = image(MACHINE_CODE, 90, b"hopper" * 10)
    assert kept_of(image(MACHINE_CODE, 80, b"ampere" * 10), own, image(PTX, 90, b"ptx" * 10)) == own


def test_without_it_the_newest_ptx_that_is_not_newer_stays() -> None:
    older = image(PTX, 80, b"eighty" * 9)
    assert kept_of(image(PTX, 75, b"old" * 9), older, image(PTX, 100, b"new" * 9)) == older


def test_where_nothing_fits_a_header_without_code_stays() -> None:
    kept = kept_of(image(MACHINE_CODE, 100, b"blackwell" * 9), image(MACHINE_CODE, 80, b"a" * 8))
    assert kept == image(MACHINE_CODE, 80, bytes(8))


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown image"):
        slim(library(container(image(7, 90, b"x"))), 90)
    with pytest.raises(ValueError, match="not a 64-bit ELF"):
        slim(bytearray(b"MZ" * 100), 90)
