"""How `ray.serve.llm` is started: by a program of vramp's own, run by the Python that has Ray and vLLM.

Its log is that of all that Ray starts: `(ServeReplica:llm:LLMServer:MODEL pid=N, ip=A) ` before each line of vLLM's,
without `ip` for those of this machine, and Serve's own: `(WHO pid=N) INFO 2026-11-26 15:25:00,886 WHO ID -- TEXT`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui.engines.base import PROCESS_UP, READY, Diagnosis, FailureClass, LaunchPlan, LogFact
from tui.engines.engine import Launch
from tui.engines.parts.addresses import base_url
from tui.engines.parts.arguments import words_of
from tui.engines.parts.diagnosis_rules import first_match, rule
from tui.engines.vllm.launch import VllmLaunch
from tui.engines.vllm.log import Stage

if TYPE_CHECKING:
    from tui.profile.schema import Profile, ServerTable
    from tui.profile.serve_table import ServeTable

PROGRAM = Path(__file__).parents[2] / "server" / "serve_program.py"
SERVE_UP = "Ray Serve up"
PLACEMENT = "replicas on their nodes"
SERVES_ALREADY = "The Ray cluster has a Ray Serve already, of which it can have one"
ATTACH_INSTEAD = "Attach to it: [attach] with its base_url; or end it: `serve shutdown`."
_SCRATCH = ("RAY_TMPDIR", "TMPDIR", "VLLM_RPC_BASE_PATH")

_ACTOR = re.compile(r"\([^()]{1,400} pid=\d+(?:, ip=(?P<ip>[\w.:]{1,64}))?\) ")
"""Before what an actor writes, vLLM's own lines included."""
_SERVE = re.compile(
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) \d{4}-\d\d-\d\d [\d:,]{8,12} (?P<who>\S{1,400}) [^-]{0,400}-- "
)
"""Before what Serve itself says."""
_RAY = re.compile(r"\d{4}-\d\d-\d\d [\d:,]{8,12}\s(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL) \S{1,80}:\d+ -- ")
_OF_SOURCE = ("    ", '  File "')
"""Of a traceback, whose source lines quote messages of errors that did not happen."""
_QUIET = ("DEBUG", "INFO", "WARNING")

RULES = (
    rule(
        r"ModuleNotFoundError: No module named '(?P<module>ray|vllm)'",
        FailureClass.RAY,
        "The server's Python has no {module}",
        "Name the Python of an environment that has Ray Serve and vLLM: executable in [server].",
    ),
    rule(
        r"(?:ModuleNotFoundError|ImportError): No module named '(?P<module>ray\.serve\.llm|[\w.]{1,80})'",
        FailureClass.RAY,
        "The server's environment lacks {module}, which ray.serve.llm needs",
        "Install it there: pip install 'ray[serve]' jsonref pyarrow, of the cluster's version, beside vLLM.",
    ),
    rule(
        r"Unknown engine argument: (?P<name>\S{1,200})",
        FailureClass.BAD_FLAG,
        "vLLM does not know an argument",
        "This vLLM does not know: {name}. Correct or remove it in [server.args] or extra_args.",
    ),
    rule(
        r"the Ray cluster has a Ray Serve already",
        FailureClass.RAY,
        SERVES_ALREADY,
        ATTACH_INSTEAD,
    ),
    rule(
        r"Ray Serve answers on the head of its cluster, (?P<head>\S{1,64}), not on this machine",
        FailureClass.RAY,
        "Ray Serve answers on the head of its cluster, which is another machine",
        "Run vramp on the head, {head}.",
    ),
    rule(
        r"no node has room for a replica within \d+ s: (?P<asked>.{1,300}); free are (?P<free>.{1,300})",
        FailureClass.TOO_MANY_GPUS,
        "The cluster has no room for a replica",
        "It asks for {asked} on a node, and the cluster has {free}: free them (`ray status` says who has them), add"
        " nodes, or lower replicas.",
    ),
    rule(
        r"killed due to memory pressure \(OOM\)",
        FailureClass.OOM_HOST,
        "Ray ended a worker for lack of main memory",
        "Free main memory on the node that the log names, or use one with more of it.",
    ),
    rule(
        r"Failed to bind to address '(?P<where>[^']{1,100})'",
        FailureClass.PORT,
        "The port is in use",
        "Set port = 0 in [server] for a free one, or end what listens on {where}.",
    ),
)


