"""A server as it can be asked: where it is, by which client, for which model, and what it told of itself. asyncio."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from tui.core.address import ServerAddress, address_of
from tui.core.errors import LaunchError, UsageError
from tui.engines.base import FailureClass, RequestShape
from tui.engines.catalogue import engine_of
from tui.engines.parts.auth import Auth
from tui.engines.parts.questions import Content
from tui.profile.schema import Profile
from tui.server import probe, readiness
from tui.server.client import NoAnswer, ServerClient, ServerResponse
from tui.server.launch_failure import LaunchFailed, failure_report

_NOT_HERE = frozenset({404, 405})


class AskedServer:
    """Of one profile, launched or attached to; there may be no server at the time."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self.engine = engine_of(profile)
        self.client: ServerClient | None = None
        self.told = probe.Probe()
        """What it said of itself when it was first asked."""
        self.address = address_of(profile.attach.base_url) if profile.attach else None
        """Where it is; of a server that vramp launches, known once that begins."""
        self.notes: list[str] = []
        """What was done on its account, in words."""
        self.other_addresses: list[ServerAddress] = []
        """What else the address may mean, where no place lists models."""
        self.model = _asked_model(profile)

    @property
    def base_url(self) -> str:
        """Return the address as people write it; empty while there is none."""
        return str(self.address) if self.address is not None else ""

    @property
    def simulated(self) -> bool:
        """Say whether a model of a server answers: one that the profile launches, or an attached one that says so."""
        return self._profile.simulated or self.told.simulated

    @property
    def auth(self) -> Auth:
        """Return what requests prove themselves by."""
        return self.engine.auth(self._profile)

    def make_client(self, address: ServerAddress, *, verify: bool, direct: bool = False) -> ServerClient:
        """Return a client for an address. Raises LaunchFailed where it cannot be asked from here."""
        try:
            return ServerClient(address, headers=self.auth.head(), verify=verify, direct=direct)
        except (LaunchError, UsageError) as error:
            summary = f"{address} cannot be asked from here"
            raise LaunchFailed(failure_report(FailureClass.BAD_VALUE, summary, str(error))) from None

    async def turn_to(self, address: ServerAddress, verify: bool) -> ServerClient:
        """Ask at another address from now on."""
        await self.close_client()
        self.address = address
        self.client = self.make_client(address, verify=verify)
        return self.client

    async def close_client(self) -> None:
        """Let go of the connection, if there is one."""
        if self.client is not None:
            await self.client.aclose()
            self.client = None

    async def is_healthy(self) -> bool:
        """Say whether its health check answers now, within some seconds."""
        return self.client is not None and await readiness.is_ready(self.client, self.engine.ready)

    # -- questions -----------------------------------------------------------------------------------------------

    async def tokenize(self, text_or_messages: Content) -> list[int] | None:
        """Return the token ids of a text, or of messages under the chat template; None where it cannot say."""
        if self.client is None:
            return None
        return await probe.tokens_of(self.client, self.engine.questions, self.model, text_or_messages)

    async def count(self, text_or_messages: Content) -> int | None:
        """Return how many tokens a prompt has, by the server; None where it cannot say."""
        if self.client is None:
            return None
        return await probe.count_of(self.client, self.engine.questions, self.model, text_or_messages)

    async def simulated_gpus(self) -> bytes | None:
        """Return what a simulated server says of its virtual GPUs, as JSON; None where there are none."""
        return await self._get("/simulated/gpus") if self._profile.simulated else None

    async def _get(self, path: str) -> bytes | None:
        if self.client is None:
            return None
        try:
            response = await self.client.fetch(path)
        except NoAnswer:
            return None
        return response.content if response.is_ok else None

    # -- requests as the load sends them --------------------------------------------------------------------------

    async def try_request(self, shape: RequestShape, body: bytes) -> ServerResponse:
        """Send a request as the load would, and return how it is taken. Raises NoAnswer.

        Where no models were listed and this place knows no such request, the others that the address may mean are
        tried as well; the first that knows it is kept.
        """
        response, first = await self._try_here(shape, body), self.address
        attach = self._profile.attach
        while response.status in _NOT_HERE and self.other_addresses and attach is not None:
            await self.turn_to(self.other_addresses.pop(0), attach.verify)
            elsewhere = await self._try_here(shape, body)
            if elsewhere.status not in _NOT_HERE:
                return elsewhere
            assert first is not None
            await self.turn_to(first, attach.verify)
        return response

    async def _try_here(self, shape: RequestShape, body: bytes) -> ServerResponse:
        client, headers = self._as_the_load_asks(shape, body)
        return await client.try_post(shape.path, headers, body)

    async def whole_answer(self, shape: RequestShape, body: bytes) -> ServerResponse:
        """Send a request as the load would, and return its answer as a whole. Raises NoAnswer."""
        client, headers = self._as_the_load_asks(shape, body)
        return await client.post(shape.path, headers, body)

    async def answer_as_it_comes(self, shape: RequestShape, body: bytes) -> AsyncGenerator[bytes]:
        """Send a request as the load would, and yield its answer as it comes. Raises NoAnswer, Refusal."""
        client, headers = self._as_the_load_asks(shape, body)
        async with aclosing(client.stream(shape.path, headers, body)) as pieces:
            async for piece in pieces:
                yield piece

    def _as_the_load_asks(self, shape: RequestShape, body: bytes) -> tuple[ServerClient, list[tuple[str, str]]]:
        """Return whom to ask, with which headers."""
        if self.client is None or self.address is None:
            raise NoAnswer("there is no server")
        headers = list(shape.headers)
        try:
            if (sign := self.auth.load_signer()) is not None:
                url = self.address.origin + self.address.target(shape.path)
                headers += sign(self.auth.settings, "POST", url, headers, body)
        except UsageError as error:
            raise NoAnswer(str(error)) from None
        return self.client, headers


def _asked_model(profile: Profile) -> str:
    if profile.attach is not None:
        return profile.attach.model or ""
    return profile.server.model if profile.server is not None else ""
