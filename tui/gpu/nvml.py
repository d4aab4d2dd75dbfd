"""NVIDIA's GPUs by NVML.

A GPU that fell off the bus is marked lost and asked again every ten seconds; the others go on. Calls release the GIL
but may hang: see `sampler`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pynvml

from tui.core.clock import NS_PER_S, now_ns
from tui.core.safe_text import safe_line
from tui.gpu.backend import GpuDescription, GpuInventory, GpuUnavailable
from tui.gpu.nvml_device import (
    DRIVER_GONE,
    NEVER,
    Device,
    GpuLost,
    ask,
    clock_mhz,
    owners_told,
    power_limit_w,
    temperature_c,
    throttle,
    unavailable,
    with_memory,
)
from tui.gpu.nvml_mig import Slices, read_slices
from tui.gpu.xid import xid_in_words
from tui.metrics.reading import GpuReading

LOST_RETRY_S = 10.0
MAX_GPUS = 256
MAX_EVENTS = 50
# What is ready is given at once; 0 is not said to mean "do not wait" in nvml.h, and a millisecond costs nothing.
_EVENT_WAIT_MS = 1
_EVENT_TYPES = pynvml.nvmlEventTypeXidCriticalError | pynvml.nvmlEventTypeDoubleBitEccError
# nvml.h: of an event that is not one slice's.
_NO_INSTANCE = 0xFFFFFFFF


@dataclass(slots=True)
class _Gpu(Device):
    """A card, and whether it answers."""

    denied: bool = False
    lost: bool = False
    retry_ns: int = 0
    slices: Slices | None = None
    """None = not in MIG mode."""


class NvmlBackend:
    """Readings by NVML. Raises GpuUnavailable, with the reason in words, where there is no driver to ask."""

    def __init__(self, *, lost_retry_s: float = LOST_RETRY_S) -> None:
        self._lost_retry_ns = round(lost_retry_s * NS_PER_S)
        self._closed = False
        self._event_set: Any = None
        self._told: list[str] = []
        """What is to be told of by `events`."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as error:
            raise unavailable(error) from None
        try:
            count = min(pynvml.nvmlDeviceGetCount(), MAX_GPUS)
        except pynvml.NVMLError as error:
            self.close()
            raise unavailable(error) from None
        self._gpus = [_Gpu(index) for index in range(count)]
        self._event_set = _made_event_set()

    @property
    def note(self) -> str:
        """Which GPUs are lost, may not be read or cannot be used; empty = none."""
        lost = [str(gpu.index) for gpu in self._gpus if gpu.lost]
        denied = [str(gpu.index) for gpu in self._gpus if gpu.denied]
        denied += [place for gpu in self._gpus if gpu.slices is not None for place in gpu.slices.refused]
        uncut = [str(gpu.index) for gpu in self._gpus if gpu.slices is not None and not gpu.slices.readings]
        notes = []
        if lost:
            notes.append(f"GPU {', '.join(lost)} lost: see `dmesg` for its Xid error; it needs a reset or a reboot")
        if denied:
            notes.append(f"GPU {', '.join(denied)}: no permission to read it")
        if uncut:
            notes.append(f"GPU {', '.join(uncut)} in MIG mode without slices: nothing can run there")
        return "; ".join(notes)

    @property
    def driver_version(self) -> str:
        """The driver's version, or empty."""
        try:
            return safe_line(str(pynvml.nvmlSystemGetDriverVersion()), limit=40)
        except (pynvml.NVMLError, UnicodeDecodeError):
            return ""

    def sample(self, pids: frozenset[int]) -> list[GpuReading]:
        """Return the readings of each GPU, and of its slices after it. Raises GpuUnavailable when the driver went."""
        return owners_told([reading for gpu in self._gpus for reading in self._read(gpu, pids)])

    def events(self) -> list[str]:
        """Return, in words, which GPUs were lost or came back since the last call, and the Xid and ECC errors.

        The errors on Linux only.
        """
        found, self._told = self._told, []
        while self._event_set is not None and len(found) < MAX_EVENTS:
            try:
                event = pynvml.nvmlEventSetWait_v2(self._event_set, _EVENT_WAIT_MS)
            except pynvml.NVMLError as error:
                if error.value in NEVER:
                    self._event_set = None
                break  # a time-out is the usual way
            is_xid = event.eventType == pynvml.nvmlEventTypeXidCriticalError
            words = xid_in_words(event.eventData) if is_xid else "a double-bit ECC error"
            found.append(f"{_place_of(event)}: {words}")
        return found

    def describe(self) -> list[GpuDescription]:
        """Return what does not change of each GPU. Raises GpuUnavailable when the driver went away."""
        readings = self.sample(frozenset())
        return [
            GpuDescription(
                index=card.index,
                name=card.name,
                vram_total_bytes=card.vram_total_bytes,
                vram_used_bytes=card.vram_used_bytes,
                mig_mode=card.mig_mode,
                slices=[each.name for each in readings if each.index == card.index and each.mig_index is not None],
            )
            for card in readings
            if card.mig_index is None
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

    def _read(self, gpu: _Gpu, pids: frozenset[int]) -> list[GpuReading]:
        at_ns = now_ns()
        gpu.slices = None
        try:
            if gpu.handle is None and at_ns >= gpu.retry_ns:
                self._find(gpu)
            if gpu.handle is not None:
                gpu.slices = read_slices(gpu, at_ns, pids)
                card = self._read_card(gpu, at_ns, pids)
                return [card] if gpu.slices is None else [card, *gpu.slices.readings]
        except GpuLost:
            gpu.slices = None
            self._lose(gpu)
        name = gpu.name or f"GPU {gpu.index}"
        total_bytes = gpu.vram_total_bytes
        return [GpuReading(at_ns=at_ns, index=gpu.index, name=name, lost=gpu.lost, vram_total_bytes=total_bytes)]

    def _find(self, gpu: _Gpu) -> None:
        """Get hold of a GPU; it stays without a handle when that fails."""
        try:
            gpu.handle = pynvml.nvmlDeviceGetHandleByIndex(gpu.index)
        except pynvml.NVMLError as error:
            if error.value in DRIVER_GONE:
                raise unavailable(error) from None
            gpu.denied = error.value == pynvml.NVML_ERROR_NO_PERMISSION
            if gpu.denied:
                gpu.retry_ns = now_ns() + self._lost_retry_ns
            else:
                self._lose(gpu)
            return
        if gpu.lost:
            self._told.append(f"GPU {gpu.index} answers again")
        gpu.lost = gpu.denied = False
        ask(gpu, "events", _register, self._event_set)

    def _lose(self, gpu: _Gpu) -> None:
        if not gpu.lost:
            self._told.append(f"GPU {gpu.index} is lost: the driver does not reach it")
        gpu.lost = True
        gpu.handle = None
        gpu.retry_ns = now_ns() + self._lost_retry_ns

    def _read_card(self, gpu: _Gpu, at_ns: int, pids: frozenset[int]) -> GpuReading:
        if not gpu.name:
            gpu.name = safe_line(ask(gpu, "name", pynvml.nvmlDeviceGetName) or f"GPU {gpu.index}", limit=80)
        utilization = ask(gpu, "utilization", pynvml.nvmlDeviceGetUtilizationRates)
        power_mw = ask(gpu, "power", pynvml.nvmlDeviceGetPowerUsage)
        energy_mj = ask(gpu, "energy", pynvml.nvmlDeviceGetTotalEnergyConsumption)
        reading = GpuReading(
            at_ns=at_ns,
            index=gpu.index,
            name=gpu.name,
            mig_mode=gpu.slices is not None,
            active_share=None if utilization is None else min(utilization.gpu, 100) / 100,
            power_w=None if power_mw is None else power_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            temperature_c=temperature_c(gpu),
            throttle=throttle(gpu),
            clock_mhz=clock_mhz(gpu),
            power_limit_w=power_limit_w(gpu),
        )
        return with_memory(reading, gpu, pids)


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


def _place_of(event: Any) -> str:
    try:
        place = f"GPU {pynvml.nvmlDeviceGetIndex(event.device)}"
    except pynvml.NVMLError:
        return "a GPU that cannot be asked"
    in_slice = event.gpuInstanceId != _NO_INSTANCE
    return f"{place}, MIG GPU instance {event.gpuInstanceId}" if in_slice else place
