"""When a server can be started on a port, and when it takes requests."""

from __future__ import annotations

import asyncio
import errno
import random
import socket

import psutil

from tui.engines.parts.questions import Question
from tui.server.client import NoAnswer, ServerClient

PERIOD_S = 0.2
# Below the usual range of ports for outgoing connections (32768 on): a server takes its port only half a minute
# after it was chosen, and an outgoing connection of somebody else must not have it by then.
_PORTS = range(20000, 32768)
_TRIES = 50


def free_port(host: str) -> int:
    """Return a port of `host` that nothing is bound to. Raises OSError when the host is none of this machine's."""
    for _ in range(_TRIES):
        port = random.choice(_PORTS)
        if _bind_error(host, port) is None:
            return port
    with _socket_of(host) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def port_problem(host: str, port: int) -> str | None:
    """Return why a server cannot have this port, or None.

    A plain bind also sees a server that has bound and does not listen yet: vLLM is in that state for a minute, and
    two of them then share the port without an error. Connections of an earlier server that are only waiting to be
    forgotten (TIME_WAIT) do not count.
    """
    error = _bind_error(host, port)
    if error is None:
        return None
    if error.errno == errno.EADDRINUSE and _only_waits(port):
        return None
    return error.strerror or str(error)


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        with _socket_of(host) as probe:
            probe.bind((host, port))
    except OSError as error:
        return error
    return None


def _socket_of(host: str) -> socket.socket:
    return socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)


def _only_waits(port: int) -> bool:
    try:
        there = [one.status for one in psutil.net_connections("tcp") if one.laddr and one.laddr.port == port]
    except (psutil.Error, OSError):
        return False
    return bool(there) and psutil.CONN_LISTEN not in there


async def wait_until_ready(client: ServerClient, question: Question[bool] | None) -> None:
    """Return once the answer to `question` is yes; None = once anything answers. Until then connections are refused."""
    while True:
        if await is_ready(client, question):
            return
        await asyncio.sleep(PERIOD_S)


async def is_ready(client: ServerClient, question: Question[bool] | None) -> bool:
    """Say whether the answer to `question` is yes; None = whether anything answers."""
    try:
        if question is None:
            await client.fetch("/")
            return True
        response = await client.fetch(question.path, question.body)
    except NoAnswer:
        return False
    return bool(question.read(response.status, response.content))
