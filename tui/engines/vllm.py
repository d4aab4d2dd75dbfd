"""vLLM: `vllm serve`, its requests, its log, its metrics. Known by 0.32.0; flags and metrics of older ones work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.engines import openai_requests, vllm_diagnosis, vllm_log, vllm_metrics
from tui.engines.base import Diagnosis, LaunchPlan, LogFact, RequestShape, ServerMetrics

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Endpoint, Profile, ServerTable

# One line per request would be most of the log during a ramp. `disable-uvicorn-access-log = false` in the profile's
# args leaves the flag out for a vLLM that is too old to know it.
ACCESS_LOG_FLAG = "disable-uvicorn-access-log"
# The order of NVML's indexes; CUDA's own default is the fastest card first.
_PCI_ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}

# Where vLLM's processes have their sockets, and the file by which they find each other: it never removes either.
_SCRATCH = ("VLLM_RPC_BASE_PATH", "TMPDIR")


class VllmEngine:
    """vLLM's OpenAI-compatible server."""

    name = "vllm"
    health_path = "/health"
    metrics_path: str | None = "/metrics"

    def launch_plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Return `vllm serve MODEL ...`. An executable that does not end in `serve` gets the model as `--model`."""
        server = profile.server
        assert server is not None
        model = [server.model] if server.executable[-1] == "serve" else ["--model", server.model]
        argv = [*server.executable, *model, "--host", server.host, "--port", str(port)]
        return LaunchPlan(
            argv=(*argv, *arguments(server), *server.extra_args),
            env=environment(server),
            base_url=base_url(server, port),
            scratch_variables=_SCRATCH,
        )

    def read_log_line(self, line: str) -> LogFact | None:
        """Return what a line of the log tells, or None."""
        return vllm_log.read_log_line(line)

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return why the server failed, or None."""
        return vllm_diagnosis.diagnose(lines, started=started, exit_code=exit_code)

    def request_shape(
        self, *, model: str, endpoint: Endpoint, prompt_tokens: int, output_tokens: int, prompt_tokens_overhead: int
    ) -> RequestShape:
        """Return the request: ids as prompt where possible, exactly `output_tokens` tokens, usage on every event.

        Under load vLLM packs several tokens into one event, so only the running usage tells how many came when.
        """
        return openai_requests.request_shape(
            model=model,
            endpoint=endpoint,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prompt_tokens_overhead=prompt_tokens_overhead,
            token_ids=True,
            extra={"ignore_eos": True},
            stream_options={"include_usage": True, "continuous_usage_stats": True},
        )

    def read_metrics(self, text: str) -> ServerMetrics:
        """Return the server's own figures. Never raises."""
        return vllm_metrics.read_metrics(text)


def arguments(server: ServerTable) -> list[str]:
    """Return the flags of `[server.args]` in the profile's order: true = a bare flag, false = left out."""
    named = {name.lstrip("-"): value for name, value in server.args.items()}
    if ACCESS_LOG_FLAG not in {name.replace("_", "-") for name in named}:
        named[ACCESS_LOG_FLAG] = True
    flags: list[str] = []
    for name, value in named.items():
        if value is True:
            flags.append(f"--{name}")
        elif value is not False:
            # A value that begins with a dash would be read as a flag.
            text = str(value)
            flags += [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]
    return flags


def environment(server: ServerTable) -> dict[str, str]:
    """Return what is added to the environment: no usage reports, the chosen GPUs, the profile's own variables."""
    env = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if server.gpus:
        env |= _PCI_ORDER | {"CUDA_VISIBLE_DEVICES": ",".join(str(gpu) for gpu in server.gpus)}
    return env | server.env


def base_url(server: ServerTable, port: int) -> str:
    """Return where to reach a server that listens on `port`; every-address hosts are reached by loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(server.host, server.host)  # noqa: S104 - not bound
    return f"http{'s' if _has_certificate(server) else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def _has_certificate(server: ServerTable) -> bool:
    """Say whether it will speak TLS: uvicorn does when it is given a certificate or its key."""
    flags = {name.lstrip("-").replace("_", "-") for name, value in server.args.items() if value not in (False, "")}
    flags |= {word.split("=")[0].lstrip("-").replace("_", "-") for word in server.extra_args if word.startswith("--")}
    return not flags.isdisjoint({"ssl-certfile", "ssl-keyfile"})