class RayServeLaunch(Launch):
    """`ray.serve.llm` with one model."""

    executable = ("python3",)
    stages = (PROCESS_UP, SERVE_UP, PLACEMENT, *(stage for stage in Stage if stage not in (PROCESS_UP, READY)), READY)
    loading = Stage.LOADING_WEIGHTS
    may_return_to = frozenset({Stage.MEMORY_PROFILING, Stage.KV_CACHE, Stage.COMPILE})
    rules = RULES
    ray_arguments = ("--on-cluster",)
    is_ray_serve = True
    says_ready = True
    mends_itself = True

    def __init__(self) -> None:
        self._vllm = VllmLaunch()

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `PYTHON serve_program.py MODEL ...`."""
        server = profile.server
        assert server is not None
        argv = [*self.command(server), str(PROGRAM), server.model, "--host", server.host, "--port", str(port)]
        argv += _words_of_serve(server.serve) if server.serve is not None else []
        argv += [] if self._vllm.gpus_needed(server) else ["--cpu"]
        argv += [word for name in (*_NO_REPORTS, *server.env) for word in ("--pass", name)]
        return LaunchPlan(
            argv=(*argv, *engine_words(server), *server.extra_args),
            env=self.environment(server),
            base_url=base_url(server.host, port, tls=False),
            scratch_variables=() if server.ray is not None else _SCRATCH,
        )

    def environment(self, server: ServerTable) -> dict[str, str]:
        """Return no usage reports, a log of all that is said, the chosen GPUs, the profile's own variables."""
        said = {"RAY_DEDUP_LOGS": "0", "RAY_COLOR_PREFIX": "0", "RAY_USAGE_STATS_ENABLED": "0"}
        return {**_NO_REPORTS, **said} | super().environment(server)

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of Serve's or of vLLM's log tells, or None."""
        if 'Started Serve in namespace "' in line:
            return LogFact(stage=SERVE_UP)
        if "Adding " in line and re.search(r"Adding \d+ replicas? to Deployment\(name='LLMServer", line):
            return LogFact(stage=PLACEMENT)
        if line.startswith("Serving on port"):
            return LogFact(stage=READY, progress=1.0)
        fact = self._vllm.read_log_line(line)
        if fact is not None and fact.stage == Stage.READY:
            return replace(fact, stage=None)  # an engine is, and Serve not yet
        return fact

    def shown_log_line(self, line: str) -> str:
        """Return a line as vLLM's, or Serve's without its head, with the node of another machine before it."""
        actor = _ACTOR.match(line)
        rest = line[actor.end() :] if actor else line
        of_serve = _SERVE.match(rest)
        if of_serve is not None and of_serve.end() < len(rest):
            level = "" if of_serve["level"] == "INFO" else f"{of_serve['level']} "
            shown = f"{level}{of_serve['who'].removeprefix('llm_')} {rest[of_serve.end() :]}"
        else:
            shown = self._vllm.shown_log_line(rest)
        return f"{actor['ip']}: {shown}" if actor and actor["ip"] else shown

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed: what this program and Serve name, else what vLLM names."""
        judged = [said for line in lines if (said := _judged(line)) is not None]
        if found := first_match(judged, RULES, lambda line: None if line.startswith(_OF_SOURCE) else line):
            return found[0].applied_to(found[2])
        return self._vllm.diagnose(judged, started=started, exit_code=exit_code)

    def gpus_needed(self, server: ServerTable) -> int:
        """Return how many GPUs all replicas take."""
        return self._vllm.gpus_needed(server) * _replicas(server)

    def vram_share(self, server: ServerTable) -> float:
        """Return what `--gpu-memory-utilization` says."""
        return self._vllm.vram_share(server)

    def weight_copies(self, server: ServerTable) -> int:
        """Return the number of replicas."""
        return _replicas(server)


_NO_REPORTS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def _replicas(server: ServerTable) -> int:
    return server.serve.replicas if server.serve is not None else 1


def _words_of_serve(table: ServeTable) -> list[str]:
    given = {name.replace("_", "-"): value for name, value in table.model_dump(exclude_none=True).items()}
    return words_of(given)


def engine_words(server: ServerTable) -> list[str]:
    """Return the flags of `[server.args]`, in which a text that JSON would take for something else has quotes."""

    def value_of(value: bool | int | float | str) -> bool | int | float | str:
        if not isinstance(value, str):
            return value
        try:
            json.loads(value)
        except ValueError:
            return value
        return json.dumps(value) if not value.startswith(("{", "[")) else value

    return words_of({f"--{name.lstrip('-')}": value_of(value) for name, value in server.args.items()})


def _judged(line: str) -> str | None:
    """Return of a line what may bear a failure, as vLLM's own log would have it; None for what does not."""
    actor = _ACTOR.match(line)
    rest = line[actor.end() :] if actor else line
    head = _SERVE.match(rest) or _RAY.match(rest)
    if head is None:
        return rest
    return None if head["level"] in _QUIET else rest[head.end() :]
