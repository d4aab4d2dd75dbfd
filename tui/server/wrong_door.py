"""What answers where another serving system was expected, and versions that nobody has seen yet."""

from __future__ import annotations

import asyncio
import re

from tui.core.errors import UsageError
from tui.engines.catalogue import engine_for, names
from tui.engines.engine import Engine
from tui.server import probe
from tui.server.client import ServerClient

_VERSION = re.compile(r"[a-z]?(\d{1,9}(?:\.\d{1,9})?)")


async def what_else(client: ServerClient, expected: Engine) -> str:
    """Return, in words, which other systems a server shows itself to be; "" where it is the expected one, or none."""
    if expected.mark is not None and await probe.answer_to(client, expected.mark):
        return ""
    others = [engine for name in names() if name != expected.name and (engine := _engine(name)) and engine.mark]
    answers = await asyncio.gather(*(_is_it(client, engine) for engine in others))
    found = [engine for engine, is_it in zip(others, answers, strict=True) if is_it]
    if not found:
        return ""
    ways = " or ".join(f'engine = "{engine.name}"' for engine in found)
    return f"this speaks the API of {' or '.join(engine.title for engine in found)}: {ways}"


async def _is_it(client: ServerClient, engine: Engine) -> bool:
    said = await probe.answer_to(client, engine.mark)
    return said is True


def _engine(name: str) -> Engine | None:
    try:
        return engine_for(name)
    except UsageError:
        return None  # of another package, and it fails


def unseen_version(engine: Engine, version: str) -> str:
    """Return, in words, that a version is newer than any that the engine's part of vramp was made for; or ""."""
    told, seen = _VERSION.match(version), _VERSION.match(engine.seen)
    if told is None or seen is None or _numbers(told[1]) <= _numbers(seen[1]):
        return ""
    return (
        f"{engine.title} {version} is newer than any that vramp has seen ({engine.seen}); it is measured all the same"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
