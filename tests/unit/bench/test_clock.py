"""Session time: the same as real time, or modelled time that runs faster."""

import msgspec

from tests.unit.bench.records import record
from tui.bench.clock import SessionClock
from tui.metrics.record import gaps_between


def test_without_a_scale_times_stay() -> None:
    clock = SessionClock()
    assert clock.at(123) == 123
    kept = record(start_ns=5)
    assert clock.record(kept) is kept


def test_modelled_time_runs_faster_from_the_start_of_the_session() -> None:
    clock = SessionClock(4.0)
    assert clock.at(clock.start_ns) == clock.start_ns
    assert clock.at(clock.start_ns + 1_000) - clock.start_ns == 4_000


def test_a_record_is_mapped_as_a_whole() -> None:
    clock = SessionClock(10.0)
    zero = clock.start_ns
    real = record(
        start_ns=zero + 100_000,
        first_token_ns=zero + 200_000,
        last_token_ns=zero + 500_000,
        **msgspec.structs.asdict(gaps_between([zero + 200_000, zero + 300_000, zero + 500_000])),
    )
    mapped = clock.record(real)
    assert mapped.ttft_s is not None and real.ttft_s is not None
    assert abs(mapped.ttft_s - 10 * real.ttft_s) < 1e-9
    assert list(mapped.gaps_us()) == [1_000, 2_000]
