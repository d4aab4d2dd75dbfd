"""The client for everything that is asked of a server beside the load. The only user of httpx.

Whatever the environment, the address or the server gets wrong comes out as one sentence.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx
import msgspec

from tui.core.address import ServerAddress
from tui.core.errors import LaunchError
from tui.core.safe_text import safe_line
from tui.core.trust import tls_context

REQUEST_TIMEOUT_S = 5.0
"""For each step of a request."""
WHOLE_TIMEOUT_S = 30.0
"""For all of it: a server may send a byte now and then forever."""
ANSWER_BYTES = 8 * 1024 * 1024
_REFUSAL_BYTES = 64 * 1024
_REASON_CHARS = 300


class NoAnswer(Exception):
    """Nothing that can be used came back; the message says why, in words and without control characters."""


class Refusal(NoAnswer):
    """An answer that is none: another status than 200, with what it says."""

    def __init__(self, status: int, content: bytes) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.content = content


@dataclass(frozen=True, slots=True)
class ServerResponse:
    """What came back on one request."""

    status: int
    content: bytes
    location: str = ""
    """Where a redirect points; none is followed."""
    server: str = ""
    """What it says that it is, by the header of that name."""

    @property
    def is_ok(self) -> bool:
        """Say whether it is a 200."""
        return self.status == httpx.codes.OK

    def json(self) -> Any:
        """Return the JSON value of a good response; None for everything else."""
        if not self.is_ok:
            return None
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


class ServerClient:
    """Asks one server, by canonical paths. Close it when done."""

    def __init__(
        self,
        address: ServerAddress,
        *,
        headers: Sequence[tuple[str, str]] = (),
        verify: bool = True,
        direct: bool = False,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Take the server. `direct`: past every proxy, as one of our own is asked, wherever it listens.

        Raises LaunchError, in words, when the environment does not allow to ask it.
        """
        self.address = address
        self.proxy_variable, proxy = ("", "") if direct else proxy_for(address)
        """The name of the environment's proxy through which this server is asked; empty = directly."""
        try:
            self._client = httpx.AsyncClient(
                base_url=address.origin,
                headers=list(headers),
                timeout=REQUEST_TIMEOUT_S,
                verify=tls_context(verify) if address.tls else False,
                proxy=proxy or None,
                trust_env=False,
                transport=transport,
            )
        except UnicodeEncodeError:
            raise LaunchError("a request header holds a character that HTTP cannot carry") from None
        except ImportError:
            raise LaunchError(
                f"{self.proxy_variable} names a SOCKS proxy, which vramp does not speak: unset it, or add"
                f" {address.host} to NO_PROXY"
            ) from None
        except (httpx.InvalidURL, ValueError, OSError) as error:
            where = f"{self.proxy_variable}: " if self.proxy_variable else ""
            raise LaunchError(f"{where}{_reason(error)}") from None

    async def fetch(
        self, path: str, question: Mapping[str, object] | None = None, *, port_offset: int = 0, patient: bool = False
    ) -> ServerResponse:
        """GET `path`, or POST `question` to it as JSON. Raises NoAnswer, also for an answer of more than 8 MB.

        `port_offset`: it is asked on the port so many above the server's, which knows no base path. `patient`: no step
        of it is bounded by less than the whole.
        """
        what: dict[str, Any] = {"json": question} | ({"timeout": WHOLE_TIMEOUT_S} if patient else {})
        return await self._ask("GET" if question is None else "POST", path, port_offset=port_offset, **what)

    async def try_post(self, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> ServerResponse:
        """POST `body` to `path`, and leave before the answer to one that is taken. Raises NoAnswer."""
        return await self._ask("POST", path, leave=True, headers=list(headers), content=body)

    async def post(self, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> ServerResponse:
        """POST `body` to `path`, and wait for the whole answer, a stream's included. Raises NoAnswer."""
        return await self._ask("POST", path, headers=list(headers), content=body, timeout=WHOLE_TIMEOUT_S)

    async def stream(self, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> AsyncGenerator[bytes]:
        """POST `body` to `path`, and yield the body of its answer as it comes, at most 8 MB.

        Nothing bounds its time: that is for whoever reads. Raises Refusal for another status than 200, else NoAnswer.
        """
        asked = self._client.stream(
            "POST", self.address.target(path), headers=list(headers), content=body, timeout=None
        )
        room = ANSWER_BYTES
        try:
            async with asked as response:
                if response.status_code != httpx.codes.OK:
                    raise Refusal(response.status_code, await _beginning_of(response))
                async for piece in response.aiter_bytes():
                    room -= len(piece)
                    if room < 0:
                        raise NoAnswer(f"{path} answers more than {ANSWER_BYTES} bytes")
                    yield piece
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, RuntimeError, OSError) as error:
            raise NoAnswer(self._through(_reason(error))) from None

    async def _ask(
        self, method: str, path: str, *, leave: bool = False, port_offset: int = 0, **what: Any
    ) -> ServerResponse:
        content = bytearray()
        where = self.address.target(path)
        if port_offset:
            beside = msgspec.structs.replace(self.address, port=self.address.port + port_offset)
            where = beside.origin + path
        try:
            async with (
                asyncio.timeout(WHOLE_TIMEOUT_S),
                self._client.stream(method, where, **what) as response,
            ):
                if leave and response.is_success:
                    return ServerResponse(response.status_code, b"")
                async for piece in response.aiter_bytes():
                    content += piece
                    if len(content) > ANSWER_BYTES:
                        raise NoAnswer(f"{path} answers more than {ANSWER_BYTES} bytes")
                location = safe_line(response.headers.get("location", ""), limit=_REASON_CHARS)
                server = safe_line(response.headers.get("server", ""), limit=_REASON_CHARS)
                return ServerResponse(response.status_code, bytes(content), location, server)
        except TimeoutError:
            raise NoAnswer(f"no whole answer within {WHOLE_TIMEOUT_S:g} s") from None
        # ValueError: what the answer's head holds and cannot be; RuntimeError: the client was closed meanwhile.
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError, RuntimeError, OSError) as error:
            raise NoAnswer(self._through(_reason(error))) from None

    def _through(self, reason: str) -> str:
        return f"{reason} (asked through {self.proxy_variable})" if self.proxy_variable else reason

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()


async def _beginning_of(response: httpx.Response) -> bytes:
    content = bytearray()
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) >= _REFUSAL_BYTES:
            break
    return bytes(content[:_REFUSAL_BYTES])


def proxy_for(address: ServerAddress) -> tuple[str, str]:
    """Return the variable and the URL of the proxy that the environment names for a server; both empty for none.

    As httpx reads it (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in either case), but that a server on this machine
    is always asked directly, and that NO_PROXY may hold networks, which httpx cannot read.
    """
    if address.is_loopback:
        return "", ""
    proxies = getproxies()
    for kind in ("https" if address.tls else "http", "all"):
        if url := proxies.get(kind):
            break
    else:
        return "", ""
    if _in_a_network(address.host, proxies.get("no", "")) or proxy_bypass(f"{address.host}:{address.port}"):
        return "", ""
    return f"{kind.upper()}_PROXY", url if "://" in url else f"http://{url}"


def _in_a_network(host: str, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    for entry in no_proxy.split(","):
        try:
            if address in ipaddress.ip_network(entry.strip().strip("[]"), strict=False):
                return True
        except ValueError:
            continue
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):  # whose own words are often none
        return f"no answer within {REQUEST_TIMEOUT_S:g} s"
    return safe_line(str(error) or type(error).__name__, limit=_REASON_CHARS)
