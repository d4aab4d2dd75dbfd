"""Frames come whole out of bytes, however these were cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.core.frames import FrameSplitter, pack_frame


@given(st.lists(st.binary(max_size=40), max_size=12), st.lists(st.integers(1, 60), min_size=1, max_size=12))
def test_bodies_are_the_same_however_the_bytes_are_cut(bodies: list[bytes], sizes: list[int]) -> None:
    sent = b"".join(map(pack_frame, bodies))
    splitter, come, number = FrameSplitter(40), [], 0
    while sent:
        size = sizes[number % len(sizes)]
        come += splitter.feed(sent[:size])
        sent, number = sent[size:], number + 1
    assert come == bodies


def test_a_frame_that_is_too_large_is_refused_before_it_is_there() -> None:
    assert FrameSplitter(4).feed(pack_frame(b"1234")) == [b"1234"]
    with pytest.raises(ValueError, match="5 bytes; at most 4"):
        FrameSplitter(4).feed(pack_frame(b"12345")[:4])
