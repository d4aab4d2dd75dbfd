"""What a serving system looks like from outside: the contract of the modules in `tui/simulator/dialects`.

They are written by what the systems send (tests/corpus/engines), never by what vramp reads of it.
"""

from __future__ import annotations

import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from tui.profile.simulator_table import FailOnPurpose, SimulatorTable
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.requests import GenerationRequest, Refused

SSE = b"text/event-stream; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Served:
    """What is served."""

    model: str
    table: SimulatorTable
    created: int = field(default_factory=lambda: int(time.time()))


class Writer(ABC):
    """Writes the stream of one answer; each part that it returns is a chunk of the body."""

    def first(self) -> bytes:
        """Return what comes just before the first token."""
        return b""

    @abstractmethod
    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of `tokens`; `generated` counts all tokens so far, these included."""

    def end(self, generated: int) -> Sequence[bytes]:
        """Return what comes after the last token."""
        return ()

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return what comes when the engine dies in mid stream."""
        return ()


class Way(ABC):
    """One way to ask: a path that is posted to."""

    path: str
    media_type: bytes = SSE
    head_waits = False
    """Whether the head of a stream comes with its first token only, so that what fails before has its own status."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def admit(self, scope: Scope, body: bytes) -> None:  # noqa: B027
        """Let a request in by who asks; by default anybody. Raises Refused."""

    @abstractmethod
    def accept(self, body: bytes, path: str) -> GenerationRequest:
        """Return what a request asks for. Raises Refused."""

    @abstractmethod
    def writer(self, request: GenerationRequest) -> Writer:
        """Return what writes the stream of an answer."""

    @abstractmethod
    def whole(self, request: GenerationRequest, tokens: Sequence[int]) -> Response:
        """Return an answer that is not streamed."""

    @abstractmethod
    def refusal(self, refused: Refused) -> Response:
        """Return how a request is refused."""

    @abstractmethod
    def dead(self, cause: FailOnPurpose) -> Response:
        """Return how a request is answered whose engine has died."""


class Aftermath(Enum):
    """What becomes of the server when its engine has died."""

    EXITS = "exits"
    """It ends its streams, and then itself."""
    VANISHES = "vanishes"
    """Its process is gone on the spot, and its connections are cut."""
    STAYS = "stays"
    """It goes on, and answers with errors, forever."""
    COMES_BACK = "comes back"
    """It starts another engine."""


class ServedDialect(ABC):
    """One serving system, as far as it can be seen from outside."""

    port_offsets: tuple[int, ...] = (0,)
    """The ports that it listens on, from that of the requests."""
    aftermath = Aftermath.EXITS
    exit_code = 0
    """When it ends because its engine died."""
    comes_back_after_s = 0.0
    refuses = True
    """Whether it turns requests away for which it has no room; else they wait, however many there are."""

    def __init__(self, served: Served) -> None:
        self.served = served

    def signal_of(self, cause: FailOnPurpose) -> signal.Signals:
        """Return the signal by which a process ends that vanishes."""
        return signal.SIGKILL if cause is FailOnPurpose.WORKER_KILLED else signal.SIGABRT

    @abstractmethod
    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""

    @abstractmethod
    def ways(self) -> Sequence[Way]:
        """Return the ways to ask it."""

    @abstractmethod
    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

    def not_found(self, detail: str) -> Response:
        """Return the answer to a path that it does not have."""
        return json_response({"detail": detail}, 404)


def json_response(content: dict[str, Any] | list[Any], status: int = 200) -> Response:
    """Return `content` as a response."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def sse(content: bytes) -> bytes:
    """Return an event of this data."""
    return b"data: " + content + b"\n\n"


def sse_response(content: bytes, status: int = 200) -> Response:
    """Return a body of one event."""
    return Response(sse(content), status, headers={"content-type": SSE.decode()})


OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 112.00 MiB. GPU 0 has 21.75 MiB free. (SIMULATED)"
"""What clients get to read of it."""


def out_of_memory(total_bytes: int) -> str:
    """Return what PyTorch says when a card of this size is full."""
    total = total_bytes / 2**30
    return (
        "CUDA out of memory. Tried to allocate 112.00 MiB. GPU 0 has a total capacity of "
        f"{total:.2f} GiB of which 21.75 MiB is free. Including non-PyTorch memory, this process has "
        f"{total - 0.03:.2f} GiB memory in use. Of the allocated memory {total - 0.9:.2f} GiB is allocated by "
        "PyTorch, and 187.33 MiB is reserved by PyTorch but unallocated. (SIMULATED)"
    )
