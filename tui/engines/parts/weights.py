"""How much memory a model's weights take, by what its name says of it: an estimate before anything is loaded. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SIZE = re.compile(r"(?<![A-Za-z0-9.])(?:(?P<experts>\d{1,3})x)?(?P<billions>\d{1,4}(?:\.\d{1,3})?)b(?![a-z0-9])", re.I)
_SHARED = 0.8
"""Of experts times size: what they share is there once (Mixtral 8x7B has 46.7 of 56, 8x22B 141 of 176)."""
_BITS = (
    (re.compile(r"awq|gptq|w4a16|int4|4[-_ ]?bit|nf4|bitsandbytes|mxfp4|nvfp4", re.I), 4.0),
    (re.compile(r"fp8|int8|w8a8|8[-_ ]?bit", re.I), 8.0),
)
_USUAL_BITS = 16.0
_GROWN_BY = 1.05
"""Scales and zero points, embeddings that are not quantised, what a name rounds off."""


def weights_bytes(names: tuple[str, ...], args: Mapping[str, object]) -> int | None:
    """Return the bytes of all weights, on all GPUs together; None where no name tells.

    `names`: what the model is called, the most telling first, e.g. "mistralai/Mistral-7B-Instruct-v0.2" or
    "Mixtral 8x7B AWQ 4-bit". `args`: the server's, of which `quantization` and `dtype` count.
    """
    billions = next((found for name in names if (found := _billions(name)) is not None), None)
    if billions is None:
        return None
    bits = _bits(" ".join((str(args.get("quantization", "")), *names)))
    if bits == _USUAL_BITS and str(args.get("dtype", "")).lower() in ("float32", "float"):
        bits = 32.0
    return round(billions * 1e9 * bits / 8 * _GROWN_BY)


def _billions(name: str) -> float | None:
    found = _SIZE.search(name[:200].replace("_", "-"))
    if found is None:
        return None
    size = float(found["billions"])
    return int(found["experts"]) * size * _SHARED if found["experts"] else size


def _bits(text: str) -> float:
    return next((bits for pattern, bits in _BITS if pattern.search(text)), _USUAL_BITS)
