"""When a cell says more of the client than of the server."""

from tui.bench.client_limit import client_limit


def test_a_client_at_ease_is_no_limit() -> None:
    assert client_limit([0.1, 0.5], [0.001, 0.002], 0.02) == ""
    assert client_limit([], [], None) == ""


def test_one_second_at_the_end_of_a_core_is_too_much() -> None:
    assert "97% of its core" in client_limit([0.1, 0.97, 0.2], [], None)


def test_a_hiccup_spoils_no_cell_but_lasting_lag_does() -> None:
    assert client_limit([0.5], [0.001, 0.9, 0.001], 0.02) == ""
    late = client_limit([0.01, 0.02], [0.9, 0.9, 0.001], 0.02)
    assert "900 ms late" in late
    assert "2% of a core" in late  # so it was not the client's own work that made it late
    assert "900 ms late" in client_limit([], [0.9, 0.9, 0.001], 0.02)


def test_lag_within_the_gap_of_two_tokens_moves_none_of_them() -> None:
    assert client_limit([0.5], [0.2, 0.2], 0.3) == ""
    assert "the limit is 50 ms" in client_limit([0.5], [0.2, 0.2], 0.0)
