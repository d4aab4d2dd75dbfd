"""A checksum of a session file within the file itself: bits that were flipped on a disk alter no figure unseen.

SQLite guards its structure, not its content. When a session is closed, a row of `meta` gets a mark, `NONCE:DIGEST`,
whose digest is at first all zeros; the file is then hashed as it lies on the disk and the digest put into its place.
It is checked by hashing the file with zeros in that place. A session that is being written, or was killed, has none.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

_NONCE_BYTES = 8
_DIGEST_BYTES = 32
_ZEROS = "0" * (2 * _DIGEST_BYTES)
_PIECE_BYTES = 1024 * 1024


def new_mark() -> str:
    """Return a mark to be stored in the file before `seal` is called: 81 ASCII characters that stand nowhere else."""
    return f"{secrets.token_hex(_NONCE_BYTES)}:{_ZEROS}"


def seal(path: Path, mark: str) -> None:
    """Put the digest of a closed file into the place of `mark`. Raises OSError; without it the file stays unsealed."""
    digest, place = _digest(path, mark)
    if place is None:
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, f"{mark.partition(':')[0]}:{digest}".encode(), place)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def holds(path: Path, mark: str) -> bool:
    """Say whether a file is as it was when it was sealed with `mark`; true of one that was not. Raises OSError."""
    nonce, _, expected = mark.partition(":")
    if expected == _ZEROS:
        return True
    if len(nonce) != 2 * _NONCE_BYTES or len(expected) != len(_ZEROS):
        return False
    digest, place = _digest(path, mark)
    return place is not None and secrets.compare_digest(digest.encode(), expected.encode("utf-8", "replace"))


def _digest(path: Path, mark: str) -> tuple[str, int | None]:
    """Return the digest of the file with zeros in the mark, and where the mark stands; None unless just once."""
    needle, blank = mark.encode("utf-8", "replace"), f"{mark.partition(':')[0]}:{_ZEROS}".encode("utf-8", "replace")
    digest, places, offset, rest = hashlib.blake2b(digest_size=_DIGEST_BYTES), [], 0, b""
    with path.open("rb", buffering=0) as file:
        while True:
            piece = file.read(_PIECE_BYTES)
            held = rest + piece
            at = held.find(needle)
            if at >= 0:
                places.append(offset + at)
                held = held[:at] + blank + held[at + len(needle) :]
            # A mark may lie across two pieces.
            keep = len(needle) - 1 if piece else 0
            done = held[: len(held) - keep] if keep else held
            digest.update(done)
            offset += len(done)
            rest = held[len(done) :]
            if not piece:
                return digest.hexdigest(), places[0] if len(places) == 1 else None
