"""vLLM behind Ray Serve (`ray.serve.llm`). Known by Ray 2.60 with vLLM 0.32.

It answers as vLLM does, and refuses in words of its own. Its proxy is well whatever became of the engine
(`/-/healthz`), so it is asked for its models. The figures of its engines are with the agent of each node, on a port of
its own and seconds late: none are shown.
https://docs.ray.io/en/latest/serve/llm/
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.core.outcome import Outcome
from tui.engines.base import RequestShape, Wish
from tui.engines.engine import Engine
from tui.engines.parts import openai_requests, openai_stream
from tui.engines.parts.questions import OK, OpenAiQuestions, Question, healthy
from tui.engines.ray_serve.launch import RayServeLaunch

if TYPE_CHECKING:
    from tui.profile.schema import Profile

_NO_ENGINE = "Message: Internal Server Error (Request ID: "
"""What a replica says whose engine has died, until Ray has built another; a request's own fault has its own words."""


def outcome_of(status: int | None, text: str) -> Outcome:
    """Return what an error means."""
    return Outcome.ENGINE_DEAD if _NO_ENGINE in text else openai_stream.outcome_of(status, text)


DIALECT = replace(openai_stream.DIALECT, outcome_of=outcome_of)


class RayServeQuestions(OpenAiQuestions):
    """Its models."""

    def alive(self) -> Question[bool] | None:
        """Ask for the models, which only a replica that runs can tell."""
        return Question("/v1/models", healthy)


class RayServeEngine(Engine):
    """An OpenAI app of Ray Serve."""

    name = "ray-serve"
    title = "Ray Serve with vLLM"
    mark = Question("/-/healthz", lambda status, content: status == OK and content.strip() == b"success")
    questions = RayServeQuestions()
    launch = RayServeLaunch()

    def mistakes(self, profile: Profile) -> list[str]:
        """Return what is wrong in a profile: what the program that starts Serve cannot do, besides the usual."""
        server = profile.server
        if server is None:
            return []
        mistakes = super().mistakes(profile)
        if not Path(self.launch.command(server)[-1]).name.startswith("python"):
            mistakes.append(
                "server.executable: expected the Python of an environment that has Ray Serve and vLLM, e.g."
                ' ["/opt/llm/bin/python"]'
            )
        if server.container is not None and server.ray is None:
            mistakes.append("server.container: expected none: Ray Serve is launched as a program of this machine")
        if "data-parallel-size" in {name.lstrip("-").replace("_", "-") for name in server.args}:
            mistakes.append("server.args.data-parallel-size: expected replicas in [server.serve]")
        return mistakes

    def request_shape(self, wish: Wish) -> RequestShape:
        """Return vLLM's request: ids where possible, exactly as many tokens, usage on every event."""
        options = {"include_usage": True, "continuous_usage_stats": True}
        forced = {"ignore_eos": True}
        shape = openai_requests.request_shape(wish, token_ids=True, extra=forced, stream_options=options)
        return msgspec.structs.replace(shape, dialect=f"{__name__}:DIALECT")


ENGINE = RayServeEngine()
