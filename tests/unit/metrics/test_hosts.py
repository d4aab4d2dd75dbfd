"""Hosts in words."""

from __future__ import annotations

from tui.metrics.hosts import HostReading, clock_error_s, in_words, news

HERE = HostReading(name="", workers=1)
SURE = HostReading(name="a", workers=1, clock_error_s=0.0004)
UNSURE = HostReading(name="b", workers=1, clock_error_s=0.0123)
LOST = [HostReading(name=f"l{number}", lost="it is gone") for number in range(5)]


def test_what_is_told() -> None:
    assert (in_words([]), news([]), clock_error_s([HERE])) == ("", "", None)
    assert (in_words([HERE, SURE]), news([HERE, SURE])) == ("2 hosts", "")
    assert in_words([SURE, UNSURE]) == "2 hosts, clocks of the hosts agree to ±12.3 ms"
    assert clock_error_s([HERE, SURE, UNSURE]) == 0.0123
    assert in_words([HERE, LOST[0]]) == "1 host, host lost: l0"
    assert news([UNSURE, *LOST]) == "hosts lost: l0, l1, l2 and 2 more, clocks of the hosts agree to ±12.3 ms"
    assert [str(host) for host in (HERE, SURE, LOST[0])] == ["local", "a ±0.400 ms", "l0 (lost)"]
