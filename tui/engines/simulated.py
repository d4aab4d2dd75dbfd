"""The embedded simulated server: the dialect, questions and log of the system that it is seen as, its own command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from tui.engines.base import PROCESS_UP, READY, Diagnosis, FailureClass, LaunchPlan, LogFact, RequestShape, Wish
from tui.engines.engine import Engine, Launch
from tui.engines.parts.addresses import base_url
from tui.engines.parts.auth import Auth
from tui.engines.parts.diagnosis_rules import rule
from tui.engines.vllm import ENGINE as VLLM
from tui.engines.vllm.launch import ACCESS_LOG_FLAG

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile, ServerTable

MAX_MODEL_LEN = "max-model-len"
"""The one argument of a real server that the simulated one takes in place of its table's value."""
TIME_SCALE_VARIABLE = "VRAMP_TIME_SCALE"
LOADING = "loading"
_ANY_REGION = "us-east-1"


class _PlainLaunch(Launch):
    """How the log of a system is read that is attached to only, when it is simulated."""

    stages = (PROCESS_UP, LOADING, READY)
    rules = (
        rule(
            r"failed to allocate buffer for kv cache|No enough gpu memory for kv cache|due to insufficient GPU memory"
            r"|not enough memory for the KV cache",
            FailureClass.OOM_KV,
            "The KV cache does not fit",
            "Raise kv_cache_tokens in [simulator], or lower max_model_len.",
        ),
        rule(
            r"CUDA out of memory|cudaMalloc failed: out of memory",
            FailureClass.OOM_WEIGHTS,
            "The GPU's memory does not hold the model",
            "Choose a larger card or a smaller model in [simulator].",
        ),
        rule(
            r"OSError: \[Errno 98\]",
            FailureClass.PORT,
            "The port is in use",
            "Set port = 0 in [server] for a free one, or end what listens there.",
        ),
        rule(
            r"was killed by signal 9",
            FailureClass.CRASH,
            "A process of the engine was killed",
            "Look for who sent the signal.",
        ),
    )

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Raise NotImplementedError: only what is simulated is launched so, by a plan of its own."""
        raise NotImplementedError

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        if not line.startswith("simulated "):
            return None
        text = line.partition(": ")[2]
        if text.startswith("loading "):
            return LogFact(stage=LOADING)
        if text.startswith("KV cache of "):
            return LogFact(stage=LOADING, kv_cache_tokens=int(text.split()[3]))
        return LogFact(stage=READY, progress=1.0) if text.startswith("ready at ") else None


class SimulatedLaunch(Launch):
    """`vramp simulate PROFILE`."""

    executable = (sys.executable,)

    def __init__(self, seen_as: Engine, log: Launch) -> None:
        """`log`: how the log is read of what the server is seen as."""
        self._seen_as = seen_as
        self._log = log
        self.stages = log.stages
        self.may_return_to = log.may_return_to

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `python -m tui simulate PROFILE ...`; a profile without a file is looked up by its name."""
        server = profile.server
        assert server is not None
        which = str(profile_path) if profile_path is not None else profile.name
        argv = [sys.executable, "-m", "tui", "simulate", which, "--host", server.host, "--port", str(port)]
        if self._seen_as is not VLLM:
            argv += ["--engine", self._seen_as.name]
        argv.append(f"--{ACCESS_LOG_FLAG}")
        from tui.profile.overrides import given_argument  # noqa: PLC0415 - load workers import this module

        if (length := given_argument(server, MAX_MODEL_LEN)) is not None:
            argv += [f"--{MAX_MODEL_LEN}", length]
        if _is_scaled(time_scale := os.environ.get(TIME_SCALE_VARIABLE, "")):
            argv += ["--time-scale", time_scale]
        return LaunchPlan(argv=(*argv, *server.extra_args), env=dict(server.env), base_url=base_url(server.host, port))

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        return self._log.read_log_line(line)

    def shown_log_line(self, line: str) -> str:
        """Return a line of the log as it is shown."""
        return self._log.shown_log_line(line)

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed, or None."""
        return self._log.diagnose(lines, started=started, exit_code=exit_code)

    def gpus_needed(self, server: ServerTable) -> int:
        """Return 0: its GPUs are simulated, too."""
        return 0


class SimulatedEngine(Engine):
    """A model of a server, seen as one of a serving system."""

    def __init__(self, seen_as: Engine, log: Launch | None) -> None:
        """`log`: how its log is read; None = there is little to be read."""
        self._seen_as = seen_as
        self.name = "simulated" if seen_as is VLLM else f"simulated-{seen_as.name}"
        self.title = f"simulated {seen_as.title or seen_as.name}"
        self.endpoints = seen_as.endpoints
        self.questions = seen_as.questions
        self.launch = SimulatedLaunch(seen_as, log or _PlainLaunch())

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return the request that the system would get."""
        return self._seen_as.request_shape(wish)

    def auth(self, profile: Profile) -> Auth:
        """Return what signs where a simulated server looks at signatures; it asks for no other proof."""
        auth = self._seen_as.auth(profile)
        if not auth.signer or auth.lacks_to_sign():
            return Auth()
        settings = auth.settings | {"region": auth.settings.get("region") or _ANY_REGION}
        return msgspec.structs.replace(auth, secret_headers=[], headers=[], settings=settings)


ENGINE = SimulatedEngine(VLLM, VLLM.launch)


def _is_scaled(time_scale: str) -> bool:
    try:
        return float(time_scale) != 1.0
    except ValueError:
        return False
