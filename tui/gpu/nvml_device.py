"""One NVIDIA GPU, or one MIG slice of one, and what NVML can be asked of it; beside `nvml` alone in touching pynvml.

What a card or a driver does not offer is asked for once and None from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pynvml

from tui.core.safe_text import safe_line
from tui.gpu.backend import GpuUnavailable
from tui.metrics.reading import GpuReading

_REASONS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: (
        "no NVIDIA driver here (libnvidia-ml.so.1 was not found): install it, or start the container with --gpus all"
    ),
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: (
        "the NVIDIA driver is installed but not loaded: run `modprobe nvidia` as root, or reboot"
    ),
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: (
        "the NVIDIA driver was changed while it was loaded (its library and kernel module differ): reboot"
    ),
    pynvml.NVML_ERROR_NO_PERMISSION: (
        "no permission to ask the NVIDIA driver: let your user read /dev/nvidia* (often the group video or render)"
    ),
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "the NVIDIA driver is too old to be asked: install a newer one",
    pynvml.NVML_ERROR_UNINITIALIZED: "the NVIDIA driver's library was shut down",
}
DRIVER_GONE = frozenset(
    {
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        pynvml.NVML_ERROR_UNINITIALIZED,
    }
)
_LOST = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
NEVER = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        pynvml.NVML_ERROR_NO_PERMISSION,
    }
)
# nvml.h, nvmlClocksEventReason*; an idle GPU and clocks set by somebody are no throttling.
_THROTTLE_WORDS = (
    (pynvml.nvmlClocksEventReasonSwPowerCap, "power limit"),
    (pynvml.nvmlClocksEventReasonHwThermalSlowdown, "too hot (hardware)"),
    (pynvml.nvmlClocksEventReasonSwThermalSlowdown, "too hot"),
    (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown, "power brake (hardware)"),
    (pynvml.nvmlClocksEventReasonHwSlowdown, "hardware slowdown"),
    (pynvml.nvmlClocksEventReasonSyncBoost, "held by its sync boost group"),
)
_MEMORY = "memory"
_MOST_NAMED = 4


class GpuLost(Exception):
    """The GPU does not answer any more."""


@dataclass(slots=True)
class Device:
    """What can be asked, and what is known of it for good."""

    index: int
    """Of the card."""
    handle: Any = None
    """None while it is lost, or may not be asked."""
    name: str = ""
    vram_total_bytes: int | None = None
    never: dict[str, int] = field(default_factory=dict)
    """Queries that it does not offer, and NVML's error for each."""

    @property
    def memory_refused(self) -> bool:
        """Say whether its memory may not be read by this user."""
        return bool(self.never.get(_MEMORY) == pynvml.NVML_ERROR_NO_PERMISSION)


def unavailable(error: pynvml.NVMLError) -> GpuUnavailable:
    """Return NVML's error in words, with what to do."""
    reason = _REASONS.get(error.value)
    return GpuUnavailable(reason or f"the NVIDIA driver says: {safe_line(str(error), limit=200)}")


