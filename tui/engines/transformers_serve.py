"""`transformers serve`, to attach to: chat only, one request after the other unless it batches. Known by its sources.

Its usage comes in its last chunk by itself, without a mark behind it; a field that it does not know it answers with
422. Its health is always well.
https://huggingface.co/docs/transformers/main/serving
"""

from __future__ import annotations

from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests
from tui.engines.parts.questions import OpenAiQuestions


class TransformersServeEngine(Engine):
    """`transformers serve`. Its answers may end early, since nothing makes it ignore the end token."""

    name = "transformers-serve"
    title = "transformers serve"
    endpoints = ("chat",)
    questions = OpenAiQuestions()

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return a plain streaming chat request, without options that it would refuse."""
        return openai_requests.request_shape(wish, token_ids=False, extra={}, stream_options={})


ENGINE = TransformersServeEngine()
