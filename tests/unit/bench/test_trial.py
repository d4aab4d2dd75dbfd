"""What servers of different tastes make of one and the same request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tui.bench.trial import MOST_TRIES, Trial, try_request
from tui.engines.base import RequestShape, Wish
from tui.engines.catalogue import engine_for
from tui.load.prompts import TEXT, TOKEN_IDS, pack_token_ids
from tui.load.wire import PromptSource
from tui.profile.schema import Endpoint
from tui.server.client import NoAnswer, ServerResponse

Body = dict[str, Any]
Server = Callable[[Body], tuple[int, object]]


class Asked:
    """Tries one server out and keeps what it was sent."""

    def __init__(self, server: Server, engine: str = "openai", endpoint: Endpoint = Endpoint.CHAT) -> None:
        self._server = server
        self._engine = engine_for(engine)
        self._endpoint = endpoint
        self.bodies: list[Body] = []

    async def trial(self, wanted: Mapping[str, object] = {}) -> Trial:
        ids = self._engine.name == "vllm" and self._endpoint is Endpoint.COMPLETIONS
        source = PromptSource(TOKEN_IDS, pack_token_ids(range(9))) if ids else PromptSource(TEXT, words=["a", "b"])
        return await try_request(self._shape, source, wanted, self._post)

    def _shape(self, body: Mapping[str, object]) -> RequestShape:
        return self._engine.request_shape(Wish("m", self._endpoint, 4, 8, body=body))

    async def _post(self, shape: RequestShape, body: bytes) -> ServerResponse:
        self.bodies.append(json.loads(body))
        status, answer = self._server(self.bodies[-1])
        return ServerResponse(status, answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def refusing(field: str, status: int, answer: object) -> Server:
    return lambda body: (status, answer) if field in body else (200, b"")


MISTRAL = {
    "object": "error",
    "message": {"detail": [{"loc": ["body", "stream_options", "include_usage"]}]},
}
OPENAI = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        "param": "max_tokens",
    }
}
WAYS_TO_SAY: list[tuple[str, int, object]] = [
    ("stream_options", 422, MISTRAL),
    ("stream_options", 422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "input": {}}]}),
    ("stream_options", 400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}}),
    ("stream_options", 400, b"unknown field `stream_options`, expected one of `model`, `messages`, `max_tokens`"),
    ("stream_options", 400, {"message": "stream_options.include_usage: extra fields not permitted"}),
    ("stream_options", 400, {"error": {"param": "stream_options.include_usage", "message": "no"}}),
    (
        "temperature",
        400,
        {"error": {"message": "does not support 0 with this model.", "param": "temperature"}},
    ),
    ("temperature", 400, {"detail": "temperature must be strictly positive"}),
]


@pytest.mark.parametrize(("field", "status", "answer"), WAYS_TO_SAY)
async def test_a_field_that_is_named_is_left_out_and_said(field: str, status: int, answer: object) -> None:
    asked = Asked(refusing(field, status, answer))
    trial = await asked.trial()
    assert trial.changes == {field: False}
    assert len(asked.bodies) == 2
    assert field not in asked.bodies[-1]
    assert asked.bodies[-1] == {name: value for name, value in asked.bodies[0].items() if name != field} | {
        "messages": asked.bodies[-1]["messages"]
    }
    (note,) = trial.notes
    assert note.startswith(field)
    assert f"since the server refuses it (HTTP {status}: " in note


@pytest.mark.parametrize(
    "answer",
    [
        OPENAI,
        {"error": "max_tokens is deprecated: use max_completion_tokens"},
        {"error": {"param": "max_tokens"}},
    ],
)
async def test_the_limit_of_the_answer_gets_another_name(answer: object) -> None:
    asked = Asked(refusing("max_tokens", 400, answer))
    trial = await asked.trial()
    assert trial.changes == {"max_tokens": {"as": "max_completion_tokens"}}
    assert asked.bodies[-1]["max_completion_tokens"] == 8
    said = "max_completion_tokens is asked for in place of max_tokens, which the server refuses (HTTP 400: "
    assert trial.notes[0].startswith(said)


async def test_several_fields_go_one_by_one() -> None:
    def strict(body: Body) -> tuple[int, object]:
        for name in body:
            if name not in ("model", "messages", "stream", "max_completion_tokens"):
                return 400, {"error": {"message": f"Unknown parameter: '{name}'.", "param": name}}
        return 200, b""

    trial = await Asked(strict).trial()
    assert trial.changes == {
        "max_tokens": {"as": "max_completion_tokens"},
        "temperature": False,
        "stream_options": False,
    }
    assert len(trial.notes) == 3


async def test_a_part_of_a_field_is_left_out_by_itself_first() -> None:
    def old(body: Body) -> tuple[int, object]:
        if "continuous_usage_stats" in body.get("stream_options", {}):
            return 400, {"message": "[{'loc': ('body', 'stream_options', 'continuous_usage_stats'), 'msg': 'extra'}]"}
        return 200, b""

    def older(body: Body) -> tuple[int, object]:
        if "stream_options" in body:
            return 422, {"detail": [{"loc": ["body", "stream_options", next(iter(body["stream_options"]))]}]}
        return 200, b""

    trial = await Asked(old, "vllm", Endpoint.COMPLETIONS).trial()
    assert trial.changes == {"stream_options": {"include_usage": True}}
    trial = await Asked(older, "vllm", Endpoint.COMPLETIONS).trial()
    assert trial.changes == {"stream_options": False}


async def test_without_ignore_eos_no_exact_length_is_promised_any_more() -> None:
    asked = Asked(refusing("ignore_eos", 400, {"error": "unexpected field ignore_eos"}), "vllm", Endpoint.COMPLETIONS)
    trial = await asked.trial()
    assert asked._shape({}).exact
    assert not asked._shape(trial.changes).exact


LEFT_ALONE: dict[str, tuple[int, object]] = {
    "it takes all": (200, b""),
    "too long": (
        400,
        {"error": {"message": "maximum context length is 4 tokens", "param": "max_tokens"}},
    ),
    "overload": (503, {"error": "temperature"}),
    "its own fault": (500, {"error": "stream_options"}),
    "another endpoint": (404, {"detail": "Not Found"}),
    "a key": (401, {"error": "temperature"}),
    "no field": (400, {"error": {"message": "bad request"}}),
    "a needed field": (422, {"detail": [{"loc": ["body", "messages"]}]}),
    "a field that is none of ours": (400, {"error": {"param": "user"}}),
    "nothing": (400, b""),
    "nonsense": (400, b"\xff\x00" * 100),
    "nested nonsense": (400, b'{"detail":' * 5000),
}


@pytest.mark.parametrize("way", LEFT_ALONE)
async def test_what_names_no_field_of_ours_changes_nothing(way: str) -> None:
    asked = Asked(lambda _: LEFT_ALONE[way])
    assert await asked.trial() == Trial()
    assert len(asked.bodies) == 1


async def test_what_the_profile_sets_is_left_to_it() -> None:
    asked = Asked(refusing("temperature", 400, {"error": {"param": "temperature"}}))
    assert (await asked.trial({"temperature": 0.5})).changes == {}


async def test_a_server_that_is_never_content_is_asked_a_few_times() -> None:
    asked = Asked(lambda body: (400, {"error": " ".join(body)}))
    trial = await asked.trial()
    assert len(asked.bodies) <= MOST_TRIES
    assert {"model", "messages", "stream"} <= set(asked.bodies[-1])
    assert "max_completion_tokens" in asked.bodies[-1]
    assert trial.changes["temperature"] is False


async def test_no_answer_is_left_to_the_measured_requests() -> None:
    def gone(body: Body) -> tuple[int, object]:
        raise NoAnswer("refused")

    assert await Asked(gone).trial() == Trial()


async def test_what_the_server_says_is_cleaned_and_cut() -> None:
    answer = {"error": {"message": "\x1b[31m stream_options\n" + "x" * 9999}}
    (note,) = (await Asked(refusing("stream_options", 400, answer)).trial()).notes
    assert note.isprintable() and len(note) < 400
