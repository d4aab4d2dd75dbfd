"""What a serving system is to vramp: an `Engine`, of four parts that each have a default.

The load workers import the dialect of an engine by name, and with it the engine's module; so what an engine's module
imports is quick to import, and profiles are imported for the type checker only.
"""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tui.engines.base import PROCESS_UP, READY, Diagnosis, FailureClass, LaunchPlan, LogFact, RequestShape, Wish
from tui.engines.parts.auth import Auth, SecretHeader
from tui.engines.parts.diagnosis_rules import Rule, first_match
from tui.engines.parts.questions import Question, Questions
from tui.engines.parts.server_keys import places_of_keys

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile, ServerTable


_LESS_AT_ONCE = "Let fewer requests run at once, or shorter ones, or leave more memory beside weights and KV cache."


class KnownFlags(ABC):
    """The flags that an installed server knows, by its own help."""

    @abstractmethod
    def help_command(self, executable: Sequence[str]) -> list[str] | None:
        """Return what prints all flags, or None where nothing does."""

    @abstractmethod
    def flags_in(self, help_text: str) -> list[str]:
        """Return the flags that a help text names, each once; none for a text that is not this server's help."""

    @abstractmethod
    def given(self, server: ServerTable) -> list[str]:
        """Return the arguments that a profile gives."""

    @abstractmethod
    def unknown(self, arguments: Iterable[str], known: Sequence[str]) -> list[str]:
        """Return a sentence for each flag among `arguments` that is not among the known ones."""

    @abstractmethod
    def suggestions(self, line: str, known: Sequence[str]) -> str:
        """Return the nearest flags to those that a line of the log calls unknown, in words; or ""."""


class Launch(ABC):
    """How a server is started, and how its log is read."""

    executable: tuple[str, ...] = ()
    """The command, where the profile names none."""
    stages: tuple[str, ...] = (PROCESS_UP, READY)
    """The stages of a start, in their order, the first and the last included; not every start passes all of them."""
    loading: str = ""
    """The one in which the weights are read; empty = none is told apart."""
    may_return_to: frozenset[str] = frozenset()
    """Those that are entered again; workers log at different speeds, and no straggler's line takes a start back to
    another."""
    rules: tuple[Rule, ...] = ()
    """Why it fails, by lines of its log: tried in order, each on all lines."""
    known_flags: KnownFlags | None = None
    ray_arguments: tuple[str, ...] | None = None
    """What has it start its workers by Ray, a flag and its value; None = it cannot."""
    placed_before: str = ""
    """The stage that begins when workers are on their machines; empty = its own stages tell."""
    is_ray_serve: bool = False
    """Whether it is Ray Serve itself, of which a cluster can have one."""
    says_ready: bool = False
    """Whether only its log tells that it takes requests: what it can be asked is answered before."""
    mends_itself: bool = False
    """Whether it builds anew what of it has died: then no error in its log is its end."""
    prefix: re.Pattern[str] | None = None
    """What its logger puts before a message."""

    def command(self, server: ServerTable) -> list[str]:
        """Return the command that starts it, without arguments."""
        return list(server.executable or self.executable)

    @abstractmethod
    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return how to start the server of `profile` on `port`."""

    def environment(self, server: ServerTable) -> dict[str, str]:
        """Return what is added to the environment of the server: the chosen GPUs, and the profile's own variables."""
        if not server.gpus:
            return dict(server.env)
        # By NVML's order; CUDA's own default is the fastest card first.
        gpus = ",".join(str(gpu) for gpu in server.gpus)
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": gpus} | server.env

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the server's log tells, or None."""
        return None

    def shown_log_line(self, line: str) -> str:
        """Return a line of the log as it is shown: without what all lines have in common, which would fill a pane."""
        return line

    def message_of(self, line: str) -> str:
        """Return what a line of the log says, without what its logger puts before it."""
        found = self.prefix.match(line) if self.prefix is not None else None
        return line if found is None else line[found.end() :]

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed, judged by its log, or None for a log that shows no failure.

        `started`: whether it had been ready before; `exit_code`: as by subprocess, negative = signal; None = unknown.
        """
        found = first_match(lines, self.rules, self.message_of)
        if found is None:
            return None
        told = found[0].applied_to(found[2])
        if not started or told.failure not in (FailureClass.OOM_WEIGHTS, FailureClass.OOM_KV):
            return told
        # The same words as at the start, and another cause: it had what it needed then.
        return Diagnosis(FailureClass.OOM_RUNTIME, told.line, _LESS_AT_ONCE, "Memory gave out while requests ran")

    def gpus_needed(self, server: ServerTable) -> int:
        """Return how many GPUs the server takes: by its list; one where the profile names none."""
        return max(server.gpus, default=0) + 1

    def vram_share(self, server: ServerTable) -> float:
        """Return which part of a GPU's memory the server may take, 0 to 1."""
        return 1.0

    def elsewhere(self, server: ServerTable) -> str:
        """Return the host on which the server would run, where that is another than this one; else ""."""
        return ""

    def weight_copies(self, server: ServerTable) -> int:
        """Return how often its weights lie on all GPUs together."""
        return 1


