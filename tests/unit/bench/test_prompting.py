"""What prompts are made of, by a server of the test's own that counts their tokens."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tui.bench import prompting
from tui.bench.prompting import MISSES_IN_A_ROW, WORDS_NEEDED, WORDS_TRIED, Prompts, learn_prompts
from tui.engines.catalogue import engine_for
from tui.load import prompts
from tui.profile.schema import Endpoint

OVERHEAD = 1


class Server:
    """Counts a token for each word, and one more; after `answers` questions it says nothing."""

    model = "m"

    def __init__(self, answers: int = 10_000, *, deaf_to: str = "") -> None:
        self.answers = answers
        self.deaf_to = deaf_to
        self.asked = 0

    async def count(self, text: str) -> int | None:
        self.asked += 1
        if self.asked > self.answers or (self.deaf_to and self.deaf_to in text.split()):
            return None
        return len(text.split()) + OVERHEAD


async def learned(server: Server) -> Prompts:
    return await learn_prompts(cast(Any, server), engine_for("triton-vllm"), Endpoint.COMPLETIONS)


async def test_words_of_one_token_are_found_with_what_is_added_to_each_prompt() -> None:
    found = await learned(Server())
    assert found.source.kind == prompts.TEXT and len(found.source.words) >= WORDS_TRIED
    assert found.overhead_tokens == OVERHEAD and not found.warnings


@pytest.mark.parametrize(("answers", "known"), [(0, False), (11, False), (1 + 2 * WORDS_NEEDED, True)])
async def test_a_server_that_falls_silent_is_not_asked_for_every_word(answers: int, known: bool) -> None:
    server = Server(answers)
    found = await learned(server)
    assert server.asked <= answers + 2 * MISSES_IN_A_ROW + 1
    assert bool(found.warnings) is not known
    # What is guessed has as many words as ever: prompts must not be alike.
    assert len(found.source.words) >= (WORDS_NEEDED if known else WORDS_TRIED)


async def test_one_word_without_an_answer_is_left_out() -> None:
    word = prompts.COMMON_WORDS[:: max(1, len(prompts.COMMON_WORDS) // prompting.WORDS_TRIED)][3]
    found = await learned(Server(deaf_to=word))
    assert word not in found.source.words and len(found.source.words) >= WORDS_TRIED - 1
    assert not found.warnings
