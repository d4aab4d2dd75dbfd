"""A server in a container: any engine's launch, by the command line of docker, podman or apptainer. Pure, but for the
look at where a daemon is.

The runtime's command stays in the foreground, so its output is the server's log, and its end the server's end. The
container may outlive it, for docker's is no child of it but of a daemon: the plan says how it is found and removed.
Variables are passed by name alone (`--env NAME`): the runtime reads their values from its own environment, so that
none is on a command line.
https://docs.docker.com/reference/cli/docker/container/run/
https://docs.podman.io/en/latest/markdown/podman-run.1.html
https://apptainer.org/docs/user/latest/cli/apptainer_exec.html
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tui.engines.base import Container, Diagnosis, FailureClass, LaunchPlan, LogFact
from tui.engines.engine import Launch
from tui.engines.parts.container_daemon import other_host
from tui.engines.parts.diagnosis_rules import first_match, rule

if TYPE_CHECKING:
    from tui.profile.container_table import ContainerTable
    from tui.profile.schema import Profile, ServerTable

_ALL_GPUS_SEEN = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")
"""Without meaning in a container that has the chosen GPUs only, and numbers them from 0."""
_ALWAYS_MOUNTED = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - what apptainer mounts, not a place to write to

RULES = (
    rule(
        r"(?i)Cannot connect to the Docker daemon|Is the docker daemon running|unable to connect to Podman socket"
        r"|error during connect: .*docker",
        FailureClass.CONTAINER_RUNTIME,
        "The container runtime's daemon does not run",
        'Start it (systemctl start docker), or use a runtime without one: runtime = "podman" in [server.container].',
    ),
    rule(
        r"context \"[^\"]{1,200}\": context not found|[Cc]urrent context \"[^\"]{1,200}\" is not found",
        FailureClass.CONTAINER_RUNTIME,
        "There is no such docker context",
        "See docker context ls; DOCKER_CONTEXT or docker context use says which is taken.",
    ),
    rule(
        r"(?i)permission denied while trying to connect to the Docker|dial unix \S+: connect: permission denied",
        FailureClass.CONTAINER_RUNTIME,
        "You may not use the container runtime",
        "Have yourself added to the group docker, or use a runtime that needs no rights: podman, apptainer.",
    ),
    rule(
        r"(?i)could not select device driver .{0,20}with capabilities: \[\[gpu|unresolvable CDI devices|"
        r"nvidia-container-cli: |failed to (?:inject|discover) .{0,20}(?:CDI|GPU)|no NVIDIA GPU device is present",
        FailureClass.CONTAINER_RUNTIME,
        "The container runtime cannot hand over GPUs",
        "Install and set up the NVIDIA Container Toolkit (podman: nvidia-ctk cdi generate), or set gpus = false.",
    ),
    rule(
        r"(?i)pull access denied for \S"
        r"|manifest (?:for \S{1,300} not found|unknown)|No such image: |repository \S{1,300} not found"
        r"|Error: initializing source docker://|did not resolve to an alias and no unqualified-search registries"
        r"|failed to resolve reference|Error response from daemon: (?:Get \"https?://|failed to (?:pull|resolve))"
        r"|: image not known|FATAL: .{0,60}(?:could not open image|failed to get checksum"
        r"|unable to pull|while making image)|FATAL: .{0,300}\.sif: no such file",
        FailureClass.IMAGE_MISSING,
        "The image is not here and cannot be had",
        "Check image in [server.container]; log in to its registry, or pull it beforehand where the network allows.",
    ),
    rule(
        r"(?i)bind source path does not exist|Error: statfs (?P<path>\S{1,300}): no such file or directory"
        r"|mount source .{1,300} doesn't exist",
        FailureClass.BAD_VALUE,
        "A folder that the container is to be given does not exist",
        "Make it, or correct volumes in [server.container].",
    ),
    rule(
        r"(?i)exec: \"(?P<name>[^\"]{1,200})\": (?:executable file not found|stat )"
        r"|FATAL: .{0,40}\"(?P<program>[^\"]{1,200})\": executable file not found",
        FailureClass.EXECUTABLE,
        "The image does not have the server's program",
        'Name it as the image does: executable in [server]; or entrypoint = "server" where the image starts it itself.',
    ),
    rule(
        r"^(?:docker: |Error: )?(?:unknown (?:shorthand )?flag|invalid argument \"[^\"]{0,200}\" for)"
        r"|^See 'docker run --help'|^docker: invalid ",
        FailureClass.BAD_FLAG,
        "The container runtime does not know an argument",
        "Correct extra_args in [server.container].",
    ),
)


class ContainedLaunch(Launch):
    """Another launch, in a container."""

    def __init__(self, inner: Launch, table: ContainerTable, key_variable: str | None) -> None:
        """`key_variable`: by which the server is told its API key, where it is set."""
        self._inner = inner
        self._table = table
        self._key_variable = key_variable
        self.executable = (str(table.runtime),)
        self.stages = inner.stages
        self.loading = inner.loading
        self.may_return_to = inner.may_return_to

    def command(self, server: ServerTable) -> list[str]:
        """Return the runtime: what is to be installed here."""
        return [str(self._table.runtime)]

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return the inner plan in a container of its own name, on the host's network."""
        server = profile.server
        assert server is not None
        plan = self._inner.plan(profile, port, profile_path)
        command = list(plan.argv)
        if self._table.entrypoint == "server":
            command = command[len(self._inner.command(server)) :]
        if self._table.runtime == "apptainer":
            return self._in_apptainer(plan, command)
        return self._in_docker(plan, command, server)

    def _in_docker(self, plan: LaunchPlan, command: list[str], server: ServerTable) -> LaunchPlan:
        table, runtime, name = self._table, str(self._table.runtime), f"vramp-{secrets.token_hex(6)}"
        env = dict(plan.env)
        if table.gpus:
            env = {key: value for key, value in env.items() if key not in _ALL_GPUS_SEEN or key in server.env}
        argv = [runtime, "run", "--rm", "--name", name, "--network=host"]
        argv += ["--ipc=host"] if table.shm_size is None else ["--shm-size", table.shm_size]
        argv += self._gpu_args(server.gpus)
        for volume in table.volumes:
            argv += ["--volume", str(Path(volume).expanduser())]
        for variable in dict.fromkeys([*env, *self._passed()]):
            argv += ["--env", variable]
        if table.entrypoint == "replaced":
            argv += ["--entrypoint", command.pop(0)]
        at_once = ["--time", "0"] if runtime == "podman" else []  # podman waits 10 s for it to end, docker does not
        return replace(
            plan,
            argv=(*argv, *table.extra_args, table.image, *command),
            env=env,
            scratch_variables=(),  # its temporary files go with the container
            container=Container(
                name=name,
                remove=(runtime, "rm", "--force", *at_once, name),
                inspect=(runtime, "inspect", "--type", "container", "--format", "{{.Id}}", name),
            ),
        )

    def _in_apptainer(self, plan: LaunchPlan, command: list[str]) -> LaunchPlan:
        """Return a plan whose container is a child like any other: it has the host's environment and processes."""
        table = self._table
        argv = ["apptainer", "exec" if table.entrypoint == "replaced" else "run", *(["--nv"] if table.gpus else [])]
        for volume in table.volumes:
            argv += ["--bind", str(Path(volume).expanduser())]
        temporary = Path(tempfile.gettempdir())
        seen_within = any(temporary.is_relative_to(place) for place in _ALWAYS_MOUNTED)
        return replace(
            plan,
            argv=(*argv, *table.extra_args, table.image, *command),
            scratch_variables=plan.scratch_variables if seen_within else (),
        )

    def _gpu_args(self, gpus: Sequence[int]) -> list[str]:
        if not self._table.gpus:
            return []
        if self._table.runtime == "podman":
            return [part for gpu in gpus or ("all",) for part in ("--device", f"nvidia.com/gpu={gpu}")]
        # The value is read as CSV, so it has quotes.
        return ["--gpus", f'"device={",".join(map(str, gpus))}"' if gpus else "all"]

    def _passed(self) -> list[str]:
        names = [*self._table.env, *([self._key_variable] if self._key_variable else [])]
        return [name for name in names if name in os.environ]

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        return self._inner.read_log_line(line)

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why it failed: what the runtime says before the server, what the server's own log says after."""
        if not started and (found := diagnosis_by_runtime(lines)):
            return found
        return self._inner.diagnose(lines, started=started, exit_code=exit_code)

    def gpus_needed(self, server: ServerTable) -> int:
        """Return how many GPUs the server takes; none where the container gets none."""
        return self._inner.gpus_needed(server) if self._table.gpus else 0

    def vram_share(self, server: ServerTable) -> float:
        """Return which part of a GPU's memory the server may take, 0 to 1."""
        return self._inner.vram_share(server)

    def elsewhere(self, server: ServerTable) -> str:
        """Return the host of the runtime's daemon, where it is another than this one; else ""."""
        return other_host(str(self._table.runtime), {**os.environ, **server.env})

    def weight_copies(self, server: ServerTable) -> int:
        """Return how often its weights lie on all GPUs together."""
        return self._inner.weight_copies(server)


def diagnosis_by_runtime(lines: Sequence[str]) -> Diagnosis | None:
    """Return why a container runtime refused to start a container, by its output; None where it did not."""
    found = first_match(lines, RULES, lambda line: line)
    return found[0].applied_to(found[2]) if found else None
