"""What all users of one worker share: the target, the shape of requests, the clock, and what there is to report."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from itertools import count

import msgspec

from tui.core.clock import NS_PER_S, now_ns
from tui.core.trust import tls_context
from tui.engines.parts.dialect import Dialect, dialect_named
from tui.load.connection import Address, Connection, Receiver, TcpConnection, resolve
from tui.load.prompts import PromptMaker
from tui.load.read_batches import readers_for
from tui.load.request_head import RequestHead
from tui.load.stamps import ArrivalClock
from tui.load.tally import Tally
from tui.load.tls import TlsConnection
from tui.load.wire import Begin, Configure, StartedRequest
from tui.metrics.record import RequestRecord

# Shorter than any gap between tokens, for two of one stream that are read at once share a stamp; and no shorter, for a
# round of reads in between takes as long when thousands stream.
SLICE_NS = 5_000_000
RESOLVE_AGAIN_NS = 2 * NS_PER_S


class WorkerContext:
    """One per worker; one thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, begin: Begin) -> None:
        """Take the orders."""
        self.loop = loop
        self.worker = begin.worker
        self.target = begin.target
        self.timeout_ns = round(begin.target.request_timeout_s * NS_PER_S)
        self.address = begin.target.address
        self.clock = ArrivalClock()
        self.readers = readers_for(loop, self.clock)
        self.tally = Tally()
        self.in_flight = 0
        self.records: list[RequestRecord] = []
        self.started: dict[int, StartedRequest] = {}
        self.left: list[int] = []
        self.configured: Configure | None = None
        self._ids = count(1)
        self._to_do: deque[Callable[[], None]] = deque()
        self._prompts: PromptMaker | None = None
        self._dialect: Dialect | None = None
        self._head: RequestHead | None = None
        self._addresses: list[Address] = []
        self._unresolved: OSError = OSError("the host name was not looked up yet")
        self._resolved_ns = 0
        self.doubts_addresses = False
        """Set when a connection failed: the name may point elsewhere by now."""
        self._tls: ssl.SSLContext | None = tls_context(begin.target.verify) if self.address.tls else None

    def configure(self, configure: Configure) -> None:
        """Make requests of this shape from now on. Raises ValueError for a shape that cannot be made."""
        before = self.configured
        known = self._prompts if before is not None and before.prompts == configure.prompts else None
        self._prompts = PromptMaker(configure.shape, configure.prompts, like=known)
        self._dialect = dialect_named(configure.shape.dialect)
        self._head = RequestHead(self.target, configure.shape)
        self.configured = configure

    def retag(self, tag: int) -> None:
        """Give requests that start from now on another tag."""
        assert self.configured is not None
        self.configured = msgspec.structs.replace(self.configured, tag=tag)

    def soon(self, work: Callable[[], None]) -> None:
        """Do expensive work after what can be read now was read: send a request, open a connection, shake hands.

        When a batching engine ends a thousand streams at once, a thousand requests follow, and each costs as much as
        five reads; a connection costs more, a TLS handshake as much as a hundred. In slices between the reads, they
        delay no token until the next one covers its time.
        """
        self._to_do.append(work)
        if not self.readers.in_haste:
            self.readers.in_haste = True
            self.loop.call_soon(self._do_some)

    def _do_some(self) -> None:
        until_ns = now_ns() + SLICE_NS
        try:
            while self._to_do and now_ns() < until_ns:
                self._to_do.popleft()()
        finally:
            self.readers.in_haste = bool(self._to_do)
            if self._to_do:
                self.loop.call_soon(self._do_some)

    @property
    def dialect(self) -> Dialect:
        """Return how answers to requests that start now are read."""
        assert self._dialect is not None
        return self._dialect

    def next_id(self) -> int:
        """Return a number for a request, unique in this worker."""
        return next(self._ids)

    def compose(self) -> list[bytes]:
        """Return the bytes of a new request, in pieces; the long one is shared by all."""
        assert self._prompts is not None
        first, rest = self._prompts.make()
        assert self._head is not None
        return [self._head.before(first, rest) + first, rest]

    def open_connection(self, receiver: Receiver) -> Connection:
        """Open a connection; `receiver` is told how that ended, never within this call."""
        if self._tls is not None:
            return TlsConnection(self.loop, self._tls, self.address.host, receiver, self._open_plain, self.soon)
        return self._open_plain(receiver)

    def _open_plain(self, receiver: Receiver) -> TcpConnection:
        return TcpConnection(self.loop, self.readers, self._addresses, self._unresolved, receiver, self.clock)

    async def resolve(self) -> None:
        """Look the host up; when that fails, connections fail with the reason."""
        self.doubts_addresses = False
        self._resolved_ns = now_ns()
        try:
            self._addresses = await resolve(self.loop, self.address)
        except OSError as error:
            self._addresses = []
            self._unresolved = OSError(f"the name {self.address.host} has no address: {error.strerror or error}")

    @property
    def wants_resolving(self) -> bool:
        """Say whether it is time to look the host up again."""
        return self.doubts_addresses and now_ns() - self._resolved_ns > RESOLVE_AGAIN_NS
