"""The `[simulator]` table of a profile with `engine = "simulated"`: a modelled GPU server."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tui.profile.cards import CARDS

MAX_NODES = 64
MAX_CARDS = 1024
"""Of all nodes."""
SERVER_MARK = "vramp-simulated"
"""The value of the header `Server` of every answer of a simulated server, whatever it is seen as."""


class FailOnPurpose(StrEnum):
    """The ways in which a simulated server can be told to fail; each does what the real system does then."""

    OOM_WEIGHTS = "oom-weights"
    """CUDA out of memory while the weights are loaded: exit code 1."""
    KV_TOO_SMALL = "kv-too-small"
    """The KV cache cannot hold one request of `max_model_len` tokens: exit code 1."""
    OOM_RUNTIME = "oom-runtime"
    """CUDA out of memory after `fail_after_tokens`: error event, [DONE], exit code 0."""
    WORKER_KILLED = "worker-killed"
    """A worker process gets SIGKILL after `fail_after_tokens`: as above, another log."""
    HANG = "hang"
    """After `fail_after_tokens` nothing comes any more; connections stay open, /health answers 200."""
    SLOW_START = "slow-start"
    """The start takes 30 s more."""
    OVERLOAD = "overload"
    """The KV cache holds no more than one longest request: preemptions and stalls, no error."""
    PACKED_TOKENS = "packed-tokens"
    """Four tokens in each event of a stream."""
    QUEUE_LIMIT = "queue-limit"
    """No more than four requests may wait: 503 for the rest."""


class ServedAs(StrEnum):
    """What a simulated server looks like: the serving system that it speaks, logs and fails as."""

    VLLM = "vllm"
    LLAMA_CPP = "llama-cpp"
    LMDEPLOY = "lmdeploy"
    OLLAMA = "ollama"
    OPENAI = "openai"
    RAY_SERVE = "ray-serve"
    SAGEMAKER = "sagemaker"
    SGLANG = "sglang"
    TGI = "tgi"
    TRANSFORMERS_SERVE = "transformers-serve"
    TRITON_TRTLLM = "triton-trtllm"
    TRITON_VLLM = "triton-vllm"
    TRTLLM_SERVE = "trtllm-serve"


def _known_card(name: str) -> str:
    if name not in CARDS:
        raise ValueError("expected one of " + ", ".join(f'"{card}"' for card in CARDS))
    return name


class SimulatorTable(BaseModel):
    """What the simulated server models.

    A step takes base + per_sequence·N^exponent + per_cached_token·C + prefill_per_token·P seconds, with N sequences
    in the step, C tokens in their KV caches and P prompt tokens computed in it. Memory holds as long as
    T + memory_per_request_tokens·R stays within memory_limit_tokens, with T tokens in the running batch and R requests
    in the engine, waiting ones included.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    dialect: Annotated[ServedAs, Field(strict=False)] = ServedAs.VLLM
    """As which serving system it is seen."""
    gpu: Annotated[str, AfterValidator(_known_card)] = "A100 40GB"
    """The virtual card, e.g. "V100 16GB", "A100 40GB", "L4 24GB"; one per entry of `server.gpus` on each node."""
    nodes: int = Field(default=1, ge=1, le=MAX_NODES)
    """On how many machines the one server runs, each with the cards of `server.gpus`."""
    parameters_billion: float = Field(default=7.2, gt=0, le=1e5)
    bits_per_weight: float = Field(default=16.0, gt=0, le=64)
    kv_bytes_per_token: int = Field(default=131072, gt=0, le=10**9)
    """2 · layers · KV heads · head size · bytes per value, on all cards together."""
    step_base_s: float = Field(default=0.018, ge=0, le=3600)
    step_per_sequence_s: float = Field(default=0.0002, ge=0, le=3600)
    step_sequence_exponent: float = Field(default=1.0, gt=0, le=10)
    step_per_cached_token_s: float = Field(default=2e-7, ge=0, le=3600)
    prefill_per_token_s: float = Field(default=0.0001, ge=0, le=3600)
    request_overhead_s: float = Field(default=0.0, ge=0, le=3600)
    """Between a request's arrival and its place in the queue."""
    max_model_len: int = Field(default=8192, gt=0, le=10**8)
    max_num_seqs: int = Field(default=256, gt=0, le=10**6)
    max_num_batched_tokens: int = Field(default=8192, gt=0, le=10**8)
    """Tokens that one step may compute, prompts and answers together."""
    max_num_queued_reqs: int | None = Field(default=None, gt=0, le=10**6)
    """More requests waiting than this and the next one is answered 503."""
    block_size: int = Field(default=16, gt=0, le=10**6)
    kv_cache_tokens: int = Field(default=65536, gt=0, le=10**10)
    memory_limit_tokens: int | None = Field(default=None, gt=0, le=10**10)
    """More than this at once and the engine dies of CUDA out of memory; None = it never does."""
    memory_per_request_tokens: float = Field(default=0.0, ge=0, le=1e8)
    """What a request takes beside its tokens in the KV cache, in tokens' worth of memory."""
    tokens_per_event: int = Field(default=1, gt=0, le=10**4)
    """How many tokens are packed into one event of a stream."""
    startup_s: float = Field(default=0.0, ge=0, le=3600)
    """How long the start takes beyond what the process itself needs."""
    fail: Annotated[FailOnPurpose, Field(strict=False)] | None = None
    """A way to fail on purpose."""
    fail_after_tokens: int = Field(default=500, gt=0, le=10**9)
    """When: after so many output tokens, for those ways that need load."""
