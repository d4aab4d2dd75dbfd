from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.simulator import vocabulary


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_text_comes_back(text: str) -> None:
    tokens = vocabulary.encode(text)
    assert all(0 <= token < vocabulary.SIZE for token in tokens)
    assert vocabulary.decode(tokens) == text


@pytest.mark.parametrize(("text", "tokens"), [("the", 1), (" the", 1), ("the time of day", 4), ("", 0), ("42", 2)])
def test_a_common_word_is_one_token_with_or_without_its_space(text: str, tokens: int) -> None:
    assert len(vocabulary.encode(text)) == tokens


@given(st.integers(0, 10**9), st.integers(0, 10**5))
def test_answers_are_made_of_words(seed: int, position: int) -> None:
    token = vocabulary.answer_token(seed, position)
    assert vocabulary.decode([token])
    assert token == vocabulary.answer_token(seed, position)


def test_a_word_that_was_never_seen_is_read_as_one_word() -> None:
    text = vocabulary.decode([31_000, 31_001])
    assert len(vocabulary.encode(text)) == 2


def test_words_beyond_the_vocabulary_go_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_ids", {})
    monkeypatch.setattr(vocabulary, "_texts", {})
    monkeypatch.setattr(vocabulary, "_MOST_WORDS", 1)
    assert [len(vocabulary.encode(word)) for word in ("time", "room", "time")] == [1, 4, 1]


def test_words_that_want_the_same_id_get_different_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_ids", {})
    monkeypatch.setattr(vocabulary, "_texts", {})
    monkeypatch.setattr(vocabulary, "_WORDS", 3)
    text = "one two three"
    tokens = vocabulary.encode(text)
    assert len(set(tokens)) == 3
    assert vocabulary.decode(tokens) == text


def test_a_prefix_hash_covers_all_before_it() -> None:
    one = vocabulary.prefix_hashes([1, 2, 3, 4, 5, 6, 7], 2)
    other = vocabulary.prefix_hashes([9, 2, 3, 4, 5, 6, 7], 2)
    assert len(one) == 3
    assert not set(one) & set(other)
    assert vocabulary.prefix_hashes([1, 2, 3, 4, 8], 2) == one[:2]
