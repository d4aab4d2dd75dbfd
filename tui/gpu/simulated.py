"""The virtual GPUs of a simulated server, as it tells them. Pure; what is malformed gives no readings."""

from __future__ import annotations

from typing import Annotated

import msgspec

from tui.core.safe_text import safe_line
from tui.metrics.gpu_hosts import HOST_CHARS, in_order
from tui.metrics.reading import GpuReading
from tui.profile.simulator_table import MAX_CARDS

MAX_PAYLOAD_BYTES = 1024 * MAX_CARDS
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**60)]
_Amount = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class _VirtualGpu(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=0, le=255)]
    name: str
    vram_total_bytes: _Bytes | None = None
    vram_weights_bytes: _Bytes | None = None
    vram_kv_cache_bytes: _Bytes | None = None
    vram_other_bytes: _Bytes | None = None
    active_share: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    power_w: _Amount | None = None
    energy_j: _Amount | None = None
    temperature_c: Annotated[float, msgspec.Meta(ge=-273.15, le=1e6)] | None = None
    power_limit_w: _Amount | None = None
    neighbours_bytes: _Bytes | None = None
    host: str = ""


_DECODER = msgspec.json.Decoder(Annotated[list[_VirtualGpu], msgspec.Meta(max_length=MAX_CARDS)])


def readings(payload: bytes, at_ns: int) -> list[GpuReading]:
    """Return the readings in the answer to GET /simulated/gpus, by host and index; none when it is malformed."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        return []
    try:
        gpus = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [_reading(gpu, at_ns) for gpu in sorted(gpus, key=lambda gpu: (in_order(gpu.host), gpu.index))]


def _reading(gpu: _VirtualGpu, at_ns: int) -> GpuReading:
    parts = (gpu.vram_weights_bytes, gpu.vram_kv_cache_bytes, gpu.vram_other_bytes)
    known = [part for part in parts if part is not None]
    used = sum(known) if len(known) == len(parts) else None
    total = gpu.vram_total_bytes
    return GpuReading(
        at_ns=at_ns,
        index=gpu.index,
        name=safe_line(gpu.name, limit=80),
        simulated=True,
        vram_total_bytes=total,
        vram_used_bytes=used,
        vram_free_bytes=None if total is None or used is None else max(0, total - used),
        vram_server_bytes=used,
        vram_weights_bytes=gpu.vram_weights_bytes,
        vram_kv_cache_bytes=gpu.vram_kv_cache_bytes,
        vram_other_bytes=gpu.vram_other_bytes,
        active_share=gpu.active_share,
        power_w=gpu.power_w,
        energy_j=gpu.energy_j,
        temperature_c=gpu.temperature_c,
        power_limit_w=gpu.power_limit_w,
        vram_neighbours_bytes=gpu.neighbours_bytes,
        host=safe_line(gpu.host, limit=HOST_CHARS),
    )
