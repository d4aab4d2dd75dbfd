"""How vLLM is started."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tui.engines.base import Diagnosis, LaunchPlan, LogFact
from tui.engines.engine import KnownFlags, Launch
from tui.engines.parts.addresses import base_url
from tui.engines.parts.arguments import words_of
from tui.engines.vllm import diagnosis, flags, log
from tui.engines.vllm.log import Stage

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Profile, ServerTable

# One line per request would be most of the log during a ramp. `disable-uvicorn-access-log = false` in the profile's
# args leaves the flag out for a vLLM that is too old to know it.
ACCESS_LOG_FLAG = "disable-uvicorn-access-log"
_PARALLEL_ARGS = ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size")
_USUAL_UTILIZATION = 0.9
# Where vLLM's processes have their sockets, and the file by which they find each other: it never removes either.
_SCRATCH = ("VLLM_RPC_BASE_PATH", "TMPDIR")


class VllmFlags(KnownFlags):
    """The flags of `vllm serve`."""

    def help_command(self, executable: Sequence[str]) -> list[str] | None:
        """Return what prints all flags."""
        return flags.help_command(executable)

    def flags_in(self, help_text: str) -> list[str]:
        """Return the flags that a help text names."""
        return flags.flags_in(help_text)

    def given(self, server: ServerTable) -> list[str]:
        """Return the arguments of the profile."""
        return [*arguments(server), *server.extra_args]

    def unknown(self, arguments: Iterable[str], known: Sequence[str]) -> list[str]:
        """Return a sentence for each flag that is not known."""
        return flags.unknown(arguments, known)

    def suggestions(self, line: str, known: Sequence[str]) -> str:
        """Return the nearest flags to those that argparse calls unknown."""
        return flags.suggestions(line, known)


class VllmLaunch(Launch):
    """`vllm serve`."""

    executable = ("vllm", "serve")
    stages = tuple(Stage)
    loading = Stage.LOADING_WEIGHTS
    may_return_to = frozenset({Stage.MEMORY_PROFILING, Stage.KV_CACHE, Stage.COMPILE, Stage.READY})
    known_flags: KnownFlags | None = VllmFlags()
    ray_arguments = ("--distributed-executor-backend", "ray")
    placed_before = Stage.LOADING_WEIGHTS

    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `vllm serve MODEL ...`. An executable that does not end in `serve` gets the model as `--model`."""
        server = profile.server
        assert server is not None
        command = self.command(server)
        model = [server.model] if command[-1] == "serve" else ["--model", server.model]
        argv = [*command, *model, "--host", server.host, "--port", str(port)]
        return LaunchPlan(
            argv=(*argv, *arguments(server), *server.extra_args),
            env=self.environment(server),
            base_url=base_url(server.host, port, tls=_has_certificate(server)),
            scratch_variables=_SCRATCH,
        )

    def environment(self, server: ServerTable) -> dict[str, str]:
        """Return no usage reports, the chosen GPUs, the profile's own variables."""
        return {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"} | super().environment(server)

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        return log.read_log_line(line)

    def shown_log_line(self, line: str) -> str:
        """Return a line without its first 60 columns, where nothing in them is unusual."""
        return log.without_head(line)

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed, or None."""
        return diagnosis.diagnose(lines, started=started, exit_code=exit_code)

    def gpus_needed(self, server: ServerTable) -> int:
        """Return how many GPUs it takes: by its list, or by its degrees of parallelism; at least 1, unless its
        arguments or its environment say that it runs on the CPU."""
        if str(server.args.get("device", "")) == "cpu" or any(name.startswith("VLLM_CPU_") for name in server.env):
            return 0
        degrees = 1
        for name in _PARALLEL_ARGS:
            degrees *= _degree(server, name)
        return max(degrees, max(server.gpus, default=-1) + 1)

    def vram_share(self, server: ServerTable) -> float:
        """Return what `--gpu-memory-utilization` says."""
        used = _argument(server, "gpu-memory-utilization", _USUAL_UTILIZATION)
        return float(used) if isinstance(used, int | float) else _USUAL_UTILIZATION

    def weight_copies(self, server: ServerTable) -> int:
        """Return the degree of data parallelism."""
        return _degree(server, "data-parallel-size")


def _argument(server: ServerTable, name: str, usual: float) -> object:
    return server.args.get(name, server.args.get(name.replace("-", "_"), usual))


def _degree(server: ServerTable, name: str) -> int:
    value = _argument(server, name, 1)
    return max(1, value) if isinstance(value, int) and not isinstance(value, bool) else 1


def arguments(server: ServerTable) -> list[str]:
    """Return the flags of `[server.args]`."""
    named: dict[str, bool | int | float | str] = {f"--{name.lstrip('-')}": value for name, value in server.args.items()}
    if f"--{ACCESS_LOG_FLAG}" not in {name.replace("_", "-") for name in named}:
        named[f"--{ACCESS_LOG_FLAG}"] = True
    return words_of(named)


def _has_certificate(server: ServerTable) -> bool:
    """Say whether it will speak TLS: uvicorn does when it is given a certificate or its key."""
    given = {name.lstrip("-").replace("_", "-") for name, value in server.args.items() if value not in (False, "")}
    given |= {word.split("=")[0].lstrip("-").replace("_", "-") for word in server.extra_args if word.startswith("--")}
    return not given.isdisjoint({"ssl-certfile", "ssl-keyfile"})
