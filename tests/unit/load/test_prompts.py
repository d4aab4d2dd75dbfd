"""Prompts: exact sizes, no two alike, and what they are made of."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.load_worker import IDS, shape
from tui.load.prompts import (
    REPEATS,
    PromptMaker,
    one_token_words,
    pack_token_ids,
    probe_texts,
    safe_token_ids,
    sample_texts,
    unpack_token_ids,
)
from tui.load.wire import PromptSource


@given(st.integers(1, 3000))
def test_a_prompt_has_exactly_the_asked_tokens(tokens: int) -> None:
    maker = PromptMaker(shape(prompt_tokens=tokens), IDS)
    bodies = [json.loads(b"".join(maker.make())) for _ in range(3)]
    assert all(len(body["prompt"]) == tokens for body in bodies)
    assert all(200 <= token < 1000 for body in bodies for token in body["prompt"])


def test_no_two_share_their_first_block_but_all_share_the_rest_of_the_bytes() -> None:
    maker = PromptMaker(shape(prompt_tokens=50_000), IDS)
    made = [maker.make() for _ in range(100)]
    assert len({head for head, _ in made}) == 100
    assert len({tuple(json.loads(head + tail)["prompt"][:16]) for head, tail in made[:20]}) == 20
    assert len({id(tail) for _, tail in made}) == 1
    assert all(len(head) < 1000 for head, _ in made)


def test_two_configurations_differ_all_through() -> None:
    first, second = (PromptMaker(shape(prompt_tokens=5000), IDS).make() for _ in range(2))
    assert first[1] != second[1]


def test_text_is_a_json_string_of_as_many_words_as_the_server_leaves() -> None:
    of = shape(prompt_tokens=300)
    words = ["caf\u00e9", 'quo"te', "new\nline", "plain"]
    of = msgspec.structs.replace(of, prompt_kind="text", prompt_tokens_overhead=11)
    made = PromptMaker(of, PromptSource("text", words=words)).make()
    prompt = json.loads(b"".join(made))["prompt"]
    assert len(prompt.split(" ")) == 289
    assert set(prompt.split(" ")) == set(words)


@pytest.mark.parametrize("source", [PromptSource("token-ids"), PromptSource("text", words=["a"]), PromptSource("x")])
def test_what_cannot_be_made(source: PromptSource) -> None:
    with pytest.raises(ValueError):
        PromptMaker(shape(), source)


def test_packing_ids() -> None:
    assert unpack_token_ids(pack_token_ids([1, 70000, 4_000_000_000])) == [1, 70000, 4_000_000_000]
    assert pack_token_ids([1]) == b"\x01\0\0\0"


def test_special_tokens_are_told_by_standing_at_both_ends_of_everything() -> None:
    assert safe_token_ids([0, 2, 50, 60, 0, 1, 3], [0, 2, 70, 80, 1, 3]) == [50, 60, 70, 80]
    assert safe_token_ids([50, 60], [70, 80]) == [50, 60, 70, 80]
    assert safe_token_ids([1], [1]) == []


def test_sample_texts_share_neither_end() -> None:
    first, second = sample_texts()
    assert first[0] != second[0]
    assert first[-1] != second[-1]
    assert len(set(first.split()) | set(second.split())) > 500


def test_words_of_one_token() -> None:
    counts = {
        "good": (1 + 5, REPEATS + 5),
        "fine": (1 + 5, REPEATS + 5),
        "long": (2 + 5, 2 * REPEATS + 5),
        "odd at the beginning": (2 + 5, REPEATS + 1 + 5),
    }
    assert one_token_words(counts) == (["good", "fine"], 5)
    assert one_token_words({}) == ([], 0)
    assert one_token_words({"long": (2, 18)}) == ([], 0)


def test_probes() -> None:
    once, many = probe_texts("word")
    assert once == "word"
    assert many.split(" ") == ["word"] * REPEATS


def test_a_new_size_of_prompts_spares_their_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    made = PromptMaker(shape(prompt_tokens=7), IDS)
    monkeypatch.setattr("tui.load.prompts._encoded_pool", None)  # to call it would fail
    first, rest = PromptMaker(shape(prompt_tokens=30), IDS, like=made).make()
    assert len(msgspec.json.decode(first + rest)["prompt"]) == 30
