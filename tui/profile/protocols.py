"""The protocols of published studies, by name: how they loaded a server, as options that win over a profile's load."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from tui.profile.overrides import Overrides
from tui.profile.schema import LoadTable, Profile

_MINUTE_S = 60.0


PROTOCOLS: dict[str, list[dict[str, Any]]] = {
    # N requests at once, 100 output tokens; a cell is the mean time until they were answered.
    "inria": [
        {
            "mode": "burst",
            "output_tokens": 100,
            "repeats": 1,
            "users": [1, 2, 4, 8, 16, 32, 64, 128],
            "prompt_tokens": [31, 63, 119, 296, 480, 822, 2193],
        }
    ],
    # A constant rate for ten minutes, three runs, of which the p90 is told; then ten users without pause for an hour.
    # Its repository (georgian-io/LLM-Finetuning-Toolkit, inference/automated_deployment) has the results: prompts of
    # 100 tokens, 4 tokens for a class; 10 requests/s on an A10 with a model of 7B behind vLLM, which is the rate of its
    # script as well, and between 10 and 60 for smaller models, other servers and an A100.
    "georgian": [
        {
            "mode": "rate",
            "rate_per_s": 10.0,
            "arrivals": "constant",
            "duration_s": 10 * _MINUTE_S,
            "repeats": 3,
            "users": [1],
            "prompt_tokens": [100],
            "output_tokens": 4,
        },
        {
            "mode": "steady",
            "users": [10],
            "duration_s": 60 * _MINUTE_S,
            "repeats": 1,
            "prompt_tokens": [100],
            "output_tokens": 4,
        },
    ],
}
"""One session for each entry."""


def like(name: str, overrides: Overrides, profile: Profile) -> list[Overrides]:
    """Return what a study's protocol makes of the given options, which win over it; one for each of its parts.

    A profile wins over it in its prompt sizes, where it has others than the usual ones: the same texts are as many
    tokens as its model's tokenizer makes of them.
    """
    given = {one.name for one in fields(overrides) if getattr(overrides, one.name) is not None}
    if profile.load.prompt_tokens != LoadTable().prompt_tokens:
        given.add("prompt_tokens")
    parts = []
    for part in PROTOCOLS[name]:
        own = {key: value for key, value in part.items() if key not in given}
        if part["mode"] != "rate" and "rate_per_s" in given:
            own["rate_per_s"] = None  # of another part
        parts.append(replace(overrides, **own))
    return parts
