"""NVIDIA's GPUs by NVML: the only module that touches pynvml.

What a card or a driver does not offer is asked for once and None from then on; a GPU that fell off the bus is marked
lost and asked again every ten seconds; the others go on. Calls release the GIL but may hang: see `sampler`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pynvml

from tui.core.clock import NS_PER_S, now_ns
from tui.core.safe_text import safe_line
from tui.gpu.backend import GpuDescription, GpuInventory, GpuUnavailable
from tui.gpu.xid import xid_in_words
from tui.metrics.reading import GpuReading

LOST_RETRY_S = 10.0
MAX_GPUS = 256
MAX_EVENTS = 50
# What is ready is given at once; 0 is not said to mean "do not wait" in nvml.h, and a millisecond costs nothing.
_EVENT_WAIT_MS = 1
_EVENT_TYPES = pynvml.nvmlEventTypeXidCriticalError | pynvml.nvmlEventTypeDoubleBitEccError

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
_DRIVER_GONE = frozenset(
    {
        pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
        pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
        pynvml.NVML_ERROR_UNINITIALIZED,
    }
)
_LOST = frozenset({pynvml.NVML_ERROR_GPU_IS_LOST, pynvml.NVML_ERROR_RESET_REQUIRED})
_NEVER = frozenset(
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


class _GpuLost(Exception):
    """The GPU does not answer any more."""


@dataclass(slots=True)
class _Gpu:
    """One GPU and what is known of it for good."""

    index: int
    handle: Any = None
    """None while it is lost, or may not be asked."""
    name: str = ""
    vram_total_bytes: int | None = None
    never: set[str] = field(default_factory=set)
    """Queries that it does not offer."""
    denied: bool = False
    lost: bool = False
    retry_ns: int = 0


class NvmlBackend:
    """Readings by NVML. Raises GpuUnavailable, with the reason in words, where there is no driver to ask."""

    def __init__(self, *, lost_retry_s: float = LOST_RETRY_S) -> None:
        self._lost_retry_ns = round(lost_retry_s * NS_PER_S)
        self._closed = False
        self._event_set: Any = None
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise _unavailable(error) from None
        try:
            count = min(pynvml.nvmlDeviceGetCount(), MAX_GPUS)
        except pynvml.NVMLError as error:
            self.close()
            raise _unavailable(error) from None
        self._gpus = [_Gpu(index) for index in range(count)]
        self._event_set = _made_event_set()

    @property
    def note(self) -> str:
        """Which GPUs are lost or may not be read; empty = none."""
        lost = [str(gpu.index) for gpu in self._gpus if gpu.lost]
        denied = [str(gpu.index) for gpu in self._gpus if gpu.denied]
        notes = []
        if lost:
            notes.append(f"GPU {', '.join(lost)} lost: see `dmesg` for its Xid error; it needs a reset or a reboot")
        if denied:
            notes.append(f"GPU {', '.join(denied)}: no permission to read it")
        return "; ".join(notes)

    @property
    def driver_version(self) -> str:
        """The driver's version, or empty."""
        try:
            return safe_line(str(pynvml.nvmlSystemGetDriverVersion()), limit=40)
        except (pynvml.NVMLError, UnicodeDecodeError):
            return ""

    def sample(self, pids: frozenset[int]) -> list[GpuReading]:
        """Return one reading per GPU. Raises GpuUnavailable when the driver went away."""
        return [self._read(gpu, pids) for gpu in self._gpus]

    def events(self) -> list[str]:
        """Return, in words, the Xid and ECC errors since the last call. Linux only; else none."""
        found: list[str] = []
        while self._event_set is not None and len(found) < MAX_EVENTS:
            try:
                event = pynvml.nvmlEventSetWait_v2(self._event_set, _EVENT_WAIT_MS)
            except pynvml.NVMLError as error:
                if error.value in _NEVER:
                    self._event_set = None
                break  # a time-out is the usual way
            is_xid = event.eventType == pynvml.nvmlEventTypeXidCriticalError
            words = xid_in_words(event.eventData) if is_xid else "a double-bit ECC error"
            found.append(f"{_place_of(event.device)}: {words}")
        return found

    def describe(self) -> list[GpuDescription]:
        """Return what does not change of each GPU. Raises GpuUnavailable when the driver went away."""
        return [
            GpuDescription(index=reading.index, name=reading.name, vram_total_bytes=reading.vram_total_bytes)
            for reading in self.sample(frozenset())
        ]

    def close(self) -> None:
        """Let go of NVML."""
        if not self._closed:
            self._closed = True
            try:
                if self._event_set is not None:
                    pynvml.nvmlEventSetFree(self._event_set)
                pynvml.nvmlShutdown()
            except pynvml.NVMLError:
                pass  # it is gone already

    def _read(self, gpu: _Gpu, pids: frozenset[int]) -> GpuReading:
        at_ns = now_ns()
        try:
            if gpu.handle is None and at_ns >= gpu.retry_ns:
                self._find(gpu)
            if gpu.handle is not None:
                return self._read_found(gpu, at_ns, pids)
        except _GpuLost:
            self._lose(gpu)
        name = gpu.name or f"GPU {gpu.index}"
        return GpuReading(at_ns=at_ns, index=gpu.index, name=name, lost=gpu.lost, vram_total_bytes=gpu.vram_total_bytes)

    def _find(self, gpu: _Gpu) -> None:
        """Get hold of a GPU; it stays without a handle when that fails."""
        try:
            gpu.handle = pynvml.nvmlDeviceGetHandleByIndex(gpu.index)
        except pynvml.NVMLError as error:
            if error.value in _DRIVER_GONE:
                raise _unavailable(error) from None
            gpu.denied = error.value == pynvml.NVML_ERROR_NO_PERMISSION
            if gpu.denied:
                gpu.retry_ns = now_ns() + self._lost_retry_ns
            else:
                self._lose(gpu)
            return
        gpu.lost = gpu.denied = False
        _ask(gpu, "events", _register, self._event_set)

    def _lose(self, gpu: _Gpu) -> None:
        gpu.lost = True
        gpu.handle = None
        gpu.retry_ns = now_ns() + self._lost_retry_ns

    def _read_found(self, gpu: _Gpu, at_ns: int, pids: frozenset[int]) -> GpuReading:
        if not gpu.name:
            gpu.name = safe_line(_ask(gpu, "name", pynvml.nvmlDeviceGetName) or f"GPU {gpu.index}", limit=80)
        memory = _memory(gpu)
        gpu.vram_total_bytes = gpu.vram_total_bytes if memory is None else int(memory.total)
        utilization = _ask(gpu, "utilization", pynvml.nvmlDeviceGetUtilizationRates)
        power_mw = _ask(gpu, "power", pynvml.nvmlDeviceGetPowerUsage)
        energy_mj = _ask(gpu, "energy", pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return GpuReading(
            at_ns=at_ns,
            index=gpu.index,
            name=gpu.name,
            vram_total_bytes=gpu.vram_total_bytes,
            vram_used_bytes=None if memory is None else int(memory.used),
            vram_reserved_bytes=None if memory is None else getattr(memory, "reserved", None),
            vram_free_bytes=None if memory is None else int(memory.free),
            vram_server_bytes=_server_bytes(gpu, pids) if pids else None,
            active_share=None if utilization is None else min(utilization.gpu, 100) / 100,
            power_w=None if power_mw is None else power_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            temperature_c=_temperature_c(gpu),
            throttle=_throttle(gpu),
        )


def describe(timeout_s: float = 5.0) -> GpuInventory:
    """Return the GPUs of this machine, asked in a thread of its own, since a sick driver may never answer.

    Never raises: what is wrong stands in `problem`.
    """
    found: list[GpuInventory] = []
    thread = threading.Thread(target=lambda: found.append(_describe()), name="nvml-describe", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if not found:
        return GpuInventory(problem=f"the NVIDIA driver did not answer within {timeout_s:g} s: see `dmesg`, or reboot")
    return found[0]


def _describe() -> GpuInventory:
    try:
        backend = NvmlBackend()
    except GpuUnavailable as reason:
        return GpuInventory(problem=str(reason))
    try:
        return GpuInventory(gpus=backend.describe(), driver_version=backend.driver_version, problem=backend.note)
    except GpuUnavailable as reason:
        return GpuInventory(problem=str(reason))
    finally:
        backend.close()


def _unavailable(error: pynvml.NVMLError) -> GpuUnavailable:
    reason = _REASONS.get(error.value)
    return GpuUnavailable(reason or f"the NVIDIA driver says: {safe_line(str(error), limit=200)}")


def _ask(gpu: _Gpu, query: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Return what `call` says of the GPU, or None when that is not to be had; if never, it is not asked again.

    Raises _GpuLost when the GPU is lost, GpuUnavailable when the driver went away.
    """
    if query in gpu.never:
        return None
    try:
        return call(gpu.handle, *arguments)
    except pynvml.NVMLError as error:
        if error.value in _LOST:
            raise _GpuLost from None
        if error.value in _DRIVER_GONE:
            raise _unavailable(error) from None
        if error.value in _NEVER:
            gpu.never.add(query)
        return None
    except (UnicodeDecodeError, pynvml.NVMLLibraryMismatchError):
        gpu.never.add(query)
        return None


def _made_event_set() -> Any:
    try:
        return pynvml.nvmlEventSetCreate()
    except pynvml.NVMLError:
        return None


def _register(handle: Any, event_set: Any) -> None:
    """Have the GPU's errors put into the set, as far as it offers them."""
    types = pynvml.nvmlDeviceGetSupportedEventTypes(handle) & _EVENT_TYPES
    if event_set is not None and types:
        pynvml.nvmlDeviceRegisterEvents(handle, types, event_set)


def _place_of(handle: Any) -> str:
    try:
        return f"GPU {pynvml.nvmlDeviceGetIndex(handle)}"
    except pynvml.NVMLError:
        return "a GPU that cannot be asked"


def _memory(gpu: _Gpu) -> Any:
    """Return the memory's total, used and free bytes, and, by drivers from 510 on, what the driver reserves.

    In both versions `used` includes what is reserved; total − free would, too, but not be what the card calls used.
    """
    memory = _ask(gpu, "memory v2", pynvml.nvmlDeviceGetMemoryInfo, pynvml.nvmlMemory_v2)
    return memory or _ask(gpu, "memory", pynvml.nvmlDeviceGetMemoryInfo)


def _temperature_c(gpu: _Gpu) -> float | None:
    """Return the temperature by the call of drivers from 570 on, else by the one that it replaced."""
    sensor = pynvml.NVML_TEMPERATURE_GPU
    degrees = _ask(gpu, "temperature v", pynvml.nvmlDeviceGetTemperatureV, sensor)
    if degrees is None:
        degrees = _ask(gpu, "temperature", pynvml.nvmlDeviceGetTemperature, sensor)
    return None if degrees is None else float(degrees)


def _throttle(gpu: _Gpu) -> str:
    """Return why the clocks are held down, in words; empty when they are not, or when it is not told."""
    reasons = _ask(gpu, "event reasons", pynvml.nvmlDeviceGetCurrentClocksEventReasons)
    if reasons is None:
        reasons = _ask(gpu, "throttle reasons", pynvml.nvmlDeviceGetCurrentClocksThrottleReasons)
    return ", ".join(words for bit, words in _THROTTLE_WORDS if (reasons or 0) & bit)


def _server_bytes(gpu: _Gpu, pids: frozenset[int]) -> int | None:
    """Return the VRAM that the server's processes hold; None when none of them is on this GPU or it is not told.

    In a container NVML tells the host's process numbers, which match none of ours: None, too.
    """
    processes = _ask(gpu, "processes", pynvml.nvmlDeviceGetComputeRunningProcesses)
    if processes is None:
        processes = _ask(gpu, "processes v2", pynvml.nvmlDeviceGetComputeRunningProcesses_v2)
    held = [
        process.usedGpuMemory
        for process in processes or ()
        if process.pid in pids and process.usedGpuMemory is not None
    ]
    return sum(held) if held else None
