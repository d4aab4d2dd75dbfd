"""Logs of any kind: whatever comes in, clean lines come out and memory stays bounded."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tui.core.safe_text import safe_line
from tui.server.log_reader import LINE_BYTES, LineSplitter, LogExcerpt, LogReader


def lines_of(*pieces: bytes) -> list[str]:
    splitter = LineSplitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.end()


def test_lines_end_by_newline_and_by_carriage_return() -> None:
    assert lines_of(b"one\r\ntwo\n\rbar 10%\rbar 20%\rbar 3", b"0%\n") == [
        "one",
        "two",
        "bar 10%",
        "bar 20%",
        "bar 30%",
    ]
    assert lines_of(b"split\r", b"\nhere") == ["split", "here"]


def test_invalid_utf8_and_escape_sequences_do_no_harm() -> None:
    assert lines_of(b"\xff\xfe \x1b[31mred\x1b[0m \x1b]0;title\x07[bold]x[/bold]\x00\n") == ["�� red [bold]x[/bold]"]
    assert lines_of("né".encode()[:2], "né\n".encode()[2:]) == ["né"]


def test_long_line_is_cut_and_the_next_one_is_whole() -> None:
    splitter = LineSplitter()
    found = [line for _ in range(100) for line in splitter.feed(b"x" * 10_000)]
    found += splitter.feed(b"rest\nnext\n")
    assert [len(line) for line in found] == [LINE_BYTES, 4]
    assert found[1] == "next"


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_pieces_do_not_matter(pieces: list[bytes]) -> None:
    whole = lines_of(b"".join(pieces))
    assert lines_of(*pieces) == whole
    assert all(safe_line(line) == line for line in whole)


async def test_reader_begins_at_the_end_and_follows(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("of an earlier launch\n")
    seen: list[str] = []
    come = asyncio.Event()

    def take(lines: list[str]) -> None:
        seen.extend(lines)
        if "two" in seen:
            come.set()

    reader = LogReader(path, take)
    following = asyncio.create_task(reader.follow())
    with path.open("a") as log:
        log.write("one\ntwo\nlast, without an end")
    async with asyncio.timeout(30):
        await come.wait()
    following.cancel()
    reader.catch_up()
    reader.close()
    assert seen == ["one", "two", "last, without an end"]


def test_excerpt_keeps_the_first_errors_what_told_and_the_end() -> None:
    excerpt = LogExcerpt()
    excerpt.add("KV cache size: 5 tokens", telling=True)
    assert excerpt.add("ValueError: the cause", telling=False)
    for at in range(100_000):
        excerpt.add(f"some line {at}", telling=False)
    for at in range(10_000):
        excerpt.add(f"ValueError: consequence {at}", telling=False)
    kept = excerpt.lines()
    assert kept[:2] == ["KV cache size: 5 tokens", "ValueError: the cause"]
    assert kept[-1] == "ValueError: consequence 9999"
    assert len(kept) <= LogExcerpt.TELLING + LogExcerpt.ERRORS + LogExcerpt.LAST


def test_errors_that_a_server_outlived_are_no_cause_of_what_comes_later() -> None:
    excerpt = LogExcerpt()
    excerpt.add("KV cache size: 5 tokens", telling=True)
    for _ in range(LogExcerpt.ERRORS):
        excerpt.add("CUDA out of memory", telling=False)
    excerpt.outlive()
    assert excerpt.lines() == ["KV cache size: 5 tokens"]
    assert excerpt.add("another process was killed", telling=False)
    assert excerpt.lines() == ["KV cache size: 5 tokens", "another process was killed"]
