"""What can limit a cell, and how that is said."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Limit(StrEnum):
    """What gave out first in a cell. The names are the ones on screen and in every export."""

    KV_CACHE = "kv-cache"
    PREFILL = "prefill"
    DECODE = "decode"
    SCHEDULER = "scheduler-limit"
    """How many requests the server runs, or lets wait, at most."""
    GATEWAY = "gateway-queue"
    CLIENT = "client"
    NETWORK = "network"
    MEMORY = "memory"
    TOO_LONG = "too-long"
    NONE = "not limited"
    NOT_KNOWN = "not known"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What limited a cell."""

    limit: Limit
    sentence: str
    evidence: list[str] = []
    """The figures that it goes by, in words."""
