"""Whether an engine still makes tokens, by a request for one: many a health check only tells of the front.

Triton, Ray Serve's proxy and gateways answer that they are well for as long as they run, whatever became of the engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tui.bench.trial import Post
from tui.core.errors import LaunchError
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.engines.base import RequestShape
from tui.engines.parts.dialect import Dialect, dialect_named, read_error
from tui.engines.parts.framing import FramingError
from tui.load.prompts import PromptMaker
from tui.load.wire import PromptSource

BACK_S = 180.0
"""How long whoever runs an attached server has to bring its engine back: Ray Serve took 83 s to rebuild a replica."""
PERIOD_S = 1.0
_FATAL = frozenset({Outcome.ENGINE_DEAD, Outcome.OOM_RUNTIME, Outcome.HTTP_ERROR})
"""What else is said in place of a token (that it is overloaded) is no sign of death."""


async def why_no_token(shape: RequestShape, prompts: PromptSource, ask: Post) -> str:
    """Ask for what `shape` asks for; return the words in which it is refused, or "" where it comes.

    "" as well for a refusal that is none of a dead engine. Raises NoAnswer when nothing comes in time.
    """
    response = await ask(shape, b"".join(PromptMaker(shape, prompts).make()))
    dialect = dialect_named(shape.dialect)
    if response.is_ok:
        outcome, said = _read(dialect, response.content)
    else:
        said = read_error(response.content)[0]
        outcome = dialect.outcome_of(response.status, said)
        said = f"HTTP {response.status}: {said}"
    return safe_line(said) if outcome in _FATAL else ""


async def wait_for_token(why_none: Callable[[], Awaitable[str]], say: Callable[[str], None]) -> None:
    """Wait until `why_none` has no reason left why no token comes; `say` once that there is one.

    Raises LaunchError when that takes too long.
    """
    until = asyncio.get_running_loop().time() + BACK_S
    said = False
    while why := await why_none():
        if asyncio.get_running_loop().time() >= until:
            raise LaunchError(f"it is there again, but its engine gives no token: {why}")
        if not said:
            say(f"it is there again, but its engine gives no token yet: {why}; it has {BACK_S:g} s for that")
            said = True
        await asyncio.sleep(PERIOD_S)


def _read(dialect: Dialect, body: bytes) -> tuple[Outcome, str]:
    """Return how an answer that began well ended, and the words of its error."""
    payloads: list[bytes] = []
    framing = dialect.framing(payloads.append)
    try:
        framing.feed(body)
        _ = framing.unfinished  # which hands on an event that lacks its end
        for payload in payloads:
            event = dialect.decode(payload)
            if event.error is not None:
                return event.outcome or dialect.outcome_of(event.error_code, event.error), event.error
    except (FramingError, ValueError) as error:
        return Outcome.MALFORMED, str(error)
    return Outcome.OK, ""
