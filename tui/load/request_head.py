"""What stands before the body of a request: its head, with what proves who asks."""

from __future__ import annotations

from collections.abc import Iterable

from tui.engines.base import RequestShape
from tui.load.wire import LoadTarget


class RequestHead:
    """The heads of requests of one shape. They differ in their length, and where each is signed, in that."""

    def __init__(self, target: LoadTarget, shape: RequestShape) -> None:
        """Encode what is shared. Raises ValueError or UsageError for what HTTP cannot carry; no message holds a header,
        for it may be a key."""
        address = target.address
        self._auth = target.auth
        self._signer = target.auth.load_signer()
        path = address.target(shape.path)
        self._url = f"{address.origin}{path}"
        self._headers = [
            ("Host", address.host_header),
            *_merged(shape.headers, target.auth.head()),
        ]
        self._start = f"POST {path} HTTP/1.1\r\n".encode("latin-1") + _encoded(self._headers) + b"Content-Length: "

    def before(self, first: bytes, rest: bytes) -> bytes:
        """Return the head of a request whose body comes in two pieces, with its empty line."""
        head = self._start + b"%d\r\n" % (len(first) + len(rest))
        if self._signer is not None:
            signed = self._signer(self._auth.settings, "POST", self._url, self._headers, first + rest)
            head += _encoded(signed)
        return head + b"\r\n"


def _encoded(headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a request header holds a line break")
    try:
        return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError("a request header holds a character that HTTP cannot carry") from None


def _merged(headers: list[tuple[str, str]], own: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return both; what a profile sets takes the place of ours."""
    names = {name.lower() for name, _ in own}
    return [pair for pair in headers if pair[0].lower() not in names] + own
