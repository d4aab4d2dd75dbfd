"""VRAM of the server: how it is divided, and the proof that it came back, by readings of the cards."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tui.metrics.reading import GpuReading, devices

# A card's driver keeps some for itself now and then; a model is larger than this.
TOLERANCE_BYTES = 512 * 1024**2
TIMEOUT_S = 60.0
_GB = 1e9


def split_by_log(reading: GpuReading, weights_bytes: int | None, kv_cache_bytes: int | None) -> GpuReading:
    """Return the reading with what the server's log says of its memory; what is left of the server's is `other`.

    Left as it is while the server does not hold as much as its log says that it will.
    """
    held = reading.vram_server_bytes
    if held == 0:
        return msgspec.structs.replace(reading, vram_weights_bytes=0, vram_kv_cache_bytes=0, vram_other_bytes=0)
    if held is None or weights_bytes is None or kv_cache_bytes is None or held < weights_bytes + kv_cache_bytes:
        return reading
    return msgspec.structs.replace(
        reading,
        vram_weights_bytes=weights_bytes,
        vram_kv_cache_bytes=kv_cache_bytes,
        vram_other_bytes=held - weights_bytes - kv_cache_bytes,
    )


@dataclass(frozen=True, slots=True)
class VramReport:
    """How the VRAM came back, in words."""

    returned: bool
    text: str


class VramReturn:
    """Holds what the GPUs of a server held before its first launch against what they hold after its end."""

    def __init__(self) -> None:
        # By their places, as slices of one card have their own memory.
        self._before: dict[str, int] = {}
        self._most: dict[str, int] = {}
        self._now: dict[str, int] = {}
        self._read = asyncio.Event()

    def take(self, readings: Sequence[GpuReading]) -> None:
        """Take readings of the server's GPUs; the first round, before it held anything, is the measure."""
        self._now = {
            gpu.place: gpu.vram_used_bytes
            for gpu in devices(readings)
            if gpu.vram_used_bytes is not None and not gpu.lost
        }
        for place, used_bytes in self._now.items():
            self._before.setdefault(place, used_bytes)
            self._most[place] = max(self._most.get(place, 0), used_bytes)
        self._read.set()

    async def wait(self, timeout_s: float = TIMEOUT_S) -> VramReport | None:
        """Wait until new readings show it back, and say so, or what is still held at the end of the time.

        None where no card was ever read: there is nothing to prove it by.
        """
        if not self._before:
            return None
        most, self._most = self._most, {}
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    self._read.clear()
                    await self._read.wait()
                    if not (held := self._held()):
                        break
        except TimeoutError:
            held = self._held()
            if not held:
                return VramReport(
                    False, f"no GPU was read for {timeout_s:.0f} s; whether the VRAM came back is unknown"
                )
            cards = ", ".join(f"GPU {place}: {bytes_ / _GB:.1f} GB" for place, bytes_ in sorted(held.items()))
            return VramReport(False, f"after {timeout_s:.0f} s more VRAM is held than before the launch: {cards}")
        back = sum(most.get(place, now) - now for place, now in self._now.items())
        return VramReport(True, f"{back / _GB:.1f} GB of VRAM came back")

    def _held(self) -> dict[str, int]:
        """Return by how much each card holds more than before, bytes, where that is not within the tolerance."""
        more = {place: used - self._before[place] for place, used in self._now.items()}
        return {place: bytes_ for place, bytes_ in more.items() if bytes_ > TOLERANCE_BYTES}
