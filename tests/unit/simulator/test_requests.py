from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.simulator import requests
from tui.simulator.requests import GenerationRequest, Refused

HTTP = (Path(__file__).parents[2] / "corpus" / "streams" / "http.txt").read_text()


def real_error(title: str) -> tuple[int, dict[str, Any]]:
    answer = HTTP.partition(f"=== {title}\n")[2]
    return int(answer.split()[1]), json.loads(answer.partition("\n\n")[2].partition("\n")[0])


def complete(**body: Any) -> GenerationRequest:
    parsed = requests.parse(json.dumps(body).encode(), requests.CompletionBody)
    return requests.accept_completion(parsed, model="tiny", max_model_len=4096)


def chat(**body: Any) -> GenerationRequest:
    parsed = requests.parse(json.dumps(body).encode(), requests.ChatBody)
    return requests.accept_chat(parsed, model="tiny", max_model_len=4096)


@pytest.mark.parametrize(
    ("title", "body"),
    [
        ("bad model name", {"model": "nope", "prompt": "x"}),
        ("prompt too long", {"model": "tiny", "prompt": [300] * 4100}),
        ("token id out of vocab", {"prompt": [300, 99999]}),
        ("empty prompt", {"prompt": []}),
        ("bad param", {"prompt": "x", "temperature": -3.0}),
    ],
)
def test_refusals_are_vllms(title: str, body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        complete(**body)
    assert (refused.value.status, refused.value.body) == real_error(title)


def test_broken_json_is_refused_as_by_vllm() -> None:
    with pytest.raises(Refused) as refused:
        requests.parse(b'{"model":,', requests.CompletionBody)
    assert (refused.value.status, refused.value.body) == real_error("bad json")


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"prompt": [1], "max_tokens": "x"}', b"[" * 100_000])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        requests.parse(body, requests.CompletionBody)
    assert refused.value.status == 400


@pytest.mark.parametrize(("prompt_tokens", "expected"), [(4000, 96), (4090, 6), (3996, 100)])
def test_what_exceeds_the_length_is_cut_without_a_word(prompt_tokens: int, expected: int) -> None:
    request = complete(prompt=[300] * prompt_tokens, max_tokens=100, ignore_eos=True)
    assert (request.output_limit, request.finish_reason) == (expected, "length")


def test_a_prompt_of_exactly_the_length_is_refused() -> None:
    with pytest.raises(Refused, match=r"max_tokens must be at least 1, got 0\. \(parameter=max_tokens, value=0\)"):
        complete(prompt=[300] * 4096, max_tokens=100)


def test_min_tokens_turns_the_silent_cut_into_a_refusal() -> None:
    with pytest.raises(Refused, match="min_tokens must be less than or equal to max_tokens=96, got 100"):
        complete(prompt=[300] * 4000, max_tokens=100, min_tokens=100)


def test_without_ignore_eos_the_answer_ends_by_itself() -> None:
    request = complete(prompt=[300, 301, 302], max_tokens=4000)
    assert (request.finish_reason, request.output_limit) == (
        "stop",
        complete(prompt=[300, 301, 302], max_tokens=3000).output_limit,
    )
    assert complete(prompt=[300, 301, 302], max_tokens=4000, min_tokens=1000).output_limit == 1000
    assert complete(prompt=[300, 301, 302], max_tokens=4000, ignore_eos=True).output_limit == 4000


def test_prompts_may_be_text_ids_or_a_list_of_one() -> None:
    assert complete(prompt=[[5, 6]]).prompt == complete(prompt=[5, 6]).prompt == [5, 6]
    assert complete(prompt=["bado"]).prompt == complete(prompt="bado").prompt


@pytest.mark.parametrize("prompt", [None, "", [1.5], [True], {"a": 1}, [[1], [2]], ["a", "b"], [-1]])
def test_other_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(Refused):
        complete(prompt=prompt)


def test_a_chat_has_the_tokens_of_its_template() -> None:
    request = chat(messages=[{"role": "user", "content": " bado"}], max_completion_tokens=7, ignore_eos=True)
    assert (len(request.prompt), request.output_limit, request.chat) == (5, 7, True)
    parts = [{"type": "text", "text": " bado"}]
    assert chat(messages=[{"role": "user", "content": parts}]).prompt == request.prompt
    with pytest.raises(Refused):
        chat(messages=[])


def test_usage_on_every_event_needs_usage_at_all() -> None:
    options = {"continuous_usage_stats": True}
    assert not complete(prompt=[5], stream=True, stream_options=options).continuous_usage
    assert complete(prompt=[5], stream=True, stream_options={**options, "include_usage": True}).continuous_usage
    with pytest.raises(Refused):
        complete(prompt=[5], stream_options=options)


_KEYS = ["model", "prompt", "messages", "max_tokens", "min_tokens", "stream", "stream_options", "temperature", "n", "x"]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("tiny"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(_KEYS), _JSON))
def test_whatever_comes_is_accepted_within_the_limits_or_refused(body: dict[str, Any]) -> None:
    for accept in (complete, chat):
        try:
            request = accept(**body)
        except Refused as refused:
            assert 400 <= refused.status < 500
            json.dumps(refused.body)
        else:
            assert 0 < request.output_limit <= 4096 - len(request.prompt)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_refused_or_read(body: bytes) -> None:
    for kind in (requests.CompletionBody, requests.ChatBody, requests.TokenizeBody, requests.DetokenizeBody):
        try:
            requests.parse(body, kind)
        except Refused as refused:
            assert refused.status == 400
