"""`transformers serve`, by its sources: chat only, usage with the finish reason, no mark behind it, 422 for much."""

from __future__ import annotations

import json
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator.dialect import Aftermath, json_response, sse
from tui.simulator.gauges import Gauges
from tui.simulator.live import LiveEngine
from tui.simulator.log import ServerLog
from tui.simulator.openai_api import Flavour, OpenAiDialect
from tui.simulator.plain_log import PlainLog
from tui.simulator.requests import Refused

_FIELDS = frozenset({"model", "messages", "stream", "max_tokens", "temperature", "top_p", "seed", "stop"})


class TransformersFlavour(Flavour):
    """Its words."""

    owner = "transformers"
    mark = b""
    usage_with_reason = True
    fields = _FIELDS

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
    completions = False
    aftermath = Aftermath.STAYS

    def log(self, cards: int) -> ServerLog:
        """Return what writes its log."""
        return TransformersLog(cards)

    def pages(self, engine: LiveEngine, gauges: Gauges) -> Sequence[Route]:
        """Return what else it answers."""

        async def health(_: Request) -> Response:
            return json_response({"status": "ok"})

        return [*super().pages(engine, gauges), Route("/health", health)]


DIALECT = TransformersDialect
