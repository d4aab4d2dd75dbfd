"""vLLM: `vllm serve`, its requests, its log, its metrics. Known by 0.32.0; flags and metrics of older ones work."""

from __future__ import annotations

from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.parts.questions import Question, owned_by
from tui.engines.vllm.launch import VllmLaunch
from tui.engines.vllm.questions import VllmQuestions


class VllmEngine(Engine):
    """vLLM's OpenAI-compatible server."""

    name = "vllm"
    title = "vLLM"
    mark: Question[bool] | None = owned_by("vllm")
    seen = "0.32.0"
    questions = VllmQuestions()
    launch = VllmLaunch()
    key_variable = "VLLM_API_KEY"

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return the request: ids as prompt where possible, exactly as many tokens, usage on every event.

        Under load vLLM packs several tokens into one event, so only the running usage tells how many came when.
        """
        return openai_requests.request_shape(
            wish,
            token_ids=True,
            extra={"ignore_eos": True},
            stream_options={"include_usage": True, "continuous_usage_stats": True},
        )


ENGINE = VllmEngine()
