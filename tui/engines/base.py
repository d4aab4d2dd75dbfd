"""The values by which serving systems are described: what they log, how they fail, what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from tui.profile.schema import Endpoint

PROCESS_UP = "process up"
READY = "ready"
ACCEPTING_SSE = (("Content-Type", "application/json"), ("Accept", "text/event-stream"))


class FailureClass(StrEnum):
    """Why a server failed to start or died."""

    OOM_WEIGHTS = "oom-weights"
    OOM_KV = "oom-kv"
    OOM_RUNTIME = "oom-runtime"
    OOM_HOST = "oom-host"
    PORT = "port-in-use"
    MODEL_MISSING = "model-missing"
    MODEL_GATED = "model-gated"
    BAD_FLAG = "bad-flag"
    BAD_VALUE = "bad-value"
    QUANTIZATION = "quantization-unsupported"
    TOO_MANY_GPUS = "too-many-gpus"
    DRIVER = "driver"
    NCCL = "nccl"
    DISK_FULL = "disk-full"
    EXECUTABLE = "executable-missing"
    IMAGE_MISSING = "image-missing"
    CONTAINER_RUNTIME = "container-runtime"
    RAY = "ray-cluster"
    TIMEOUT = "start-timeout"
    HUNG = "hung"
    CRASH = "crash"


@dataclass(frozen=True, slots=True)
class Change:
    """What would be different about one argument of a launch that is not to fail in the same way."""

    flag: str
    """Without dashes before it."""
    to: str = ""
    """Its new value; may name groups of the rule's pattern in braces. Empty = by so much."""
    by: float = 0.0
    """How much more (or less) than now."""
    times: float = 0.0
    """How many times as much as now, in whole numbers; 0 = not so."""
    now: str = ""
    """Its present value where the line tells it; may name groups. Empty = what is given."""
    usual: float = 0.0
    """What the server takes where the flag is not given; 0 = that is not known."""
    otherwise: str = ""
    """Its new value where the present one is not known."""
    least: float = 0.0
    most: float = 0.0
    """Between what a new value makes sense that comes of the present one."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why a server failed: the class, the decisive line of its log, a sentence of advice."""

    failure: FailureClass
    line: str
    """Without what the logger puts before it: time and place would leave no room for the message."""
    advice: str
    summary: str = ""
    """The class in words, e.g. "The KV cache does not fit"."""
    remedy: tuple[Change, ...] = ()
    """What of the advice can be done without asking: arguments with other values. Never what is a matter of trust."""


@dataclass(frozen=True, slots=True)
class LogFact:
    """What one log line tells; None or empty where it tells nothing."""

    stage: str | None = None
    """One of the engine's own, `Launch.stages`."""
    progress: float | None = None
    """Of the stage, 0 to 1."""
    kv_cache_tokens: int | None = None
    kv_cache_tokens_least: int | None = None
    """It has at least so many; exactly so many, if no other line tells."""
    max_concurrency: float | None = None
    max_model_len: int | None = None
    version: str | None = None
    weights_bytes: int | None = None
    """Of one GPU, as the process that logs the line holds it."""
    kv_cache_bytes: int | None = None
    """Of one GPU, as the process that logs the line holds it."""
    address: str = ""
    """Of the node on which the line was written; empty = this machine."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """With which it runs, by their flags without dashes before them."""


@dataclass(frozen=True, slots=True)
class Container:
    """What may outlive the command that started it."""

    name: str
    remove: tuple[str, ...]
    """Ends and removes it, whatever state it is in."""
    inspect: tuple[str, ...]
    """Prints its id, by which its cgroup is named; fails while there is none."""


@dataclass(frozen=True, slots=True)
class RayJob:
    """What a launch starts on other machines, as their Ray cluster knows it."""

    address: str
    """Of the cluster's head, or "auto"."""
    mark: str
    """In the metadata of its job."""
    serves: bool = False
    """Whether it is Ray Serve, of which a cluster can have one."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What is to be run: no shell ever sees it."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    """Added to the environment of the bench."""
    base_url: str
    scratch_variables: tuple[str, ...] = ()
    """Environment variables that are set to a folder made for this launch and removed with the server."""
    container: Container | None = None
    """Where the server runs in one that is more than a process below `argv`."""
    ray: RayJob | None = None
    """Where it has workers on other machines."""


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """The server's own figures at one moment; None where it does not tell. Counters are cumulative."""

    running: float | None = None
    waiting: float | None = None
    kv_cache_usage: float | None = None
    """0 to 1."""
    preemptions_total: float | None = None
    prompt_tokens_total: float | None = None
    generation_tokens_total: float | None = None
    prefix_cache_queries_total: float | None = None
    prefix_cache_hits_total: float | None = None
    kv_cache_tokens: int | None = None
    kv_cache_blocks: int | None = None
    """That requests can have, of all its engines."""
    block_size: int | None = None
    """Tokens of the KV cache in a block."""
    state_blocks: int = 0
    """Further blocks that a request has whatever its length: the states of the model's Mamba layers."""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """With which it runs, as far as its figures tell: by their flags without dashes before them."""
    ttft_sum_s: float | None = None
    ttft_count: float | None = None
    itl_sum_s: float | None = None
    itl_count: float | None = None
    queue_sum_s: float | None = None
    """From arrival to the first place in the KV cache and batch; counted as requests finish."""
    queue_count: float | None = None
    prefill_sum_s: float | None = None
    """From a request's place in the batch to its first token; counted as requests finish."""
    prefill_count: float | None = None
    decode_sum_s: float | None = None
    """From its first token to its last."""
    decode_count: float | None = None
    refused_total: float | None = None
    """Requests that a limit of its own queue turned away."""
    extra: Mapping[str, float] = field(default_factory=dict)


