"""The simulated server's bytes beside those of a real vLLM 0.32.0."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tui.simulator.dialects.vllm_stream import ENGINE_DEAD_EVENT, FINGERPRINT, StreamWriter, full_response, model_list
from tui.simulator.requests import GenerationRequest

STREAMS = Path(__file__).parents[2] / "corpus" / "streams"
TEXT = re.compile(rb'"(text|content)":"(?:[^"\\]|\\.)*"')


def request(**changes: Any) -> GenerationRequest:
    values: dict[str, Any] = {
        "chat": False,
        "prompt": list(range(300, 320)),
        "output_limit": 3,
        "finish_reason": "length",
        "stream": True,
        "include_usage": True,
        "continuous_usage": False,
        "return_token_ids": False,
        **changes,
    }
    return GenerationRequest(**values)


def real_events(name: str) -> list[bytes]:
    body = (STREAMS / name).read_bytes().partition(b"\r\n\r\n")[2]
    return [line + b"\n\n" for line in re.findall(rb"data: [^\r\n]+", body)]


def without_text(event: bytes) -> bytes:
    return TEXT.sub(rb'"\1":"?"', event).replace(b"vllm-0.32.0-e5a00e20", FINGERPRINT.encode())


@pytest.mark.parametrize(
    ("name", "chat", "response_id", "prompt_tokens"),
    [
        ("stream-100.raw", False, "cmpl-baefbf4a7ddaaafa", 20),
        ("stream-chat-100.raw", True, "chatcmpl-a58ccb0ae2ee0f6a", 7),
    ],
)
def test_a_stream_is_vllms_byte_by_byte_but_for_its_text(
    name: str, chat: bool, response_id: str, prompt_tokens: int
) -> None:
    real = real_events(name)
    created = json.loads(real[0][6:])["created"]
    writer = StreamWriter(request(chat=chat, prompt=[300] * prompt_tokens), response_id, created, "tiny")
    ours = [writer.first()] if chat else []
    for number in range(1, 101):
        ours.append(writer.event((300 + number,), number, first=number == 1, last=number == 100))
    ours += writer.end(100)
    assert [without_text(event) for event in ours] == [without_text(event) for event in real]


def test_the_event_of_a_dead_engine_is_vllms() -> None:
    tail = (STREAMS / "kill-engine-sigkill.txt").read_text()
    real = re.search(r'data: \{"error": [^\\]+', tail)
    assert real is not None
    assert ENGINE_DEAD_EVENT.decode().rstrip("\n") == real[0]


def test_running_usage_and_token_ids_come_with_every_event_when_asked_for() -> None:
    writer = StreamWriter(request(continuous_usage=True, return_token_ids=True, prompt=[1, 2]), "cmpl-1", 5, "tiny")
    first = json.loads(writer.event((7, 8), 2, first=True, last=False)[6:])
    second = json.loads(writer.event((9,), 3, first=False, last=True)[6:])
    assert first["usage"] == {"prompt_tokens": 2, "total_tokens": 4, "completion_tokens": 2}
    assert (first["choices"][0]["prompt_token_ids"], first["choices"][0]["token_ids"]) == ([1, 2], [7, 8])
    assert (second["choices"][0]["prompt_token_ids"], second["choices"][0]["token_ids"]) == (None, [9])


def test_a_whole_answer_has_the_keys_of_vllms_in_their_order() -> None:
    text = (STREAMS / "http.txt").read_text()
    real = json.loads(text.partition("5 tokens, ids returned")[2].partition("\n\n")[2].partition("\n")[0])
    asked = request(stream=False, include_usage=False, return_token_ids=True, prompt=[300, 301, 302, 303])
    ours = full_response(asked, [849, 19, 1920, 1079, 591], "cmpl-1", 5, "tiny")
    assert list(ours) == list(real)
    assert list(ours["choices"][0]) == list(real["choices"][0])
    assert ours["usage"] == real["usage"]
    assert ours["choices"][0]["token_ids"] == real["choices"][0]["token_ids"]


def test_the_model_list_has_vllms_keys() -> None:
    text = (STREAMS / "http.txt").read_text()
    real = json.loads(text.partition("=== GET /v1/models")[2].partition("\n\n")[2].partition("\n")[0])
    ours = model_list("tiny", 4096, 5)
    assert list(ours["data"][0]) == list(real["data"][0])
    assert list(ours["data"][0]["permission"][0]) == list(real["data"][0]["permission"][0])
    assert ours["data"][0]["owned_by"] == real["data"][0]["owned_by"]
