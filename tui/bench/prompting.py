"""What prompts are made of, learned once per launch from the server that will read them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tui.engines.base import Wish
from tui.engines.engine import Engine
from tui.load import prompts
from tui.load.wire import PromptSource
from tui.profile.schema import Endpoint
from tui.server.supervisor import Supervisor

# Enough words that no two prompts are alike, few enough that asking for each costs a second at most.
WORDS_TRIED = 64
# If it falls silent with fewer known, prompts of these would be too much alike.
WORDS_NEEDED = 16
# A server that hangs or dies while it is asked would hold the launch up for half a minute by each word.
MISSES_IN_A_ROW = 2


@dataclass(frozen=True, slots=True)
class Prompts:
    """The stuff prompts are made of, and how many tokens the server adds to each by itself."""

    source: PromptSource
    overhead_tokens: int = 0
    warnings: list[str] = field(default_factory=list)


async def learn_prompts(supervisor: Supervisor, engine: Engine, endpoint: Endpoint) -> Prompts:
    """Return what gives prompts of exact sizes with this server; what stays inexact is said in `warnings`."""
    shape = engine.request_shape(Wish(supervisor.model, endpoint, prompt_tokens=1, output_tokens=1))
    if shape.prompt_kind == prompts.TOKEN_IDS:
        return await _token_ids(supervisor)
    return await _words(supervisor, endpoint)


async def _token_ids(supervisor: Supervisor) -> Prompts:
    first, second = [await supervisor.tokenize(text) for text in prompts.sample_texts()]
    ids = prompts.safe_token_ids(first, second) if first and second else []
    if ids:
        return Prompts(PromptSource(kind=prompts.TOKEN_IDS, token_ids=prompts.pack_token_ids(ids)))
    # Every vocabulary in use has these; the low ones are often special.
    guessed = prompts.pack_token_ids(range(200, 1000))
    warning = "the server has no /tokenize: prompts are made of token ids 200 to 999, unseen whether these are safe"
    return Prompts(PromptSource(kind=prompts.TOKEN_IDS, token_ids=guessed), warnings=[warning])


async def _words(supervisor: Supervisor, endpoint: Endpoint) -> Prompts:
    step = max(1, len(prompts.COMMON_WORDS) // WORDS_TRIED)
    tried = prompts.COMMON_WORDS[::step]
    counts: dict[str, tuple[int, int]] = {}

    async def count(text: str) -> int | None:
        asked = [{"role": "user", "content": text}] if endpoint is Endpoint.CHAT else text
        return await supervisor.count(asked)

    if await count("the") is not None:
        misses = 0
        for word in tried:
            once, many = await asyncio.gather(*map(count, prompts.probe_texts(word)))
            if once is not None and many is not None:
                counts[word] = once, many
                misses = 0
            elif (misses := misses + 1) == MISSES_IN_A_ROW:
                if len(counts) < WORDS_NEEDED:
                    counts.clear()
                break
    words, overhead = prompts.one_token_words(counts)
    if words:
        return Prompts(PromptSource(kind=prompts.TEXT, words=words), overhead)
    warning = (
        "the server does not tell how it tokenizes: prompt sizes are those of common words, one token each by guess; "
        "the server's own counts are in the records"
    )
    return Prompts(PromptSource(kind=prompts.TEXT, words=list(tried)), warnings=[warning])
