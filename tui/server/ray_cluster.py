"""The Ray cluster over which a server is launched: what it has free, and what of a launch is on it.

It is asked by a short program in the server's own environment (`ray_program`), for only the same version of Ray can.
Slow (a second or two): not to be called in an event loop.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.core.errors import VrampError
from tui.core.safe_text import safe_line
from tui.engines.over_ray import MARK

ASK_TIMEOUT_S = 30.0
_PROGRAM = Path(__file__).with_name("ray_program.py")
_ANSWER_BYTES = 4 * 1024 * 1024
_SHEBANG_BYTES = 512


class ClusterUnknown(VrampError):
    """The cluster cannot be asked; the message says why."""


class Node(msgspec.Struct, frozen=True):
    """A machine of the cluster."""

    node: str
    """Ray's own number of it."""
    ip: str
    gpus: float = 0.0
    free_gpus: float = 0.0


class Actor(msgspec.Struct, frozen=True):
    """A process on one of its nodes."""

    name: str
    node: str = ""
    ip: str = ""
    pid: int = 0
    state: str = ""


class Bundle(msgspec.Struct, frozen=True):
    """GPUs of one node that are held together."""

    node: str
    gpus: float = 0.0


class Group(msgspec.Struct, frozen=True):
    """A placement group: GPUs of several nodes."""

    group: str
    gpus: list[Bundle] = []


class Program(msgspec.Struct, frozen=True):
    """A process that has asked the cluster for something and is connected to it."""

    ip: str = ""
    pid: int = 0


class ClusterState(msgspec.Struct, frozen=True):
    """What a cluster has, and what of one launch is on it."""

    nodes: list[Node] = []
    programs: list[Program] = []
    actors: list[Actor] = []
    groups: list[Group] = []
    address: str = ""
    serves: bool = False
    """Whether there is a Ray Serve on it, whoever's."""
    error: str = ""

    @property
    def free_gpus(self) -> int:
        """Return how many whole GPUs nobody holds."""
        return sum(int(node.free_gpus) for node in self.nodes)

    @property
    def gpus(self) -> int:
        """Return how many GPUs there are."""
        return sum(int(node.gpus) for node in self.nodes)

    @property
    def holds_nothing(self) -> bool:
        """Say whether nothing of the launch is there any more."""
        return not self.programs and not self.actors and not self.groups

    def name_of(self, node: str) -> str:
        """Return what a node is called: its address, with its number too where two have the same."""
        found = next((each for each in self.nodes if each.node == node), None)
        if found is None:
            return f"node {safe_line(node[:8])}"
        ip = safe_line(found.ip, limit=64)
        alone = sum(each.ip == found.ip for each in self.nodes) == 1
        return ip if alone else f"{ip} ({safe_line(node[:6])})"

    @property
    def taken(self) -> dict[str, int]:
        """Return how many GPUs of each node the launch holds, by the node's name."""
        counts: Counter[str] = Counter()
        for group in self.groups:
            for bundle in group.gpus:
                if bundle.node:
                    counts[self.name_of(bundle.node)] += int(bundle.gpus)
        return dict(counts)

    @property
    def taken_in_words(self) -> str:
        """Return the same, e.g. "8 GPUs of 10.0.0.1, 8 of 10.0.0.2"."""
        return ", ".join(
            f"{gpus}{(' GPU' if gpus == 1 else ' GPUs') if place == 0 else ''} of {name}"
            for place, (name, gpus) in enumerate(self.taken.items())
        )

    @property
    def workers(self) -> dict[str, list[int]]:
        """Return the processes of the launch by the addresses of their nodes."""
        found: dict[str, list[int]] = {}
        for actor in self.actors:
            if actor.pid and actor.ip:
                found.setdefault(actor.ip, []).append(actor.pid)
        return found

    @property
    def left_in_words(self) -> str:
        """Return what of the launch is there, e.g. "RayWorkerProc on 10.0.0.2 (pid 77)"."""
        actors = [
            f"{safe_line(actor.name, limit=80)} on {self.name_of(actor.node)} (pid {actor.pid})"
            for actor in self.actors
        ]
        held = [f"a placement group with {self.taken_in_words}"] if self.groups else []
        programs = [f"a program of it on {safe_line(one.ip, limit=64)} (pid {one.pid})" for one in self.programs]
        return ", ".join([*programs, *actors, *held])


class RayCluster:
    """One cluster, asked with the Python of one server's command."""

    def __init__(self, command: Sequence[str], address: str, env: dict[str, str] | None = None) -> None:
        """`command`: what starts the server; `env`: what it gets beside this process's environment."""
        self._command = list(command)
        self._address = address
        self._env = env or {}

    def state(self, mark: str = "") -> ClusterState:
        """Return its state, with what bears the mark. Raises ClusterUnknown."""
        return self._ask("state", mark)

    def release(self, mark: str) -> ClusterState:
        """Take away what bears the mark, and return its state. Raises ClusterUnknown."""
        return self._ask("release", mark)

    def _ask(self, what: str, mark: str) -> ClusterState:
        python = python_of(self._command)
        if python is None:
            raise ClusterUnknown(f"{self._command[0]} is no program of a Python environment, whose Ray could be asked")
        env = {**os.environ, **self._env}
        env.pop("RAY_JOB_CONFIG_JSON_ENV_VAR", None)
        try:
            process = subprocess.Popen(
                [python, str(_PROGRAM), what, self._address, MARK, mark or "-"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            raise ClusterUnknown(f"{python}: {error.strerror or error}") from None
        try:
            answer, _ = process.communicate(timeout=ASK_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ClusterUnknown(f"the Ray cluster did not answer within {ASK_TIMEOUT_S:.0f} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        return _read(answer[:_ANSWER_BYTES])


def python_of(command: Sequence[str]) -> str | None:
    """Return the Python that runs a command: itself, or what its first lines name; None where there is none."""
    found = shutil.which(command[0]) if command else None
    if found is None:
        return None
    if Path(found).name.startswith("python"):
        return found
    try:
        with Path(found).open("rb") as file:
            head = file.read(_SHEBANG_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return None
    if not head or not head[0].startswith("#!"):
        return None
    words = head[0][2:].split()
    if words and Path(words[0]).name == "env" and len(words) > 1:
        return shutil.which(words[-1])
    if words and Path(words[0]).name == "sh" and len(head) > 1 and head[1].startswith("'''exec' "):
        # As pip writes it where the path of the environment is long or has spaces.
        words = [head[1].removeprefix("'''exec' ").split(' "$0"')[0].strip('"')]
    return words[0] if words and Path(words[0]).name.startswith("python") and Path(words[0]).exists() else None


def _read(answer: bytes) -> ClusterState:
    try:
        state = msgspec.json.decode(answer, type=ClusterState)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ClusterUnknown("what asks the Ray cluster gave no answer") from None
    if state.error:
        raise ClusterUnknown(safe_line(state.error, limit=400))
    return state
