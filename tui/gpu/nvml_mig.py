"""The slices of an NVIDIA GPU in MIG mode: each is a device of its own with its own memory.

Activity, power, heat and clocks are of the whole card only. Slices may be made and unmade while the card is in use, and
NVML's handles are used again for others, so nothing is remembered of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pynvml

from tui.core.safe_text import safe_line
from tui.gpu.nvml_device import Device, ask, with_memory
from tui.metrics.reading import GpuReading


@dataclass(slots=True)
class Slices:
    """The slices of one card, in one round."""

    readings: list[GpuReading] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Which of them may not be read by this user."""


def read_slices(card: Device, at_ns: int, pids: frozenset[int]) -> Slices | None:
    """Return the card's slices; None where it is not in MIG mode, or cannot be. Raises as `ask` does."""
    mode = ask(card, "mig mode", pynvml.nvmlDeviceGetMigMode)
    if mode is None or mode[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
        return None
    slices = Slices()
    for number in range(ask(card, "mig count", pynvml.nvmlDeviceGetMaxMigDeviceCount) or 0):
        query = f"mig {number}"
        device = Device(card.index, ask(card, query, pynvml.nvmlDeviceGetMigDeviceHandleByIndex, number))
        refused = card.never.get(query) == pynvml.NVML_ERROR_NO_PERMISSION
        if device.handle is None and not refused:
            continue  # a place without a slice
        reading = GpuReading(at_ns=at_ns, index=card.index, mig_index=number, name=f"GPU {card.index}:{number}")
        slices.readings.append(reading if refused else _read(reading, device, pids))
        if refused or device.memory_refused:
            slices.refused.append(reading.place)
    return slices


def _read(reading: GpuReading, device: Device, pids: frozenset[int]) -> GpuReading:
    reading = msgspec.structs.replace(
        reading,
        name=safe_line(ask(device, "name", pynvml.nvmlDeviceGetName) or reading.name, limit=80),
        mig_uuid=safe_line(ask(device, "uuid", pynvml.nvmlDeviceGetUUID) or "", limit=80),
        mig_gpu_instance=ask(device, "gpu instance", pynvml.nvmlDeviceGetGpuInstanceId),
        mig_compute_instance=ask(device, "compute instance", pynvml.nvmlDeviceGetComputeInstanceId),
    )
    return with_memory(reading, device, pids)
