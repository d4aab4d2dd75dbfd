"""What a profile and the server's own word say of the conditions that a cell is measured under. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tui.core.address import address_of
from tui.engines.parts.weights import weights_bytes
from tui.metrics.arguments import differences
from tui.metrics.conditions import Conditions
from tui.metrics.snapshot import ServerStatus
from tui.profile.load_hosts import LOCAL
from tui.profile.schema import Profile


def conditions_of(profile: Profile, status: ServerStatus, weights_told_bytes: int | None) -> Conditions:
    """Return them, without the launch, the time and the cards."""
    server, told, pool = profile.server, status.settings.arguments, status.kv_pool
    most = _count(told, "max-num-seqs")
    engines = max(1, _count(told, "data-parallel-size") or 1)
    estimate = None
    if server is not None:
        estimate = weights_bytes((server.model, profile.name, profile.title), server.args)
    return Conditions(
        version=status.version,
        kv_pool_tokens=pool.tokens,
        kv_pool_blocks=pool.blocks,
        block_size=pool.block_size,
        state_blocks=pool.state_blocks,
        max_num_seqs=None if most is None else most * engines,
        weights_estimated_bytes=estimate,
        weights_told_bytes=weights_told_bytes,
        over_loopback=profile.load.hosts == LOCAL and _is_here(profile),
        differences=[*_overrides(status), *differences(server.args, told)] if server is not None else [],
    )


def _is_here(profile: Profile) -> bool:
    """Say whether the server has an address of this machine: what is launched always has."""
    return profile.attach is None or address_of(profile.attach.base_url).is_loopback


def _overrides(status: ServerStatus) -> list[str]:
    return [f"launched with --{flag} {value} in place of the profile's" for flag, value in status.overrides.items()]


def _count(arguments: Mapping[str, str], name: str) -> int | None:
    """Return an argument that is a whole number; None for one that is not there, or is none."""
    value = arguments.get(name, "")
    return int(value) if value.isdecimal() else None
