"""Ports that can be had, and those that cannot."""

from __future__ import annotations

import socket

import pytest

from tui.server.readiness import free_port, port_problem


def test_free_port_is_free() -> None:
    port = free_port("127.0.0.1")
    assert port_problem("127.0.0.1", port) is None
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))


@pytest.mark.parametrize("listens", [True, False])
def test_port_of_somebody_else_is_seen_even_before_they_listen(listens: bool) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        if listens:
            other.listen()
        assert port_problem("127.0.0.1", other.getsockname()[1]) == "Address already in use"


def test_port_that_only_waits_to_be_forgotten_can_be_had() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        server.listen()
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = server.accept()
            # Whoever closes first is left with the waiting.
            accepted.close()
    with socket.socket() as probe, pytest.raises(OSError, match="in use"):
        probe.bind(("127.0.0.1", port))
    assert port_problem("127.0.0.1", port) is None


def test_host_that_is_not_ours() -> None:
    assert port_problem("192.0.2.1", 80)
    with pytest.raises(OSError):
        free_port("192.0.2.1")
