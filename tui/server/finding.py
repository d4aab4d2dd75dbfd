"""Which servers run on this machine that a profile could attach to: read-only, on loopback, within a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from msgspec.structs import replace

from tui.core.address import ServerAddress, address_of
from tui.core.errors import UsageError
from tui.core.safe_text import safe_line
from tui.engines.catalogue import engine_for, names
from tui.engines.engine import Engine
from tui.server import probe
from tui.server.client import NoAnswer, ServerClient

KNOWN_PORTS = (8000, 8080, 30000, 11434, 23333, 3000)
"""Where serving systems listen by default; asked where the system does not tell who listens."""
MAX_PORTS = 256
AT_ONCE = 16
PORT_TIMEOUT_S = 4.0
WHOLE_TIMEOUT_S = 10.0
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "127.0.0.1"}  # noqa: S104 - not bound here
_WANT_A_KEY = frozenset({401, 403})
_BAD_REQUEST = 400
_GENERIC = "openai"
"""The engine of what lists models as OpenAI's API does, and shows itself to be none of those that are known."""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server that answers as one of the systems does."""

    engine: str
    base_url: str
    model: str
    """The first that it offers; "" = it lists none."""
    process: str
    """Of whom the port is; "" = not told."""
    wants_key: bool = False
    """It answers nobody without a key, and so tells neither its maker nor its model."""
    verified: bool = True
    """Its certificate can be checked here; False = it speaks TLS with one of its own."""

    @property
    def in_words(self) -> str:
        """Return it as one line."""
        title = engine_for(self.engine).title or self.engine
        of = f" ({self.process})" if self.process else ""
        model = "wants a key" if self.wants_key else self.model or "no model listed"
        return safe_line(f"{self.base_url}  {title}  {model}{of}", limit=200)


async def find_servers(on_found: Callable[[FoundServer], None] | None = None) -> list[FoundServer]:
    """Return what answers, by port; one of which several systems may be the makers comes once for each of them.

    Takes at most WHOLE_TIMEOUT_S; a port that says nothing for PORT_TIMEOUT_S is passed over. `on_found` is told of
    each at once.
    """
    turns = asyncio.Semaphore(AT_ONCE)
    found: list[FoundServer] = []

    async def look(host: str, port: int, process: str) -> None:
        async with turns:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PORT_TIMEOUT_S):
                    here = await _servers_at(host, port, process)
                    found.extend(here)
                    for one in here if on_found is not None else ():
                        assert on_found is not None
                        on_found(one)

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(WHOLE_TIMEOUT_S):
            await asyncio.gather(*(look(*each) for each in await asyncio.to_thread(listeners)))
    return sorted(found, key=lambda one: (address_of(one.base_url).port, one.engine))


def listeners() -> list[tuple[str, int, str]]:
    """Return (host, port, name of the process) of what listens on loopback or everywhere, at most MAX_PORTS."""
    try:
        connections = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return [("127.0.0.1", port, "") for port in KNOWN_PORTS]
    found: dict[tuple[str, int], str] = {}
    for one in connections:
        if one.status == psutil.CONN_LISTEN and one.laddr:
            host = _EVERYWHERE.get(one.laddr.ip, one.laddr.ip)
            if _address(host, one.laddr.port).is_loopback:
                found[host, one.laddr.port] = _name_of(one.pid) or found.get((host, one.laddr.port), "")
    ports = sorted(found, key=lambda each: (each[1] not in KNOWN_PORTS, each))
    return [(host, port, found[host, port]) for host, port in ports[:MAX_PORTS]]


def _address(host: str, port: int) -> ServerAddress:
    return ServerAddress(tls=False, host=host, port=port)


def _name_of(pid: int | None) -> str:
    if pid is None:
        return ""
    try:
        return safe_line(psutil.Process(pid).name(), limit=40)
    except psutil.Error:
        return ""


async def _servers_at(host: str, port: int, process: str) -> list[FoundServer]:
    """Ask a port in plain HTTP, and then over TLS where that is what it may want."""
    address = _address(host, port)
    try:
        found = await _ask(ServerClient(address, direct=True), process)
    except NoAnswer:
        found = None
    if found is not None:
        return found
    secure = replace(address, tls=True)
    for verified in (True, False):
        with contextlib.suppress(NoAnswer):
            there = await _ask(ServerClient(secure, direct=True, verify=verified), process) or []
            return [dataclasses.replace(one, verified=verified) for one in there]
    return []


async def _ask(client: ServerClient, process: str) -> list[FoundServer] | None:
    """Return what a server shows itself to be; None for one that took the request for no good one. Raises NoAnswer."""
    try:
        listing = await client.fetch("/v1/models")
        known = [engine for name in names() if (engine := _engine(name)) is not None]
        marked = [engine for engine in known if engine.mark is not None and engine.mark.body is None]
        makers = [engine for engine in marked if await probe.answer_to(client, engine.mark)]
        wants_key = not makers and listing.status in _WANT_A_KEY
        if not makers:
            generic = engine_for(_GENERIC)
            models = generic.questions.models()
            listed = models is not None and models.read(listing.status, listing.content)
            makers = [generic] if listed or wants_key else []
        if not makers and listing.status == _BAD_REQUEST:  # so a server of TLS answers one who speaks without it
            return None
        url = str(client.address)
        return [
            FoundServer(maker.name, url, await _model_of(client, maker), process, wants_key=wants_key)
            for maker in makers
        ]
    finally:
        await client.aclose()


async def _model_of(client: ServerClient, engine: Engine) -> str:
    models = await probe.answer_to(client, engine.questions.models())
    return safe_line(models[0], limit=probe.NAME_CHARS) if models else ""


def _engine(name: str) -> Engine | None:
    try:
        return engine_for(name)
    except UsageError:
        return None  # of another package, and it fails
