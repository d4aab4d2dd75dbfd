"""How many tokens an event of a stream bears, where the server tells no count but has a tokenizer.

One answer is asked for between two cells: no worker keeps texts, and nothing is tokenized while anything is measured.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tui.bench.trial import Post
from tui.engines.base import RequestShape
from tui.engines.parts.dialect import Count, Dialect, Ending, dialect_named
from tui.engines.parts.framing import FramingError
from tui.load.prompts import PromptMaker
from tui.load.wire import PromptSource
from tui.server.client import NoAnswer

CountTokens = Callable[[str], Awaitable[int | None]]
"""Returns how many tokens the server makes of a text; None where it cannot say."""
# What stands for bytes that are no text: a tokenizer makes more of it than the model did.
_NO_TEXT = "\N{REPLACEMENT CHARACTER}"


async def tokens_per_event(shape: RequestShape, prompts: PromptSource, ask: Post, count: CountTokens) -> float | None:
    """Return the tokens of one answer, by the server's tokenizer, per event that bears some; None if it cannot be."""
    dialect = dialect_named(shape.dialect)
    if dialect.text_of is None or _always_counts(dialect) or await count("a") is None:
        return None
    try:
        response = await ask(shape, b"".join(PromptMaker(shape, prompts).make()))
        events, text = _read(dialect, response.content) if response.is_ok else (0, "")
    except (NoAnswer, FramingError, ValueError):
        return None
    if not events or not text or _NO_TEXT in text:
        return None
    # The difference is without what the server puts around each text.
    once, twice = await count(text), await count(text + text)
    if once is None or twice is None or twice <= once:
        return None
    return (twice - once) / events


def _always_counts(dialect: Dialect) -> bool:
    return dialect.ending is Ending.FINAL_EVENT or dialect.count is Count.PER_EVENT


def _read(dialect: Dialect, body: bytes) -> tuple[int, str]:
    """Return how many events of an answer count as a token each, and its text. Raises ValueError for a failed one."""
    payloads: list[bytes] = []
    framing = dialect.framing(payloads.append)
    framing.feed(body)
    _ = framing.unfinished  # which hands on an event that lacks its end
    text_of = dialect.text_of
    assert text_of is not None
    events, texts, finished = 0, [], False
    for payload in payloads:
        event = dialect.decode(payload)
        if event.error is not None:
            raise ValueError(event.error)
        if event.ends:
            break
        finished |= event.finished
        events += not finished if event.bears_tokens is None else event.bears_tokens
        texts.append(text_of(payload))
    return events, "".join(texts)
