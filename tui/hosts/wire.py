"""What a bench and the agents on other hosts say to each other, over one stream of bytes for all that runs there.

A frame (core/frames) begins with a place and a worker, both uint16, big-endian: which host (0 where the stream leads to
one alone) and which of its workers; what follows is the worker's frame as it is. Worker 0 is the agent itself.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import msgspec

from tui.core.frames import pack_frame
from tui.gpu.wire import Round, ServerWorkers
from tui.load.wire import MAX_FRAME_BYTES, Command, Report

MAX_BYTES = MAX_FRAME_BYTES + 4
PING_S = 0.5
DEAF_S = 4.0
"""An agent that hears nothing for so long ends, with all that it started: its bench is gone or out of reach.

Sooner than the bench takes its host for lost (`remote_host.MOST_UNANSWERED`): a host that is out of the bench's reach
may still reach the server, which would be loaded by users that nobody counts, while they ask from elsewhere already.
"""
MARKED = "--marked"
MARK = b"\0vramp agent\n"
"""What an agent that is started with `MARKED` says before its first frame: a login shell may have greeted before it."""
MOST_WORKERS = 1000
SAMPLER_NUMBER = 0xFFFE
"""No load worker's."""
_HEAD = struct.Struct(">HH")


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first word to an agent. It and its answer stay as they are, so that any two versions can tell."""


class StartWorker(msgspec.Struct, frozen=True, tag="start-worker"):
    """Start a worker; what is for it follows under its number."""

    number: int


class StartSampler(msgspec.Struct, frozen=True, tag="start-sampler"):
    """Have the GPUs of the host read, by a process that is one of its workers but for what it says."""

    number: int


class EndWorker(msgspec.Struct, frozen=True, tag="end-worker"):
    """End a worker."""

    number: int


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    """Say what your clock shows."""

    sent_ns: int


class Bye(msgspec.Struct, frozen=True, tag="bye"):
    """End, with all that was started: for a place whose line leads to others as well."""


ToAgent = Hello | StartWorker | StartSampler | EndWorker | Ping | Bye


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The answer to `Hello`."""

    version: str
    tongue: str
    """The agent's `tongue()`."""
    cores: int
    machine: str
    """The same for two processes that reach each other on the loopback address."""


class Pong(msgspec.Struct, frozen=True, tag="pong"):
    """The answer to `Ping`."""

    sent_ns: int
    host_ns: int


class WorkerEnded(msgspec.Struct, frozen=True, tag="worker-ended"):
    """A worker is gone, or could not be started; its last frames came before."""

    number: int
    why: str


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """Nothing more comes from this place, by the word of who led there: its node died."""

    why: str


class Place(msgspec.Struct, frozen=True):
    """One host of many that a stream leads to."""

    number: int
    name: str


class Places(msgspec.Struct, frozen=True, tag="places"):
    """All hosts that a stream leads to; told once, before all else."""

    places: list[Place]


FromAgent = Welcome | Pong | WorkerEnded | Gone | Places


def pack(place: int, worker: int, body: bytes) -> bytes:
    """Return a frame of a worker's as it goes over the stream."""
    return pack_frame(_HEAD.pack(place, worker) + body)


def pack_message(place: int, message: ToAgent | FromAgent) -> bytes:
    """Return a word to an agent, or of one, as it goes over the stream."""
    return pack(place, 0, msgspec.msgpack.encode(message))


def unpack(body: bytes) -> tuple[int, int, bytes]:
    """Return place, worker and what they say. Raises ValueError for what is no frame of ours."""
    if len(body) < _HEAD.size:
        raise ValueError("a frame without its head")
    place, worker = _HEAD.unpack_from(body)
    return place, worker, body[_HEAD.size :]


decode_to_agent = msgspec.msgpack.Decoder(ToAgent).decode
decode_from_agent = msgspec.msgpack.Decoder(FromAgent).decode


def tongue() -> str:
    """Return a short text that is the same where these messages, and those of the workers and samplers, are."""
    schemas, parts = msgspec.json.schema_components([Command, Report, ToAgent, FromAgent, Round, ServerWorkers])
    shapes = msgspec.json.encode(_without_words([*schemas, parts]), order="deterministic")
    return hashlib.sha256(shapes).hexdigest()[:12]


def _without_words(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_words(value) for key, value in schema.items() if key != "description"}
    return [_without_words(value) for value in schema] if isinstance(schema, list | tuple) else schema
