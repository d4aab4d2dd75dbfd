"""Failing on purpose: what each way changes in the modelled server."""

from __future__ import annotations

from tui.core.errors import UsageError
from tui.core.nearest import did_you_mean
from tui.profile.simulator_table import FailOnPurpose, SimulatorTable

_SLOW_START_S = 30.0
_PACKED_TOKENS = 4
_QUEUE_LIMIT = 4


def failing_way(name: str) -> FailOnPurpose:
    """Return the way of that name. Raises UsageError with the nearest one."""
    try:
        return FailOnPurpose(name)
    except ValueError:
        ways = [way.value for way in FailOnPurpose]
        hint = did_you_mean(name, ways, shown=lambda way: f'"{way}"')
        raise UsageError(f'--fail: found "{name}", expected one of {", ".join(ways)}{hint}') from None


def with_failure(table: SimulatorTable, way: FailOnPurpose | None) -> SimulatorTable:
    """Return the table as `way` (or, when None, the table's own `fail`) wants it."""
    way = way or table.fail
    changes: dict[str, object] = {"fail": way}
    if way is FailOnPurpose.SLOW_START:
        changes["startup_s"] = table.startup_s + _SLOW_START_S
    elif way is FailOnPurpose.OVERLOAD:
        changes |= {"kv_cache_tokens": _whole_blocks(table), "memory_limit_tokens": None}
    elif way is FailOnPurpose.KV_TOO_SMALL:
        changes["kv_cache_tokens"] = max(1, table.max_model_len // 4)
    elif way is FailOnPurpose.PACKED_TOKENS:
        changes["tokens_per_event"] = _PACKED_TOKENS
    elif way is FailOnPurpose.QUEUE_LIMIT:
        changes |= {"max_num_queued_reqs": _QUEUE_LIMIT, "max_num_seqs": _QUEUE_LIMIT}
    return table.model_copy(update=changes)


def _whole_blocks(table: SimulatorTable) -> int:
    return -(-table.max_model_len // table.block_size) * table.block_size
