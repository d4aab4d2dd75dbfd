"""Where a profile gives its server an API key. Pure."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.profile.schema import ServerTable


def places_of_keys(server: ServerTable, flags: Set[str], variable: str) -> list[str]:
    """Return the places of [server] that set one of `flags` or the environment variable, e.g. "server.args.api-key"."""
    places = [f"server.args.{name}" for name, value in server.args.items() if _plain(name) in flags and value]
    words = [word.split("=")[0] if word.startswith("--") else "" for word in server.extra_args]
    places += [f"server.extra_args[{place}]" for place, word in enumerate(words) if _plain(word) in flags]
    return places + [f"server.env.{variable}"] * bool(server.env.get(variable))


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-")