def ask(device: Device, query: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `call` says of the GPU, or None when it does not; if never, it is not asked again.

    Raises GpuLost when the GPU is lost, GpuUnavailable when the driver went away.
    """
    if query in device.never:
        return None
    try:
        return call(device.handle, *arguments)
    except pynvml.NVMLError as error:
        if error.value in _LOST:
            raise GpuLost from None
        if error.value in DRIVER_GONE:
            raise unavailable(error) from None
        if error.value in NEVER:
            device.never[query] = error.value
        return None
    except (UnicodeDecodeError, pynvml.NVMLLibraryMismatchError):
        device.never[query] = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
        return None


def with_memory(reading: GpuReading, device: Device, pids: frozenset[int]) -> GpuReading:
    """Return the reading with the device's memory, and with what of it the processes `pids` hold.

    Drivers from 510 on tell what they reserve beside `used`, so that used + reserved + free = total, and used is what
    nvidia-smi calls so; older ones count it as used (nvml.h, nvmlMemory_t and nvmlMemory_v2_t; seen with 580.159).
    """
    memory = ask(device, "memory v2", pynvml.nvmlDeviceGetMemoryInfo, pynvml.nvmlMemory_v2)
    memory = memory or ask(device, _MEMORY, pynvml.nvmlDeviceGetMemoryInfo)
    device.vram_total_bytes = device.vram_total_bytes if memory is None else int(memory.total)
    own, others = _holders(device, pids) if pids else (None, None)
    return msgspec.structs.replace(
        reading,
        vram_total_bytes=device.vram_total_bytes,
        vram_used_bytes=None if memory is None else int(memory.used),
        vram_reserved_bytes=None if memory is None else getattr(memory, "reserved", None),
        vram_free_bytes=None if memory is None else int(memory.free),
        vram_server_bytes=own,
        vram_neighbours_bytes=None if others is None else sum(others.values()),
        vram_neighbours=_named(others or {}),
    )


def temperature_c(device: Device) -> float | None:
    """Return the temperature by the call of drivers from 570 on, else by the one that it replaced."""
    sensor = pynvml.NVML_TEMPERATURE_GPU
    degrees = ask(device, "temperature v", pynvml.nvmlDeviceGetTemperatureV, sensor)
    if degrees is None:
        degrees = ask(device, "temperature", pynvml.nvmlDeviceGetTemperature, sensor)
    return None if degrees is None else float(degrees)


def clock_mhz(device: Device) -> int | None:
    """Return the present clock of its multiprocessors."""
    clock = ask(device, "clock", pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM)
    return None if clock is None else int(clock)


def power_limit_w(device: Device) -> float | None:
    """Return the power limit that is enforced."""
    limit_mw = ask(device, "power limit", pynvml.nvmlDeviceGetEnforcedPowerLimit)
    return None if limit_mw is None else limit_mw / 1000


def throttle(device: Device) -> str | None:
    """Return why the clocks are held down, in words; empty when they are not, None when it is not told."""
    reasons = ask(device, "event reasons", pynvml.nvmlDeviceGetCurrentClocksEventReasons)
    if reasons is None:
        reasons = ask(device, "throttle reasons", pynvml.nvmlDeviceGetCurrentClocksThrottleReasons)
    return None if reasons is None else ", ".join(words for bit, words in _THROTTLE_WORDS if reasons & bit)


def owners_told(readings: list[GpuReading]) -> list[GpuReading]:
    """Return all readings of one round without whose memory it is, where none of the server's holds any.

    In a container NVML tells the host's process numbers, which match none of ours: nobody's are known then. Where one
    matches, all can be told apart, and a card without one has nothing of the server's.
    """
    if any(reading.vram_server_bytes for reading in readings):
        return readings
    return [
        msgspec.structs.replace(reading, vram_server_bytes=None, vram_neighbours_bytes=None, vram_neighbours="")
        for reading in readings
    ]


def _holders(device: Device, pids: frozenset[int]) -> tuple[int | None, dict[int, int] | None]:
    """Return the VRAM that the server's processes hold, and what each other holds, by its number; None when it is not
    told of each."""
    processes = ask(device, "processes", pynvml.nvmlDeviceGetComputeRunningProcesses)
    if processes is None:
        processes = ask(device, "processes v2", pynvml.nvmlDeviceGetComputeRunningProcesses_v2)
    if processes is None:
        return None, None
    held = [process.usedGpuMemory for process in processes if process.pid in pids]
    others = {process.pid: process.usedGpuMemory for process in processes if process.pid not in pids}
    own = sum(held) if None not in held else None
    return own, others if own is not None and None not in others.values() else None


def _named(holders: dict[int, int]) -> str:
    largest = sorted(holders, key=lambda pid: -holders[pid])[:_MOST_NAMED]
    return ", ".join(dict.fromkeys(name for pid in largest if (name := _program(pid))))


def _program(pid: int) -> str:
    """Return the name of a process's program without its folder and arguments, which may hold secrets."""
    try:
        path = str(pynvml.nvmlSystemGetProcessName(pid))
    except (pynvml.NVMLError, UnicodeDecodeError):
        return ""
    return safe_line(path.split(" ")[0].rpartition("/")[2], limit=30)
