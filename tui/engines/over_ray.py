"""A server over the machines of a Ray cluster: an engine's launch that asks Ray for its workers. Pure.

The command runs here, as any other; what it starts elsewhere are actors of Ray's, in a placement group that takes their
GPUs. Ray ends both when the program that asked for them ends, however it ends. What is of this launch is known by a
mark in the metadata of its job, so that the cluster can be asked whether anything of it is left.
What the workers write, Ray brings here: `(NAME pid=N, ip=A) ...`, without `ip` for those of this machine.
https://docs.vllm.ai/en/latest/serving/parallelism_scaling.html
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tui.engines.base import Diagnosis, FailureClass, LaunchPlan, LogFact, RayJob
from tui.engines.engine import Launch
from tui.engines.parts.diagnosis_rules import first_match, rule

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.ray_table import RayTable
    from tui.profile.schema import Profile, ServerTable

PLACEMENT = "workers on their nodes"
MARK = "vramp-launch"
"""The key in a job's metadata under which the mark of a launch stands."""
_PLACING = re.compile(
    r"Connecting to existing Ray cluster at address|Creating a new placement group|Using the existing placement group"
    r"|Waiting for creating a placement group"
)
_ELSEWHERE = re.compile(r"\([^()]{1,80} pid=\d+, ip=([\w.:]{1,64})\)")

_HEAD = re.compile(
    r"(?:\([^()]*pid=\d+[^()]*\)\s+)*(?:(?:[\d-]+ [\d:,]+\s+)?(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\s"
    r"(?:\d\d-\d\d [\d:]+ \[[^\]]{1,80}\] ?)?)?"
)
"""Of a line of the server's, be it of another node, or of Ray's own."""

RULES = (
    rule(
        r"Failed to import Ray|No module named 'ray'",
        FailureClass.RAY,
        "The server's environment has no Ray",
        "Install the cluster's version of it there: pip install ray==VERSION (`ray --version` on the head says it).",
    ),
    rule(
        r"Version mismatch: The cluster was started with"
        r"|(?:ray|Ray) versions? (?:mismatch|do(?:es)? not match)",
        FailureClass.RAY,
        "The server's Ray or Python is another version than the cluster's",
        "Have the same versions of both in the server's environment and on all nodes.",
    ),
    rule(
        r"Could not find any running Ray instance|Failed to connect to (?:GCS|the Ray cluster)"
        r"|Ray cluster at .{1,200} (?:is not reachable|cannot be found)|Unable to connect to GCS",
        FailureClass.RAY,
        "No Ray cluster answers",
        "Start it: `ray start --head` here, `ray start --address=HEAD:6379` on each other machine; or correct"
        " server.ray.address.",
    ),
    rule(
        r"Cannot provide a placement group requiring (?P<asked>[\d.]+) GPUs",
        FailureClass.TOO_MANY_GPUS,
        "The cluster does not have so many free GPUs",
        "{asked} GPUs are asked for: free them (`ray status` says who has them), add nodes, or lower"
        " --tensor-parallel-size or --pipeline-parallel-size.",
    ),
    rule(
        r"Current node has no \w+ available|driver node id \w+ is not included in a placement group",
        FailureClass.TOO_MANY_GPUS,
        "No GPU of this machine is free for the server",
        "This vLLM wants a worker beside its engine: free a GPU here, or launch from a node that has one.",
    ),
    rule(
        r"Every node should have a unique IP address",
        FailureClass.RAY,
        "Two nodes of the cluster have the same address",
        "Set VLLM_HOST_IP to each node's own address before `ray start` there.",
    ),
    rule(
        r"RayWorker(?:Proc|Wrapper) rank=(?P<ranks>\[[\d, ]{1,200}\]) died unexpectedly",
        FailureClass.CRASH,
        "A worker of the server died on its node",
        "Worker {ranks} is gone: its node may be lost (`ray list nodes`), or it was killed there, for lack of memory"
        " perhaps (dmesg on that node).",
    ),
    rule(
        r"The node (?:which|with node id).{1,300}(?:has been marked dead|died)|ray\.exceptions\.NodeDiedError"
        r"|The actor (?:died|is dead) because its node has died",
        FailureClass.CRASH,
        "A node of the cluster was lost",
        "See `ray list nodes` for which, and start it again: `ray start --address=HEAD:6379`.",
    ),
)


class RayLaunch(Launch):
    """Another launch, over a Ray cluster."""

    def __init__(self, inner: Launch, table: RayTable) -> None:
        """`inner` has `ray_arguments`."""
        self._inner = inner
        self._table = table
        self.executable = inner.executable
        self.known_flags = inner.known_flags
        self.stages = _with_placement(inner.stages, inner.placed_before)
        self.may_return_to = inner.may_return_to
        self.is_ray_serve = inner.is_ray_serve
        self.says_ready = inner.says_ready
        self.mends_itself = inner.mends_itself

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return the inner plan with Ray as what starts its workers."""
        server = profile.server
        assert server is not None
        plan = self._inner.plan(profile, port, profile_path)
        job = RayJob(self._table.address, secrets.token_hex(8), self.is_ray_serve)
        given = {word.partition("=")[0].replace("_", "-") for word in plan.argv}
        flag = self._inner.ray_arguments[0] if self._inner.ray_arguments else ""
        more = () if flag in given else self._inner.ray_arguments or ()
        env = {
            "RAY_ADDRESS": job.address,
            "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"metadata": {MARK: job.mark}}),
            # Lines that several nodes have in common would be shown once, of one of them.
            "RAY_DEDUP_LOGS": "0",
            "RAY_COLOR_PREFIX": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        return replace(plan, argv=(*plan.argv, *more), env={**env, **plan.env}, ray=job)

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, and on which node it was written; or None."""
        if self._inner.placed_before and _PLACING.search(line):
            return LogFact(stage=PLACEMENT)
        fact = self._inner.read_log_line(line)
        elsewhere = _ELSEWHERE.search(line) if fact is not None else None
        return fact if fact is None or elsewhere is None else replace(fact, address=elsewhere[1])

    def shown_log_line(self, line: str) -> str:
        """Return a line as the inner launch shows it."""
        return self._inner.shown_log_line(line)

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why it failed: what the server's own log names, but for what is Ray's."""
        found = self._inner.diagnose(lines, started=started, exit_code=exit_code)
        if (
            found is not None
            and found.failure is not FailureClass.CRASH
            and found.failure is not FailureClass.BAD_VALUE
        ):
            return found
        of_ray = first_match(lines, RULES, _judged)
        return of_ray[0].applied_to(of_ray[2]) if of_ray else found

    def gpus_needed(self, server: ServerTable) -> int:
        """Return how many GPUs of the cluster it takes."""
        return self._inner.gpus_needed(server)

    def vram_share(self, server: ServerTable) -> float:
        """Return which part of a GPU's memory the server may take, 0 to 1."""
        return self._inner.vram_share(server)

    def weight_copies(self, server: ServerTable) -> int:
        """Return how often its weights lie on all GPUs together."""
        return self._inner.weight_copies(server)


def _with_placement(stages: Sequence[str], before: str) -> tuple[str, ...]:
    if not before:
        return tuple(stages)
    at = list(stages).index(before)
    return (*stages[:at], PLACEMENT, *stages[at:])


def _judged(line: str) -> str | None:
    head = _HEAD.match(line)
    return None if head is None or head["level"] in ("DEBUG", "INFO", "WARNING") else line[head.end() :]