class RequestShape(msgspec.Struct, frozen=True):
    """How one request looks on the wire, as the load workers need it.

    The body is `body_head + prompt + body_tail`; the prompt is made per request by `load.prompts`, so that no two
    requests share a prefix.
    """

    path: str
    """With its leading slash, e.g. "/v1/completions"."""
    headers: list[tuple[str, str]]
    """Without Host, Content-Length and what the engine's auth adds."""
    body_head: bytes
    body_tail: bytes
    prompt_kind: str
    """`token-ids`: a JSON list of ints; `text`: a JSON string."""
    dialect: str
    """Where the dialect of the answers is, "module:attribute"."""
    prompt_tokens: int
    """How many prompt tokens one request should be, by the server's own count."""
    prompt_tokens_overhead: int
    """How many of them the server adds by itself (chat template); the generated prompt has the rest."""
    output_tokens: int
    exact: bool = False
    """Whether the request makes the server give exactly `output_tokens`: then fewer are a fault of its own."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request should be."""

    model: str
    endpoint: Endpoint
    prompt_tokens: int
    output_tokens: int
    prompt_tokens_overhead: int = 0
    body: Mapping[str, object] = field(default_factory=dict)
    """The profile's own changes of the body, [load.body]: a value adds or replaces, False drops, a table
    `{as = "name"}` renames."""
    by_hand: bool = False
    """A person asks: the prompt is taken as it is, and the answer ends where the model ends it, at the latest after
    `output_tokens`."""

    def load_only(self, **fields: object) -> dict[str, object]:
        """Return fields that make all requests of a load alike; a person's question has none of them."""
        return {} if self.by_hand else fields

    def request(
        self,
        path: str,
        fields: Mapping[str, object],
        prompt: bytes,
        *,
        dialect: str,
        kind: str = "text",
        behind: bytes = b"}",
        headers: Sequence[tuple[str, str]] = ACCEPTING_SSE,
        exact: bool = False,
    ) -> RequestShape:
        """Return the request whose body is `fields` and the prompt behind them.

        `prompt`: what stands before it, e.g. `"prompt":`; `behind`: what closes that and the body.
        """
        head = msgspec.json.encode(fields)[:-1]
        return RequestShape(
            path=path,
            headers=list(headers),
            body_head=head + (b"," if fields else b"") + prompt,
            body_tail=behind,
            prompt_kind=kind,
            dialect=dialect,
            prompt_tokens=self.prompt_tokens,
            prompt_tokens_overhead=self.prompt_tokens_overhead,
            output_tokens=self.output_tokens,
            exact=exact,
        )
