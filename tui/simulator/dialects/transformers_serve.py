"""`transformers serve` 5.24: usage with the finish reason, no mark behind it, 422 for what it does not know.

A real one takes prompts of any length; this one has the model's limit.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import requests
from tui.simulator.dialect import Aftermath, json_response, sse
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.openai_api import Flavour, OpenAiDialect
from tui.simulator.plain_log import PlainLog
from tui.simulator.requests import Refused

_FIELDS = frozenset(
    {"model", "messages", "prompt", "stream", "max_tokens", "temperature", "top_p", "seed", "stop", "generation_config"}
)
_PATHS = ("/load_model", "/reset", "/v1/chat/completions", "/v1/completions", "/v1/models", "/health")


class _Forced(msgspec.Struct):
    generation_config: str = "{}"


class TransformersFlavour(Flavour):
    """Its words."""

    owner = "transformers"
    mark = b""
    usage_with_reason = True
    fields = _FIELDS

    def forces(self, body: bytes) -> bool:
        """Say whether the library's own settings name an end token that is none."""
        settings = requests.parse(requests.parse(body, _Forced).generation_config.encode(), dict[str, Any])
        return settings.get("eos_token_id") == -1

    def unknown_field(self, name: str) -> Refused:
        """Return the refusal of a field that is not known."""
        return Refused(422, f"Unexpected fields in the request: {{'{name}'}}")

    def error(self, refused: Refused) -> Response:
        """Return the answer to a request that is refused."""
        return json_response({"detail": str(refused)}, refused.status)

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return its error within a stream: the bare words."""
        return (sse(json.dumps({"error": self.died(cause)}).encode()),)


class TransformersLog(PlainLog):
    """Its log."""

    name = "transformers serve"


class TransformersDialect(OpenAiDialect):
    """Its process and its health outlive whatever happens to a model."""

    flavour = TransformersFlavour()
    aftermath = Aftermath.STAYS
    refuses = False

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return TransformersLog(cards)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return json_response({"status": "ok"})

        async def described(_: Request) -> Response:
            return json_response({"openapi": "3.1.0", "paths": {path: {} for path in _PATHS}})

        return [*super().pages(engine, gauges), Route("/health", health), Route("/openapi.json", described)]


DIALECT = TransformersDialect
