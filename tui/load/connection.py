"""Connections to the server: plain TCP with kernel receive stamps. By callbacks."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Protocol, cast

from tui.core.address import ServerAddress
from tui.load.read_batches import Readers
from tui.load.stamps import ANCILLARY_BYTES, ArrivalClock, ask_for_stamps

READ_BYTES = 64 * 1024

# The client ran out of something; says nothing of the server.
CLIENT_LIMIT_ERRORS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})

Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]


class Fed(Protocol):
    """What takes bytes."""

    def feed(self, data: bytes, at_ns: int) -> None:
        """Take bytes that arrived at `at_ns`, CLOCK_MONOTONIC."""


class Receiver(Fed, Protocol):
    """What a connection tells its owner. It is fed as long as the connection was not told to feed another."""

    def on_open(self) -> None:
        """Take it that the connection is open."""

    def on_closed(self, error: Exception | None) -> None:
        """Take it that the connection could not be opened or has ended; None = a plain end of file."""


class Connection(Protocol):
    """A connection. After `close` it calls nobody any more."""

    is_open: bool
    fed: Fed
    """What takes all that is read; its owner at first."""

    def send(self, buffers: list[bytes]) -> None:
        """Send all bytes, in order."""

    def set_urgent(self, urgent: bool) -> None:
        """Say whether what comes next is to be read at once: a request will follow it."""

    def close(self) -> None:
        """Close at once."""


async def resolve(loop: asyncio.AbstractEventLoop, server: ServerAddress) -> list[Address]:
    """Return the addresses of a host, best first. Raises OSError when there are none."""
    found = await loop.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    return [(family, cast("tuple[str, int]", address)) for family, _, _, _, address in found]


class TcpConnection:
    """Plain TCP. Reads by recvmsg, so that each read comes with the time of its arrival."""

    __slots__ = (
        "_addresses",
        "_clock",
        "_loop",
        "_out",
        "_readers",
        "_receiver",
        "_recvmsg",
        "_sock",
        "fed",
        "is_open",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        readers: Readers,
        addresses: list[Address],
        unresolved: OSError,
        receiver: Receiver,
        clock: ArrivalClock,
    ) -> None:
        """Connect to the first of `addresses` that answers; without any it fails with `unresolved`."""
        self._loop = loop
        self._readers = readers
        self._receiver = receiver
        self.fed: Fed = receiver
        self._clock = clock
        self._addresses = list(addresses)
        self._sock: socket.socket | None = None
        self._out: list[memoryview] = []
        self.is_open = False
        if self._addresses:
            self._connect()
        else:
            loop.call_soon(self._end, unresolved)

    def _connect(self) -> None:
        family, address = self._addresses.pop(0)
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            self._sock = sock
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ask_for_stamps(sock)
            result = sock.connect_ex(address)
        except OSError as error:
            result = error.errno or errno.EIO
        if result == errno.EINPROGRESS and self._sock is not None:
            self._loop.add_writer(self._sock.fileno(), self._on_connected)
        else:
            # Never within the constructor, for its caller holds no connection yet.
            self._loop.call_soon(self._on_connect_result, result)

    def _on_connected(self) -> None:
        assert self._sock is not None
        self._loop.remove_writer(self._sock.fileno())
        self._on_connect_result(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _on_connect_result(self, result: int) -> None:
        if self._receiver is NOBODY:
            return  # closed in the meantime
        if result == 0 and self._sock is not None:
            self._recvmsg = self._sock.recvmsg
            self._readers.add(self._sock.fileno(), self._on_readable)
            self.is_open = True
            self._receiver.on_open()
            return
        self._close_socket()
        if self._addresses and result not in CLIENT_LIMIT_ERRORS:
            self._connect()
        else:
            self._end(OSError(result, os.strerror(result)))

    def _on_readable(self) -> bool:
        recvmsg = self._recvmsg  # a callable in a slot is called twice as fast by way of a local name
        try:
            data, ancillary, _, _ = recvmsg(READ_BYTES, ANCILLARY_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            self._end(error)
            return False
        if data:
            self.fed.feed(data, self._clock.arrival_ns(ancillary))
            return len(data) == READ_BYTES
        self._end(None)
        return False

    def send(self, buffers: list[bytes]) -> None:
        """Send all bytes, in order; the rest of a large request goes as the kernel takes it."""
        if self._sock is None:
            return
        waits = bool(self._out)
        self._out += map(memoryview, buffers)
        if waits:
            return
        try:
            self._push(self._sock)
        except OSError as error:
            self._loop.call_soon(self._end, error)
        else:
            if self._out:
                self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        assert self._sock is not None
        try:
            self._push(self._sock)
        except OSError:
            # The answer may be there all the same (a server that refuses a body before it has read it).
            self._out.clear()
        if not self._out:
            self._loop.remove_writer(self._sock.fileno())

    def _push(self, sock: socket.socket) -> None:
        """Send what the kernel takes. Raises OSError."""
        try:
            sent = sock.sendmsg(self._out)
        except (BlockingIOError, InterruptedError):
            return
        for at, buffer in enumerate(self._out):
            if sent < len(buffer):
                self._out[: at + 1] = [buffer[sent:]]
                return
            sent -= len(buffer)
        self._out.clear()

    def set_urgent(self, urgent: bool) -> None:
        """Say whether what comes next is to be read at once."""
        if self._sock is not None:
            self._readers.set_urgent(self._sock.fileno(), urgent)

    def _end(self, error: OSError | None) -> None:
        receiver = self._receiver
        self.close()
        receiver.on_closed(error)

    def close(self) -> None:
        """Close at once."""
        self._receiver = NOBODY
        self.fed = NOBODY
        self._addresses.clear()
        self._out.clear()
        self._close_socket()

    def _close_socket(self) -> None:
        self.is_open = False
        if self._sock is not None:
            self._readers.remove(self._sock.fileno())
            self._loop.remove_writer(self._sock.fileno())
            self._sock.close()
            self._sock = None


class _Nobody:
    """The receiver of a closed connection."""

    def on_open(self) -> None:
        pass

    def feed(self, data: bytes, at_ns: int) -> None:
        pass

    def on_closed(self, error: Exception | None) -> None:
        pass


NOBODY = _Nobody()
