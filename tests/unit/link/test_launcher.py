"""The start of a bench, as a front end goes through it."""

from __future__ import annotations

import asyncio

import pytest

from tui.link import launcher


async def test_who_calls_off_as_the_bench_says_its_first_word_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def first_word(_: object) -> str:
        return await said

    monkeypatch.setattr(asyncio, "to_thread", first_word)
    starting = launcher.StartingBench.__new__(launcher.StartingBench)
    listening = asyncio.create_task(starting.listening())
    await asyncio.sleep(0)
    said.set_result("ready")
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
