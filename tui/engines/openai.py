"""Any OpenAI-compatible server, to attach to. What only some have (a tokenizer, metrics) is asked for, and may lack."""

from __future__ import annotations

from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.vllm.questions import VllmQuestions


class OpenAiEngine(Engine):
    """A server that runs already. Its answers may end early, since it is not told to ignore the end token."""

    name = "openai"
    title = "OpenAI-compatible"
    # Many such servers are a vLLM behind a gateway; those that are not do not answer.
    questions = VllmQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a plain streaming request with a text as prompt and usage at its end."""
        return openai_requests.request_shape(wish, token_ids=False, extra={}, stream_options={"include_usage": True})


ENGINE = OpenAiEngine()
