"""Proof that the VRAM of a server that is gone came back, by readings of the cards and not by its processes' word."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tui.metrics.reading import GpuReading

# A card's driver keeps some for itself now and then; a model is larger than this.
TOLERANCE_BYTES = 512 * 1024**2
TIMEOUT_S = 60.0
_GB = 1e9


@dataclass(frozen=True, slots=True)
class VramReport:
    """How the VRAM came back, in words."""

    returned: bool
    text: str


class VramReturn:
    """Holds what the GPUs of a server held before its first launch against what they hold after its end."""

    def __init__(self, gpus: Iterable[int] = ()) -> None:
        """`gpus`: the indexes of the server's own; none = all that are read."""
        self._gpus = frozenset(gpus)
        self._before: dict[int, int] = {}
        self._most: dict[int, int] = {}
        self._now: dict[int, int] = {}
        self._read = asyncio.Event()

    def take(self, readings: Sequence[GpuReading]) -> None:
        """Take a round of readings; the first one, of a time when the server held nothing yet, is the measure."""
        self._now = {
            gpu.index: gpu.vram_used_bytes
            for gpu in readings
            if gpu.vram_used_bytes is not None and not gpu.lost and (not self._gpus or gpu.index in self._gpus)
        }
        for index, used_bytes in self._now.items():
            self._before.setdefault(index, used_bytes)
            self._most[index] = max(self._most.get(index, 0), used_bytes)
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
            cards = ", ".join(f"GPU {index}: {bytes_ / _GB:.1f} GB" for index, bytes_ in sorted(held.items()))
            return VramReport(False, f"after {timeout_s:.0f} s more VRAM is held than before the launch: {cards}")
        back = sum(most.get(index, now) - now for index, now in self._now.items())
        return VramReport(True, f"{back / _GB:.1f} GB of VRAM came back")

    def _held(self) -> dict[int, int]:
        """Return by how much each card holds more than before, bytes, where that is not within the tolerance."""
        more = {index: used - self._before[index] for index, used in self._now.items()}
        return {index: bytes_ for index, bytes_ in more.items() if bytes_ > TOLERANCE_BYTES}
