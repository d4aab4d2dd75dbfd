"""What a terminal may send: all of it must leave a parser that takes the next key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from tui.view.terminal_input import TerminalInput


def keys(*chunks: bytes) -> list[str]:
    reader = TerminalInput()
    found = [message for chunk in chunks for message in reader.feed(chunk)]
    return [message.key for message in found if isinstance(message, events.Key)]


@pytest.mark.parametrize("byte", range(0x80, 0x100))
def test_a_byte_that_is_no_text_is_left_out_and_the_next_key_is_not(byte: int) -> None:
    assert keys(bytes([byte]) + b"q") == ["q"]
    assert keys(bytes([byte]), b"q") == ["q"]


@pytest.mark.parametrize("byte", range(0x20, 0x100))
def test_an_old_mouse_report_is_no_keys(byte: int) -> None:
    report = b"\x1b[M" + bytes([byte]) * 3
    assert keys(report + b"q") == ["q"]
    assert keys(*(bytes([part]) for part in report), b"q") == ["q"]


def test_letters_of_all_alphabets_still_come_through_in_pieces() -> None:
    reader = TerminalInput()
    typed = [message for part in (b"\xc3", b"\xa9\xe2\x82", b"\xac") for message in reader.feed(part)]
    assert [message.character for message in typed if isinstance(message, events.Key)] == ["é", "€"]


def test_a_key_beyond_all_characters_costs_only_itself() -> None:
    assert keys(b"\x1b[99999999999;1;99999999999u", b"q") == ["q"]


def test_escape_alone_is_a_key_after_a_moment() -> None:
    reader = TerminalInput()
    assert reader.feed(b"\x1b") == []
    found: list[object] = []
    while not found:
        found += reader.tick()
    assert [message.key for message in found if isinstance(message, events.Key)] == ["escape"]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_nothing_that_comes_breaks_it(chunks: list[bytes]) -> None:
    keys(*chunks)
