"""What a vLLM can be asked."""

from __future__ import annotations

from tui.engines.base import ServerMetrics
from tui.engines.parts.questions import Content, OpenAiQuestions, Question, healthy, object_in, tokens_in
from tui.engines.vllm.metrics import read_metrics


class VllmQuestions(OpenAiQuestions):
    """Its models with their limits, its version, its tokenizer, its Prometheus text."""

    def alive(self) -> Question[bool] | None:
        """Ask for its health; 503 once its engine is dead."""
        return Question("/health", healthy)

    def version(self) -> Question[str] | None:
        """Ask for its version."""
        return Question("/version", _version_in)

    def tokenize(self, model: str, content: Content) -> Question[list[int]] | None:
        """Ask for token ids."""
        key = "prompt" if isinstance(content, str) else "messages"
        return Question("/tokenize", tokens_in, {"model": model, key: content})

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures."""
        return Question("/metrics", lambda status, content: _metrics_in(status, content))


def _version_in(status: int, content: bytes) -> str | None:
    version = object_in(status, content).get("version")
    return version if isinstance(version, str) else None


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    return read_metrics(content.decode(errors="replace")) if status == 200 else None
