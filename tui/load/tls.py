"""TLS over a plain connection, so that what it bears has the kernel's arrival times too."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from tui.load.connection import NOBODY, READ_BYTES, Connection, Fed, Receiver


class TlsConnection:
    """A connection to its owner, and to the plain connection below it the receiver.

    A server sends each event as a record of its own, and a record can be read when its last segment has come: the stamp
    of that segment is the time of the event.
    """

    __slots__ = (
        "_arrived",
        "_at_ns",
        "_context",
        "_host",
        "_loop",
        "_plain",
        "_receiver",
        "_soon",
        "_step_waits",
        "_tls",
        "_to_send",
        "fed",
        "is_open",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: ssl.SSLContext,
        host: str,
        receiver: Receiver,
        open_plain: Callable[[Receiver], Connection],
        soon: Callable[[Callable[[], None]], None],
    ) -> None:
        """Connect by `open_plain`, then agree on TLS with a server that must prove to be `host`.

        Each step of the handshake is done by `soon`, for it takes as long as a hundred reads.
        """
        self._loop = loop
        self._context = context
        self._host = host
        self._receiver = receiver
        self.fed: Fed = receiver
        self._arrived = ssl.MemoryBIO()
        self._to_send = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self.is_open = False
        self._soon = soon
        self._step_waits = False
        self._at_ns = 0
        """When the last bytes came."""
        self._plain = open_plain(self)

    # What the plain connection tells.

    def on_open(self) -> None:
        """TCP is connected."""
        try:
            self._tls = self._context.wrap_bio(self._arrived, self._to_send, server_hostname=self._host)
        except ValueError as error:  # a name that no certificate can hold
            self._end(error)
        else:
            self._step_soon()

    def feed(self, data: bytes, at_ns: int) -> None:
        """Encrypted bytes arrived."""
        tls = self._tls
        if tls is None:
            return
        self._arrived.write(data)
        self._at_ns = at_ns
        if self.is_open:
            self._decrypt(tls)
        else:
            self._step_soon()

    def on_closed(self, error: Exception | None) -> None:
        """TCP could not be connected, or has ended; without a word of TLS, as many servers do, is no error."""
        self._shake_hands()  # what came last may tell why
        if self._receiver is not NOBODY:
            self._end(error)

    def _step_soon(self) -> None:
        if not self._step_waits:
            self._step_waits = True
            self._soon(self._shake_hands)

    def _shake_hands(self) -> None:
        tls = self._tls
        if tls is None or not self._step_waits or self._receiver is NOBODY:
            return
        self._step_waits = False
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # the alert that tells the server why
            self._end(error)
        else:
            self._flush()
            self.is_open = True
            self._receiver.on_open()
            self._decrypt(tls)  # what came along with the last step

    def _decrypt(self, tls: ssl.SSLObject) -> None:
        try:
            while data := tls.read(READ_BYTES):
                self.fed.feed(data, self._at_ns)
        except ssl.SSLWantReadError:
            self._flush()  # the answer to a change of keys, if that was what came
        except ssl.SSLError as error:
            self._end(error)
        else:
            self._end(None)

    # What the owner asks.

    def send(self, buffers: list[bytes]) -> None:
        """Send all bytes, in order."""
        tls = self._tls
        if tls is None or not self.is_open:
            return
        try:
            for buffer in buffers:
                rest = memoryview(buffer)
                while rest:
                    rest = rest[tls.write(rest) :]
        except ssl.SSLError as error:
            self._loop.call_soon(self._end, error)
        else:
            self._flush()

    def set_urgent(self, urgent: bool) -> None:
        """Say whether what comes next is to be read at once."""
        self._plain.set_urgent(urgent)

    def _flush(self) -> None:
        if self._to_send.pending:
            self._plain.send([self._to_send.read()])

    def _end(self, error: Exception | None) -> None:
        receiver = self._receiver
        self.close()
        receiver.on_closed(error)

    def close(self) -> None:
        """Close at once."""
        self._receiver = NOBODY
        self.fed = NOBODY
        self.is_open = False
        self._plain.close()
