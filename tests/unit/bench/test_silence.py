from __future__ import annotations

from tui.bench.silence import LEAST_S, UNKNOWN_S, SilenceWatch, has_worked
from tui.core.clock import NS_PER_S
from tui.engines.base import ServerMetrics
from tui.load.wire import LoadProgress


def report(watch: SilenceWatch, at_s: float, *, in_flight: int = 1, events: int = 0) -> None:
    at_ns = round(at_s * NS_PER_S)
    watch.take(LoadProgress(at_ns=at_ns, users_active=in_flight, in_flight=in_flight, events=events))


def spoken(gap_s: float, users: int = 1) -> SilenceWatch:
    """Return the watch over a server whose longest gap so far was `gap_s`; the last token came at that second."""
    watch = SilenceWatch(most_s=300.0)
    watch.ask(users, 30)
    report(watch, 0.0)
    report(watch, gap_s, events=1)
    return watch


def test_silence_counts_from_the_last_token_and_only_while_something_is_asked() -> None:
    watch = spoken(1.0)
    report(watch, 3.5)
    assert watch.silent_s == 2.5
    report(watch, 4.0, in_flight=0)
    assert watch.silent_s == 0.0
    report(watch, 50.0)
    assert watch.silent_s == 0.0


def test_a_client_that_does_not_report_proves_no_silence() -> None:
    watch = spoken(1.0)
    report(watch, 1.2)
    assert round(watch.silent_s, 3) == 0.2  # whatever the time is by now


def test_an_error_is_an_answer() -> None:
    watch = spoken(1.0)
    report(watch, 9.0)
    watch.heard()
    assert watch.silent_s == 0.0


def test_the_limit_is_some_times_the_longest_gap_and_grows_with_what_is_asked() -> None:
    assert SilenceWatch(most_s=300.0).limit_s == UNKNOWN_S
    assert spoken(0.1).limit_s == LEAST_S
    assert spoken(2.0).limit_s == 8.0
    watch = spoken(2.0)
    watch.ask(3, 30)
    assert watch.limit_s == 24.0
    watch.ask(1_000, 8_000)
    assert watch.limit_s == 300.0


def test_a_server_that_hung_once_is_no_slow_server() -> None:
    watch = spoken(0.1)
    report(watch, 20.1)
    report(watch, 20.2, events=1)
    assert watch.longest_s is not None and round(watch.longest_s, 1) == 20.1
    assert watch.limit_s == LEAST_S


def test_a_silence_just_over_the_limit_need_not_be_told_again() -> None:
    watch = spoken(0.1)
    report(watch, 4.1, events=1)
    assert round(watch.limit_s, 1) == 6.0


def test_what_a_working_server_was_waited_for_is_a_gap_like_others() -> None:
    watch = spoken(0.1)
    report(watch, 5.9)
    watch.wait_longer()
    report(watch, 6.0, events=1)
    assert round(watch.limit_s, 1) == 23.6


def test_a_server_that_works_is_waited_for_longer_until_it_speaks() -> None:
    watch = spoken(1.0)
    watch.wait_longer()
    assert watch.limit_s == 8.0
    report(watch, 1.5, events=1)
    assert watch.limit_s == 4.0


def test_counters_that_stand_still_or_are_not_told_are_no_sign_of_work() -> None:
    still = ServerMetrics(prompt_tokens_total=5.0, generation_tokens_total=7.0)
    assert not has_worked(still, still)
    assert not has_worked(None, still)
    assert not has_worked(ServerMetrics(), ServerMetrics())
    assert has_worked(still, ServerMetrics(prompt_tokens_total=6.0, generation_tokens_total=7.0))
    assert has_worked(still, ServerMetrics(generation_tokens_total=8.0))
