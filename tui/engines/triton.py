"""What all of Triton Inference Server's backends share: its questions, its launch, its words for failures.

Its health tells of its models when they are loaded, and not of an engine that died later (2.51: ready forever).
https://docs.nvidia.com/deeplearning/triton-inference-server/user-guide/docs/protocol/extension_generate.html
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from tui.core.outcome import Outcome
from tui.engines.base import PROCESS_UP, READY, FailureClass, LaunchPlan, LogFact
from tui.engines.engine import Launch
from tui.engines.help_flags import HelpFlags
from tui.engines.parts import openai_stream
from tui.engines.parts.addresses import base_url
from tui.engines.parts.arguments import words_of
from tui.engines.parts.diagnosis_rules import Rule, rule
from tui.engines.parts.questions import Question, Questions, healthy, json_in, object_in

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile

METRICS_PORT_OFFSET = 2
"""8000 takes requests, 8001 is gRPC's, 8002 has the metrics: so by default, and so it is launched here."""
LOADING = "loading models"


def stream_path(model: str) -> str:
    """Return where a model of the repository streams."""
    return f"/v2/models/{quote(model, safe='')}/generate_stream"


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means: before the first token it comes with 400, whatever it is, and later within a 200."""
    if "is not healthy" in text and "Stub process" in text:
        return Outcome.ENGINE_DEAD
    if "exceeds maximum input length" in text:
        return Outcome.TOO_LONG
    return openai_stream.outcome_of(status, text)


class TritonQuestions(Questions):
    """Its health, the models that are ready, its version."""

    def __init__(self, *preferred: str) -> None:
        """Take the names of the models that are to be taken first."""
        self._preferred = preferred

    def alive(self) -> Question[bool] | None:
        """Ask for its health: 400 as long as a model is not loaded, or when one could not be."""
        return Question("/v2/health/ready", healthy)

    def models(self) -> Question[list[str]] | None:
        """Ask for the models of the repository that are ready."""
        return Question("/v2/repository/index", self._models_in, {})

    def version(self) -> Question[str] | None:
        """Ask for its version, e.g. "2.51.0"; that of the backend it does not tell."""
        return Question("/v2", _version_in)

    def _models_in(self, status: int, content: bytes) -> list[str] | None:
        rows = json_in(status, content)
        if not isinstance(rows, list):
            return None
        ready = [row.get("name") for row in rows if isinstance(row, dict) and row.get("state") == "READY"]
        names = [name for name in ready if isinstance(name, str)]
        first = [name for name in self._preferred if name in names]
        return [*first, *(name for name in names if name not in first)]


MARK = Question("/v2", lambda status, content: object_in(status, content).get("name") == "triton")


def _version_in(status: int, content: bytes) -> str | None:
    found = object_in(status, content)
    version = found.get("version")
    return version if found.get("name") == "triton" and isinstance(version, str) else None


_STARTED = re.compile(r"Started HTTPService at ")
_LOADING = re.compile(r'"?(?:loading: |successfully loaded \')')

NO_CAUSE = re.compile(r"Error: Failed to initialize NVML\s*$")
"""What it says where there is no GPU, and goes on."""

NAMING_CAUSES = (
    rule(
        r"failed to start (?:HTTP|GRPC|Metrics) service: .{0,40}Socket '(?P<socket>[^']{1,100})' already in use",
        FailureClass.PORT,
        "The port is in use",
        "Of {socket}: three ports in a row are taken, for requests, gRPC and metrics. Set port = 0 in [server].",
    ),
    rule(
        r"failed to stat file (?P<path>\S{1,300})|failed to open (?:the )?model repository|"
        r"--model-repository must be specified|Could not get MTime for",
        FailureClass.MODEL_MISSING,
        "The model repository cannot be read",
        "Give the folder of a Triton model repository as `model` in [server].",
    ),
    rule(
        r"unable to find backend library for backend '(?P<backend>[^']{1,100})'|unable to find '\S+', searched:",
        FailureClass.EXECUTABLE,
        "Triton lacks a backend that a model asks for",
        "Start a Triton that has it (images end in -vllm-python-py3 or -trtllm-python-py3), or give backend-directory.",
    ),
    rule(
        r"(?:unrecognized option|unrecognized argument) '?(?P<flag>[^'\s]{1,100})",
        FailureClass.BAD_FLAG,
        "tritonserver does not know an argument",
        "Correct or remove {flag} in [server.args] or extra_args.",
    ),
)
OUT_OF_MEMORY = rule(
    r"failed to load '(?P<name>[^']{1,100})' version \d+: .*(?:out of memory|OutOfMemory)",
    FailureClass.OOM_WEIGHTS,
    "The GPU's memory does not hold the model {name}",
    "Use more GPUs, a quantized model, or leave less to the KV cache, in that model's own configuration.",
)
CONSEQUENCES = (
    rule(
        r"Stub process '(?P<name>[^']{1,100})' is not healthy",
        FailureClass.CRASH,
        "The process that runs the model {name} has died",
        "Read the log above this line; a process that was killed for lack of memory is in dmesg alone.",
    ),
    rule(
        r"failed to load '(?P<name>[^']{1,100})' version \d+: ",
        FailureClass.CRASH,
        "The model {name} could not be loaded",
        "The line says why; read the log above it.",
    ),
    rule(r"failed to load all models", FailureClass.CRASH, "Not all models could be loaded", "Read the log above it."),
)


class TritonLaunch(Launch):
    """`tritonserver --model-repository=FOLDER`: what else a model needs stands in its own folder of the repository."""

    executable = ("tritonserver",)
    known_flags = HelpFlags(
        *("--model-repository", "--http-port", "--metrics-port"),
        refusal=r"(?:unrecognized option|unrecognized argument) '?([^'\s]{1,100})",
        abbreviates=True,
    )
    stages: tuple[str, ...] = (PROCESS_UP, LOADING, READY)
    rules: tuple[Rule, ...] = (*NAMING_CAUSES, OUT_OF_MEMORY, *CONSEQUENCES)
    prefix = re.compile(r"[EF]\d{4} \d\d:\d\d:\d\d\.\d+ \d+ \S+:\d+\] ")

    def message_of(self, line: str) -> str:
        """Return what a line of the log says; newer releases quote it."""
        said = super().message_of(line)
        return said.strip()[1:-1] if said is not line and said.startswith('"') else said

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `tritonserver` with requests on `port`, gRPC and metrics on the next two."""
        server = profile.server
        assert server is not None
        argv = [*self.command(server), "--model-repository", server.model]
        for kind, at in (("http", port), ("grpc", port + 1), ("metrics", port + METRICS_PORT_OFFSET)):
            argv += [f"--{kind}-port", str(at)]
            if server.host:
                argv += [f"--{kind}-address", server.host]
        return LaunchPlan(
            argv=(*argv, *words_of(server.args), *server.extra_args),
            env=self.environment(server),
            base_url=base_url(server.host, port),
        )

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        if _STARTED.search(line):
            return LogFact(stage=READY, progress=1.0)
        return LogFact(stage=LOADING) if _LOADING.search(line) else None
