"""SGLang: `sglang serve`, its requests, its log, its metrics. Known by the sources of 0.5.23 and by public logs.

https://docs.sglang.ai
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.engines.base import (
    PROCESS_UP,
    READY,
    Change,
    Diagnosis,
    FailureClass,
    LaunchPlan,
    LogFact,
    RequestShape,
    ServerMetrics,
    Wish,
)
from tui.engines.engine import Engine, Launch
from tui.engines.help_flags import HelpFlags
from tui.engines.parts import openai_requests
from tui.engines.parts.addresses import base_url
from tui.engines.parts.arguments import words_of
from tui.engines.parts.diagnosis_rules import rule
from tui.engines.parts.prometheus import samples_of, total
from tui.engines.parts.questions import Content, OpenAiQuestions, Question, healthy, object_in, owned_by, tokens_in
from tui.engines.parts.tracebacks import root_exception

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile

WEIGHTS, KV_CACHE, GRAPHS = "loading weights", "KV cache", "CUDA graphs"

# ---- what it can be asked

_RUNNING, _WAITING, _USED = "sglang:num_running_reqs", "sglang:num_queue_reqs", "sglang:token_usage"
_RETRACTED = "sglang:num_retracted_requests_total"


class SglangQuestions(OpenAiQuestions):
    """Its health, which makes a token and so tells the truth; its models, version, tokenizer, Prometheus text."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health; 503 while it starts, and no answer once its scheduler is dead."""
        return Question("/health", healthy)

    def version(self) -> Question[str] | None:
        """Ask for its version."""
        return Question("/server_info", _version_in)

    def tokenize(self, model: str, content: Content) -> Question[list[int]] | None:
        """Ask for the ids of a text; what a template makes of messages it does not tell."""
        return (
            Question("/tokenize", tokens_in, {"model": model, "prompt": content}) if isinstance(content, str) else None
        )

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures, without its counters of tokens, which only grow as requests end."""
        return Question("/metrics", _metrics_in)


def _version_in(status: int, content: bytes) -> str | None:
    version = object_in(status, content).get("version")
    return version if isinstance(version, str) else None


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    if status != 200:
        return None
    samples = samples_of(content.decode(errors="replace"), {_RUNNING, _WAITING, _USED, _RETRACTED})
    used = [value for _labels, value in samples.get(_USED, ())]
    return ServerMetrics(
        running=total(samples, [_RUNNING]),
        waiting=total(samples, [_WAITING]),
        # Of several schedulers the fullest one is the one that queues first.
        kv_cache_usage=min(max(used), 1.0) if used else None,
        preemptions_total=total(samples, [_RETRACTED]),
    )


# ---- how it is started

_STAGE_LINES = (
    (re.compile(r"Load weight begin"), WEIGHTS),
    (re.compile(r"Memory pool end"), KV_CACHE),
    (re.compile(r"Capture cuda graph begin"), GRAPHS),
)
_ALLOCATED = re.compile(r"KV Cache is allocated\. #tokens: (\d{1,9})")
_SIZES = re.compile(r"max_total_num_tokens=(\d{1,9}).*?context_len=(\d{1,9})")
_HIT = "Scheduler hit an exception: "
"""Behind it, in the same line, begins a traceback."""
_FIRED_UP = re.compile(r"The server is fired up")


class SglangLaunch(Launch):
    """`sglang serve --model-path MODEL`."""

    executable = ("sglang", "serve")
    known_flags = HelpFlags(
        *("--model-path", "--host", "--port"), refusal=r"unrecognized arguments: (.{1,2000})", abbreviates=True
    )
    stages = (PROCESS_UP, WEIGHTS, KV_CACHE, GRAPHS, READY)
    loading = WEIGHTS
    prefix = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: [A-Z]{1,3}\d+)*\] ")
    rules = (
        rule(
            r"Not enough memory\. Please try to increase --mem-fraction-static",
            FailureClass.OOM_KV,
            "No memory is left for the KV cache",
            "Raise mem-fraction-static, use more GPUs (tp-size), or quantize the weights.",
        ),
        rule(
            r"(?:Prefill|Decode) out of memory",
            FailureClass.OOM_RUNTIME,
            "The KV cache gave out while requests ran",
            "Lower max-running-requests, or raise mem-fraction-static or schedule-conservativeness.",
        ),
        rule(
            r"Capture cuda graph failed: .*out of memory",
            FailureClass.OOM_KV,
            "The GPU's memory gave out after the KV cache was reserved",
            "Lower mem-fraction-static or cuda-graph-max-bs.",
            Change("mem-fraction-static", by=-0.05, usual=0.85, least=0.1, most=0.95),
        ),
        rule(
            r"CUDA out of memory|CUDA error: out of memory|OutOfMemoryError",
            FailureClass.OOM_WEIGHTS,
            "The GPU's memory does not hold the model",
            "Use more GPUs (tp-size), a quantized model, or a larger card.",
        ),
        rule(
            r"GatedRepoError|Access to model .{1,200} is restricted",
            FailureClass.MODEL_GATED,
            "The model wants a token of Hugging Face",
            "Accept its licence there, and set HF_TOKEN in the environment.",
        ),
        rule(
            r"RepositoryNotFoundError|is not a local folder and is not a valid model identifier",
            FailureClass.MODEL_MISSING,
            "The model cannot be found",
            "Correct `model` in [server].",
        ),
        rule(
            r"unrecognized arguments: (?P<flags>.{1,200})",
            FailureClass.BAD_FLAG,
            "SGLang does not know an argument",
            "Correct or remove {flags} in [server.args] or extra_args.",
        ),
        rule(
            r"error: argument (?P<flag>\S{1,100}): (?P<why>.{1,200})",
            FailureClass.BAD_VALUE,
            "An argument has a wrong value",
            "Correct {flag} in [server.args]: {why}",
        ),
        rule(
            r"[Aa]ddress already in use",
            FailureClass.PORT,
            "The port is in use",
            "Set port = 0 in [server] for a free one, or end what listens there.",
        ),
        rule(
            _HIT,
            FailureClass.CRASH,
            "SGLang's scheduler ended by an error of its own",
            "Read the traceback below this line; its last line names the error.",
        ),
    )

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `sglang serve --model-path MODEL ...`, with metrics, over the GPUs that the profile names."""
        server = profile.server
        assert server is not None
        args: dict[str, bool | int | float | str] = {"enable-metrics": True, **server.args}
        if len(server.gpus) > 1 and not args.keys() & {"tp", "tp-size", "tensor-parallel-size", "dp-size", "pp-size"}:
            args["tp-size"] = len(server.gpus)
        argv = [*self.command(server), "--model-path", server.model, "--host", server.host, "--port", str(port)]
        return LaunchPlan(
            argv=(*argv, *words_of(args), *server.extra_args),
            env=self.environment(server),
            base_url=base_url(server.host, port),
        )

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed; of a scheduler that did, by what it raised."""
        told = super().diagnose(lines, started=started, exit_code=exit_code)
        if told is None or told.failure is not FailureClass.CRASH:
            return told
        raised = root_exception(lines, self._said, lambda text: False)
        return replace(told, line=raised.text) if raised is not None else told

    def _said(self, line: str) -> tuple[str, str]:
        return "", self.message_of(line).removeprefix(_HIT)

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        if found := _ALLOCATED.search(line):
            return LogFact(stage=KV_CACHE, kv_cache_tokens=int(found[1]))
        if found := _SIZES.search(line):
            return LogFact(kv_cache_tokens=int(found[1]), max_model_len=int(found[2]))
        if _FIRED_UP.search(line):
            return LogFact(stage=READY, progress=1.0)
        return next((LogFact(stage=stage) for pattern, stage in _STAGE_LINES if pattern.search(line)), None)


# ---- the whole


class SglangEngine(Engine):
    """SGLang's OpenAI-compatible server."""

    name = "sglang"
    title = "SGLang"
    mark = owned_by("sglang")
    seen = "0.5.23"
    questions = SglangQuestions()
    launch = SglangLaunch()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return the request: ids where possible, exactly as many tokens, usage on every event."""
        options = {"include_usage": True, "continuous_usage_stats": True}
        return openai_requests.request_shape(wish, token_ids=True, extra={"ignore_eos": True}, stream_options=options)


ENGINE = SglangEngine()
