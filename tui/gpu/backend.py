"""What a source of GPU readings offers, whatever driver is behind it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from tui.core.errors import VrampError
from tui.metrics.reading import GpuReading


class GpuUnavailable(VrampError):
    """There are no readings; the message says why in words, and what to do."""


class GpuDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What does not change of a GPU."""

    index: int
    name: str
    vram_total_bytes: int | None = None
    vram_used_bytes: int | None = None
    """By all processes, when it was asked."""
    mig_mode: bool = False
    slices: list[str] = []
    """The names of its MIG slices; without one, a card in MIG mode is of no use."""

    @property
    def usable(self) -> bool:
        """Say whether programs can run on it."""
        return bool(self.slices) or not self.mig_mode

    @property
    def in_words(self) -> str:
        """Return its name, and how it is cut."""
        if not self.mig_mode:
            return self.name
        return (
            f"{self.name} (MIG: {', '.join(name.partition(' MIG ')[2] or name for name in self.slices) or 'no slices'})"
        )


class GpuInventory(msgspec.Struct, frozen=True, kw_only=True):
    """The GPUs of this machine."""

    gpus: list[GpuDescription] = []
    driver_version: str = ""
    problem: str = ""
    """Why nothing is known, and what to do; empty = all is well."""


class GpuBackend(Protocol):
    """Readings of all GPUs of this machine. Used by one thread at a time."""

    @property
    def note(self) -> str:
        """What the readings lack, in words; empty = nothing."""

    @property
    def driver_version(self) -> str:
        """The driver's version; empty = not told."""

    def sample(self, pids: frozenset[int]) -> list[GpuReading]:
        """Return one reading per GPU and slice, by index; `pids` are the server's processes, whose VRAM is told apart.

        A reading that could not be had is None. Raises GpuUnavailable when there are none at all any more.
        """

    def events(self) -> list[str]:
        """Return what the cards reported since the last call (Xid errors and the like), in words."""

    def close(self) -> None:
        """Let go of the driver. Idempotent."""
