"""GPU cards that can be simulated: what a driver reports of them and what they draw."""

from __future__ import annotations

from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Card:
    """One kind of card, by its data sheet and by what its driver reports."""

    name: str
    """As NVML names it."""
    vram_total_bytes: int
    idle_power_w: float
    full_power_w: float


CARDS: dict[str, Card] = {
    "V100 16GB": Card("Tesla V100-SXM2-16GB", 16160 * _MIB, 42.0, 300.0),
    "A100 40GB": Card("NVIDIA A100-SXM4-40GB", 40536 * _MIB, 52.0, 400.0),
    "A100 80GB": Card("NVIDIA A100-SXM4-80GB", 81251 * _MIB, 60.0, 400.0),
    "H100 80GB": Card("NVIDIA H100 80GB HBM3", 81559 * _MIB, 70.0, 700.0),
    "H200 141GB": Card("NVIDIA H200", 143771 * _MIB, 78.0, 700.0),
    "L4 24GB": Card("NVIDIA L4", 23034 * _MIB, 16.0, 72.0),
    "A10G 24GB": Card("NVIDIA A10G", 23028 * _MIB, 18.0, 300.0),
    "RTX 4090 24GB": Card("NVIDIA GeForce RTX 4090", 24564 * _MIB, 22.0, 450.0),
}
"""By the name that a profile uses."""
