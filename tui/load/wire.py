"""What a pool and its workers say to each other: frames (core/frames) with a msgpack body.

Down go commands, each a struct with a tag; up go `Report`s, ten a second and at once when something is over.
"""

from __future__ import annotations

import asyncio

import msgspec

from tui.core import frames
from tui.core.address import ServerAddress
from tui.engines.base import RequestShape
from tui.engines.parts.auth import Auth
from tui.metrics.hosts import HostReading
from tui.metrics.record import RequestRecord

REPORT_PERIOD_S = 0.2
BUCKET_NS = 100_000_000
MAX_FRAME_BYTES = 256 * 1024 * 1024


class LoadTarget(msgspec.Struct, frozen=True):
    """The server that is asked."""

    address: ServerAddress
    auth: Auth = Auth()
    """What requests prove themselves by; secrets go by the names of variables, never by value."""
    verify: bool = True
    """False = a TLS certificate is not checked."""
    request_timeout_s: float = 300.0
    """The bound of a whole request."""
    time_scale: float = 1.0
    """Modelled seconds in one of the clock; what is said of the bound is in modelled ones, as the profile has it."""


class PromptSource(msgspec.Struct, frozen=True):
    """What prompts are made of."""

    kind: str
    """`token-ids` or `text`."""
    token_ids: bytes = b""
    """Safe ids (no special tokens), uint32, little-endian."""
    words: list[str] = []
    """Each is one token when preceded by a space."""


class LoadProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool tells with each regular report of a worker: the state now, and what arrived since it last told."""

    at_ns: int
    users_active: int
    """Closed-loop users, leaving ones included, and those of a burst."""
    in_flight: int
    tokens: list[tuple[int, int]] = []
    """(start of a 100-ms bucket in ns, tokens that arrived in it); a bucket may come again with more."""
    events: int = 0
    """Token-bearing events since the last progress."""
    cpu_share: float = 0.0
    """Of one core, over the last second, the busiest worker's; 0 to 1."""
    lag_p99_s: float | None = None
    """From arrival to processing over the last second, the slowest worker's; None where nothing arrived."""
    workers: int = 0
    stamps: str = ""
    """Where token times come from: `kernel`, or `client` when any worker has to take its own; empty before any."""
    rss_bytes: int = 0
    """Of all workers."""
    hosts: list[HostReading] = []
    """Where users ask from; none where that is this machine alone."""


class Secrets(msgspec.Struct, frozen=True):
    """Values of secrets by the names of their variables: they go this way alone, and are seen in no repr."""

    values: dict[str, str] = {}

    def __repr__(self) -> str:
        """Return the names."""
        return f"Secrets({', '.join(self.values)})"


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first command: whom to ask, and as which worker."""

    target: LoadTarget
    worker: int
    secrets: Secrets = Secrets()
    """What `target.auth` names."""


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """What requests look like that start from now on."""

    shape: RequestShape
    prompts: PromptSource
    tag: int


class Retag(msgspec.Struct, frozen=True, tag="retag"):
    """Requests that start from now on bear this tag, and look as before: nothing is made again."""

    number: int


class ChangeUsers(msgspec.Struct, frozen=True, tag="change-users"):
    """Which closed-loop users come to this worker, and which go, by number; what the others do is not touched.

    One that comes again before it has gone stays.
    """

    come: list[int]
    go: list[int]
    """They finish their request."""
    cut: bool = False
    """Those that go, and those that have not gone yet, are cut."""


class PrepareBurst(msgspec.Struct, frozen=True, tag="prepare-burst"):
    """Open a connection for each of these users and have its request at hand."""

    users: list[int]


class FireBurst(msgspec.Struct, frozen=True, tag="fire-burst"):
    """Send the prepared requests at `at_ns`, or at once when that has passed; all are meant to start then."""

    at_ns: int


class RunPlan(msgspec.Struct, frozen=True, tag="run-plan"):
    """Open loop: start a request at each of these times, whatever becomes of the others."""

    start_ns: int
    offsets_ns: bytes
    """int64, native: ns after `start_ns`, ascending."""
    spare_connections: int
    """To be opened beforehand."""


class Cut(msgspec.Struct, frozen=True, tag="cut"):
    """End everything now; users to none."""


class Peek(msgspec.Struct, frozen=True, tag="peek"):
    """Tell what has come by now of the requests under way."""


Command = Begin | Configure | Retag | ChangeUsers | PrepareBurst | FireBurst | RunPlan | Cut | Peek


class StartedRequest(msgspec.Struct, frozen=True, array_like=True):
    """A request under way: what is known of it when its worker dies."""

    request_id: int
    user: int
    tag: int
    intended_start_ns: int
    start_ns: int
    prompt_tokens: int
    output_tokens_asked: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a worker since its last report."""

    seq: int
    """1 for the first, and one more for each: none is taken twice, and a lost one is noticed."""
    heard: int
    """How many commands were obeyed before it."""
    at_ns: int
    tick: bool
    """Whether it is a regular one; the others tell of something that will not wait."""
    users_active: int
    in_flight: int
    tokens: list[tuple[int, int]]
    """(start of a 100-ms bucket in ns, tokens that arrived in it)."""
    events: int
    cpu_share: float
    """Of one core, over the last second."""
    lag_p99_s: float | None
    stamps: str
    rss_bytes: int
    started: list[StartedRequest]
    """Begun since the last report and not over yet."""
    records: list[RequestRecord]
    left: list[int]
    """Closed-loop users that are gone."""
    burst_ready: bool = False
    burst_over: bool = False
    plan_over: bool = False
    dropped: int = 0
    """Planned requests that could not be started; told with `plan_over`."""
    peeked: list[RequestRecord] | None = None
    """The answer to `Peek`."""


def pack(message: Command | Report) -> bytes:
    """Return `message` as a frame."""
    return frames.pack_frame(msgspec.msgpack.encode(message))


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """Return the body of the next frame, or None at the end. Raises ValueError for one that is too large."""
    return await frames.read_frame(reader, MAX_FRAME_BYTES)


decode_command = msgspec.msgpack.Decoder(Command).decode
decode_report = msgspec.msgpack.Decoder(Report).decode
