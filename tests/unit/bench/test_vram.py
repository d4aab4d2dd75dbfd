"""VRAM that comes back, late or not at all, by made-up readings."""

from __future__ import annotations

import asyncio

import msgspec

from tui.bench.vram import TOLERANCE_BYTES, VramReturn, split_by_log
from tui.metrics.reading import GpuReading

GB = 10**9
PATIENCE_S = 30.0


def readings(*used: int | None, lost: bool = False) -> list[GpuReading]:
    return [
        GpuReading(at_ns=0, index=index, name="card", vram_used_bytes=each, lost=lost)
        for index, each in enumerate(used)
    ]


async def waiting(vram: VramReturn, timeout_s: float = PATIENCE_S) -> asyncio.Task[object]:
    task: asyncio.Task[object] = asyncio.create_task(vram.wait(timeout_s))
    await asyncio.sleep(0)
    return task


def test_split_by_the_log_leaves_the_rest_of_the_servers_memory() -> None:
    # Bytes of Mistral 7B on an H200: by its log and, for its process, by NVML.
    weights, kv_cache, held = 14495514624, 122428042772, 138095362048
    reading = GpuReading(at_ns=0, index=0, name="card", vram_used_bytes=held + GB, vram_server_bytes=held)
    split = split_by_log(reading, weights, kv_cache)
    assert (split.vram_weights_bytes, split.vram_kv_cache_bytes) == (weights, kv_cache)
    assert split.vram_other_bytes == 1171804652
    loading = msgspec.structs.replace(reading, vram_server_bytes=weights)
    for each in (loading, msgspec.structs.replace(reading, vram_server_bytes=None)):
        assert split_by_log(each, weights, kv_cache) is each
    nothing = split_by_log(msgspec.structs.replace(reading, vram_server_bytes=0), weights, kv_cache)
    assert (nothing.vram_weights_bytes, nothing.vram_kv_cache_bytes, nothing.vram_other_bytes) == (0, 0, 0)
    assert split_by_log(reading, weights, None) is split_by_log(reading, None, kv_cache) is reading


async def test_it_waits_for_new_readings_until_all_is_back() -> None:
    vram = VramReturn()
    vram.take(readings(GB, 2 * GB))
    vram.take(readings(37 * GB, 30 * GB))
    task = await waiting(vram)
    for used in ((37, 30), (1, 30)):
        vram.take(readings(*(each * GB for each in used)))
        await asyncio.sleep(0.01)
        assert not task.done()
    vram.take(readings(GB, 2 * GB + TOLERANCE_BYTES))
    async with asyncio.timeout(PATIENCE_S):
        report = await task
    assert report is not None
    assert report.returned and report.text == "63.5 GB of VRAM came back"  # type: ignore[attr-defined]


async def test_what_stays_held_is_named_after_the_time() -> None:
    vram = VramReturn()
    vram.take(readings(GB, 2 * GB))
    vram.take(readings(37 * GB, 30 * GB))
    task = await waiting(vram, 0.05)
    vram.take(readings(GB, 30 * GB))
    report = await task
    assert report is not None
    assert not report.returned and report.text.endswith("than before the launch: GPU 1: 28.0 GB")  # type: ignore[attr-defined]


async def test_slices_are_looked_at_one_by_one_and_not_again_in_their_card() -> None:
    def cut(card: int, *used: int) -> list[GpuReading]:
        slices = [msgspec.structs.replace(each, index=0, mig_index=each.index) for each in readings(*used)]
        return [*readings(card), *slices]

    vram = VramReturn()
    vram.take(cut(2 * GB, GB, GB))
    vram.take(cut(22 * GB, 11 * GB, 11 * GB))
    task = await waiting(vram, 0.05)
    vram.take(cut(12 * GB, GB, 11 * GB))
    report = await task
    assert report.text.endswith("GPU 0:1: 10.0 GB")  # type: ignore[attr-defined]
    vram.take(cut(22 * GB, 11 * GB, 11 * GB))
    task = await waiting(vram)
    vram.take(cut(2 * GB, GB, GB))
    assert (await task).text == "20.0 GB of VRAM came back"  # type: ignore[attr-defined]


async def test_cards_that_say_nothing_hold_nobody_up_but_are_not_taken_for_free() -> None:
    assert await VramReturn().wait() is None
    vram = VramReturn()
    vram.take(readings(None, GB))
    vram.take(readings(None, GB, lost=True))
    report = await vram.wait(0.01)
    assert report is not None
    assert not report.returned and "unknown" in report.text
    task = await waiting(vram)
    vram.take(readings(None, GB))
    assert (await task).returned  # type: ignore[attr-defined]
