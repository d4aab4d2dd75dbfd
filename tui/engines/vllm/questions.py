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

    def arguments(self) -> Question[dict[str, str]] | None:
        """Ask for its configuration, which it tells where VLLM_SERVER_DEV_MODE is set."""
        return Question("/server_info?config_format=json", _arguments_in)

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for its own figures."""
        return Question("/metrics", lambda status, content: _metrics_in(status, content))


def _version_in(status: int, content: bytes) -> str | None:
    version = object_in(status, content).get("version")
    return version if isinstance(version, str) else None


# Of the answer to /server_info: section and name of a value, and its flag.
_CONFIGURED = (
    ("scheduler_config", "max_num_seqs", "max-num-seqs"),
    ("scheduler_config", "max_num_batched_tokens", "max-num-batched-tokens"),
    ("parallel_config", "data_parallel_size", "data-parallel-size"),
    ("parallel_config", "tensor_parallel_size", "tensor-parallel-size"),
)


def _arguments_in(status: int, content: bytes) -> dict[str, str] | None:
    config = object_in(status, content).get("vllm_config")
    if not isinstance(config, dict):
        return None
    sections = {section: config.get(section) for section, _, _ in _CONFIGURED}
    told = {
        flag: values.get(name) for section, name, flag in _CONFIGURED if isinstance(values := sections[section], dict)
    }
    return {flag: str(value) for flag, value in told.items() if type(value) is int and value > 0}


def _metrics_in(status: int, content: bytes) -> ServerMetrics | None:
    return read_metrics(content.decode(errors="replace")) if status == 200 else None