class Engine(ABC):
    """One serving system."""

    name: str
    """As profiles write it."""
    title: str = ""
    """As people write it; "" = the name."""
    endpoints: tuple[str, ...] = ("completions", "chat")
    """Which of the two ways to ask it has."""
    mark: Question[bool] | None = None
    """What only a server of this system answers with yes; None = nothing tells it from others."""
    seen: str = ""
    """The newest version that it is known by; "" = its versions are not told."""
    questions: Questions = Questions()
    """What can be asked of a server besides requests."""
    launch: Launch | None = None
    """None = it is attached to only."""
    key_variable: str | None = None
    """The environment variable by which a server that vramp launches is told its API key, if it is."""
    key_flags: frozenset[str] = frozenset({"api-key"})
    """The flags that would give it another one, without dashes before them."""

    @abstractmethod
    def request_shape(self, wish: Wish) -> RequestShape:
        """Return the request that is wished for."""

    @property
    def ready(self) -> Question[bool] | None:
        """What says that a launched server takes requests; None = that it accepts connections."""
        return self.questions.alive()

    def mistakes(self, profile: Profile) -> list[str]:
        """Return what this system finds wrong in a profile, a line each: "PLACE: found X, expected Y".

        By default a key that the server gets and our own requests would lack, be it "EMPTY", and a cluster that it
        cannot run on.
        """
        if profile.server is None:
            return []
        mistakes = _mistakes_over_ray(self, profile.server)
        if profile.server.serve is not None and not (self.launch is not None and self.launch.is_ray_serve):
            mistakes.append('server.serve: expected none: it is for engine = "ray-serve"')
        if self.key_variable is None:
            return mistakes
        return mistakes + [
            f"{place}: found a key for requests, expected it in the environment variable {self.key_variable}, which"
            f" {self.title or self.name} reads as vramp does"
            for place in places_of_keys(profile.server, self.key_flags, self.key_variable)
        ]

    def auth(self, profile: Profile) -> Auth:
        """Return what requests prove themselves by: a bearer's key, and the headers of the profile."""
        if profile.attach is None:
            variable = self.key_variable if self.key_variable and os.environ.get(self.key_variable) else None
            return Auth(_bearer(variable))
        secret, plain = _bearer(profile.attach.api_key_env), []
        for name, value in profile.attach.headers.items():
            if isinstance(value, str):
                plain.append((name, value))
            else:
                secret.append(SecretHeader(name, value.env))
        return Auth(secret, plain)


def _mistakes_over_ray(engine: Engine, server: ServerTable) -> list[str]:
    if server.ray is None:
        return []
    if engine.launch is None or engine.launch.ray_arguments is None:
        return [f"server.ray: expected none: {engine.title or engine.name} is launched on this machine alone"]
    mistakes = []
    if server.gpus:
        mistakes.append("server.gpus: expected none beside server.ray: which GPUs of which machine is for Ray to say")
    if server.container is not None:
        mistakes.append("server.container: expected none beside server.ray: on each node the cluster's own is used")
    return mistakes


def _bearer(variable: str | None) -> list[SecretHeader]:
    return [SecretHeader("Authorization", variable, "Bearer ")] if variable else []
