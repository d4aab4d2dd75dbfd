from __future__ import annotations

import pytest

from tui.core.errors import UsageError
from tui.profile.simulator_table import FailOnPurpose, SimulatorTable
from tui.simulator.failing import failing_way, with_failure
from tui.simulator.model import Engine, KvCacheTooSmall


def test_every_way_is_found_by_its_name() -> None:
    assert [failing_way(way.value) for way in FailOnPurpose] == list(FailOnPurpose)


def test_an_unknown_way_names_the_nearest() -> None:
    with pytest.raises(UsageError, match='did you mean "worker-killed"'):
        failing_way("worker-kiled")


def test_the_profiles_own_way_counts_unless_another_is_asked_for() -> None:
    table = SimulatorTable(fail=FailOnPurpose.PACKED_TOKENS)
    assert with_failure(table, None).tokens_per_event == 4
    asked = with_failure(table, FailOnPurpose.HANG)
    assert (asked.fail, asked.tokens_per_event) == (FailOnPurpose.HANG, 1)
    assert with_failure(SimulatorTable(), None) == SimulatorTable()


def test_overload_holds_exactly_one_longest_request() -> None:
    table = with_failure(SimulatorTable(max_model_len=1001, block_size=16), FailOnPurpose.OVERLOAD)
    assert table.kv_cache_tokens == 1008
    Engine(table)


def test_a_kv_cache_too_small_is_too_small() -> None:
    with pytest.raises(KvCacheTooSmall):
        Engine(with_failure(SimulatorTable(), FailOnPurpose.KV_TOO_SMALL))


def test_a_slow_start_adds_to_the_profiles_own() -> None:
    assert with_failure(SimulatorTable(startup_s=2.0), FailOnPurpose.SLOW_START).startup_s == 32.0
