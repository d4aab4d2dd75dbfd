"""What else a vLLM's log says of memory before it gives out: it decides which flag helps. Pure.

By logs of 0.26 on a GPU.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

from tui.engines.base import Change, Diagnosis
from tui.engines.parts.diagnosis_rules import Rule
from tui.engines.vllm.rules import BY_KV_CACHE_BYTES, NO_BLOCKS, OTHERS_HOLD_MEMORY

_GIVEN_IN_BYTES = re.compile(r"memory for KV Cache as specified by kv_cache_memory_bytes")
_LACKING = re.compile(r"Available KV cache memory: -(?P<gib>[\d.]+) GiB")
# PyTorch names the other processes that hold memory of the same GPU.
_OTHER_PROCESS = re.compile(r"Process (?P<pid>\d+) has (?P<held>[\d.]+ [KMGT]iB) memory in use")

_LEAST_SHARE = 0.1
"""Of a card: with less there is no use in asking for it."""


def memory_advice(matched: Rule, match: re.Match[str], before: Sequence[str]) -> Diagnosis:
    """Return the diagnosis of a rule with the advice that fits what the log said `before`."""
    if matched in BY_KV_CACHE_BYTES and any(_GIVEN_IN_BYTES.search(line) for line in before):
        # --gpu-memory-utilization counts for nothing then.
        remedy = tuple(change for change in matched.remedy if change.flag != "gpu-memory-utilization")
        matched = dataclasses.replace(matched, advice=BY_KV_CACHE_BYTES[matched], remedy=remedy)
        return _beside_others(matched.applied_to(match))
    found = matched.applied_to(match)
    if matched is NO_BLOCKS:
        lacking = next((told["gib"] for line in reversed(before) if (told := _LACKING.search(line))), None)
        if lacking is not None:
            found = _with(found, f"Weights and work space alone take {lacking} GiB more than vLLM may use.")
    if matched is OTHERS_HOLD_MEMORY and (total := float(match["total"])) > 0:
        share = math.floor(float(match["free"]) / total * 100) / 100
        found = _with(found, f"{share:.2f} would be granted now.")
        if share >= _LEAST_SHARE:
            found = dataclasses.replace(found, remedy=(Change("gpu-memory-utilization", f"{share:.2f}"),))
    return _beside_others(found)


def _beside_others(found: Diagnosis) -> Diagnosis:
    others = [f"{told['held']} by process {told['pid']}" for told in _OTHER_PROCESS.finditer(found.line)]
    if not others:
        return found
    return _with(
        found, f"Others hold memory of the same GPU ({', '.join(others[:5])}): end them, or choose other `gpus`."
    )


def _with(found: Diagnosis, sentence: str) -> Diagnosis:
    return dataclasses.replace(found, advice=f"{found.advice} {sentence}")
