"""Any OpenAI-compatible server, to attach to: nothing is asked of it that only vLLM knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.core.errors import UsageError
from tui.engines import openai_requests
from tui.engines.base import Diagnosis, LaunchPlan, LogFact, RequestShape, ServerMetrics
from tui.engines.vllm_metrics import read_metrics

if TYPE_CHECKING:
    from pathlib import Path

    from tui.profile.schema import Endpoint, Profile


class OpenAiEngine:
    """A server that runs already. Its answers may end early, since it is not told to ignore the end token."""

    name = "openai"
    health_path = "/health"
    metrics_path: str | None = "/metrics"

    def launch_plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        """Raise UsageError: how to launch it is not known."""
        raise UsageError(f'{profile.name}: engine = "openai" is attached to, not launched; use a table [attach]')

    def read_log_line(self, line: str) -> LogFact | None:
        """Return None: its log is not ours to read."""
        return None

    def diagnose(self, lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
        """Return None: its log is not ours to read."""
        return None

    def request_shape(
        self, *, model: str, endpoint: Endpoint, prompt_tokens: int, output_tokens: int, prompt_tokens_overhead: int
    ) -> RequestShape:
        """Return a plain streaming request with a text as prompt and usage at its end."""
        return openai_requests.request_shape(
            model=model,
            endpoint=endpoint,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prompt_tokens_overhead=prompt_tokens_overhead,
            token_ids=False,
            extra={},
            stream_options={"include_usage": True},
        )

    def read_metrics(self, text: str) -> ServerMetrics:
        """Return what it tells under vLLM's names, for many such servers are a vLLM behind a gateway."""
        return read_metrics(text)
