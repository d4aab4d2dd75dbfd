"""Where a server is, as one value: parsed once, and the same for the profile's check, the questions and the load.

Engines name paths in one canonical form: "/v1/..." is OpenAI's API, everything else the server's own. An address may
hold a base path of any kind, a query that goes with every request, or end in an endpoint that was copied with it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from urllib.parse import quote, unquote, urlsplit

import msgspec

_VERSION = re.compile(r"v\d+(?:(?:alpha|beta)\d*)?", re.IGNORECASE)
_API_ENDPOINT = re.compile(r"/(?:chat/completions|completions|models|responses|embeddings)$")
_OWN_ENDPOINT = re.compile(
    r"/(?:health|metrics|version|ping|tokenize|docs|openapi\.json|completion|generate|generate_stream)$"
)
_HOST_CHARS = re.compile(r"[A-Za-z0-9._-]+")
_MAX_NAME, _MAX_LABEL = 253, 63
_EXPECTED = "expected http://host[:port][/path] or https://host[:port][/path]"


class ServerAddress(msgspec.Struct, frozen=True):
    """A server's address, ready for requests."""

    tls: bool
    host: str
    """A name in ASCII or an address; IPv6 without its brackets."""
    port: int
    root: str = ""
    """The path that the server's own questions stand below ("/health"), without a trailing slash."""
    api: str = "/v1"
    """The path that OpenAI's API stands below ("/chat/completions"), without a trailing slash."""
    query: str = ""
    """What goes with every request, without its question mark."""

    def target(self, path: str) -> str:
        """Return what a request names for a canonical path, e.g. "/openai/v1/models?api-version=1" for "/v1/models"."""
        found = self.api + path.removeprefix("/v1") if path.startswith("/v1/") else self.root + path
        if not self.query:
            return found
        return f"{found}{'&' if '?' in found else '?'}{self.query}"

    @property
    def origin(self) -> str:
        """Return scheme, host and port, e.g. "http://[::1]:8000"."""
        return f"http{'s' if self.tls else ''}://{self.host_header}"

    @property
    def host_header(self) -> str:
        """Return the value of the Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Say whether the server is on this machine by its address."""
        if self.host.lower() == "localhost" or self.host.lower().endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        # "Any address" reaches this machine.
        return address.is_loopback or address.is_unspecified or (mapped is not None and mapped.is_loopback)

    def __str__(self) -> str:
        """Return it as people write it: without the API's own version, and without the query, which may be long."""
        return self.origin + (self.root if self.api == f"{self.root}/v1" else self.api)


def address_of(url: str) -> ServerAddress:
    """Return what `url` says. Raises ValueError, in words, for what is no address of a server."""
    return addresses_of(url)[0]


def addresses_of(url: str) -> list[ServerAddress]:
    """Return all that `url` may mean, the likeliest first: a base path without a version may lack it, or not.

    Raises ValueError, in words, for what is no address of a server.
    """
    if any(not char.isprintable() or char.isspace() or char == "\\" for char in url):
        raise ValueError("expected it without blanks, backslashes and control characters")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("expected an IPv6 address in whole brackets, as http://[::1]:8000") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(_EXPECTED)
    if "@" in parts.netloc:
        raise ValueError("expected it without a name or a password, which would be kept in the session")
    tls = parts.scheme == "https"
    host, port = _host_of(parts.hostname), _port_of(parts.netloc, 443 if tls else 80)
    path = quote(re.sub(r"/{2,}", "/", parts.path).rstrip("/"), safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return [ServerAddress(tls, host, port, root, api, query) for root, api in _readings(path)]


def _readings(path: str) -> list[tuple[str, str]]:
    """Return the pairs of root and API that a path may mean."""
    if own := _OWN_ENDPOINT.search(path):
        path = path[: own.start()]
    elif endpoint := _API_ENDPOINT.search(path):
        api = path[: endpoint.start()]
        return [(_without_version(api), api)]
    segments = path.split("/")[1:]
    if segments and _VERSION.fullmatch(segments[-1]):
        return [(_without_version(path), path)]
    with_version, as_it_is = (path, f"{path}/v1"), (path, path)
    return [as_it_is, with_version] if any(map(_VERSION.fullmatch, segments)) else [with_version, as_it_is]


def _without_version(path: str) -> str:
    before, _, last = path.rpartition("/")
    return before if _VERSION.fullmatch(last) else path


def _host_of(name: str | None) -> str:
    if not name:
        raise ValueError(_EXPECTED)
    name = unquote(name)
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return str(ipaddress.IPv4Address(socket.inet_aton(name)))  # "127.1", as every resolver reads it
    except (OSError, ValueError):
        pass
    try:
        name = name if name.isascii() else name.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("expected a host that there can be") from None
    labels = name.removesuffix(".").split(".")
    if (
        not _HOST_CHARS.fullmatch(name)
        or len(name) > _MAX_NAME
        or any(not 0 < len(label) <= _MAX_LABEL for label in labels)
        or labels[-1].isdigit()  # meant as an IPv4 address, and none
    ):
        raise ValueError("expected a host that there can be")
    return name


def _port_of(netloc: str, default: int) -> int:
    text = netloc.rpartition("]")[2] if "]" in netloc else netloc
    _, colon, port = text.rpartition(":")
    if not colon or not port:
        return default
    if not (port.isascii() and port.isdigit() and 0 < int(port[:9]) <= 65535):
        raise ValueError("expected a port of 1 to 65535")
    return int(port)
