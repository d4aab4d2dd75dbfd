"""Where a copied text goes: to the terminal's clipboard (OSC 52), or to a file where that would be lost unseen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tui.core.files import atomic_file
from tui.core.paths import cache_dir

if TYPE_CHECKING:
    from textual.app import App

Wish = Literal["auto", "terminal", "file"]
MOST_BYTES = 74_000
"""Some terminals drop a longer sequence than 100,000 bytes; base64 makes four of three."""
_DEAF_TERMS = ("linux", "dumb", "vt", "cons")
"""What no OSC 52 is known of, by the beginning of TERM."""


def hears_osc_52(environ: Mapping[str, str]) -> bool:
    """Say whether the terminal is likely to take a clipboard; none tells whether it did."""
    if environ.get("TERM_PROGRAM") == "Apple_Terminal" or environ.get("STY"):  # GNU screen keeps it to itself
        return False
    return not environ.get("TERM", "dumb").startswith(_DEAF_TERMS)


def copy(app: App[int] | App[None], text: str, name: str, *, wish: Wish, environ: Mapping[str, str]) -> str:
    """Copy `text`, and return in words where to.

    Raises VrampError where it goes to a file that cannot be written.
    """
    fits = len(text.encode()) <= MOST_BYTES
    if fits and (wish == "terminal" or (wish == "auto" and hears_osc_52(environ))):
        app.copy_to_clipboard(text)
        return f"{name}: copied as text"
    path = _file_of(name)
    with atomic_file(path) as file:
        file.write(text)
    why = "" if wish == "file" else ", for this terminal takes no clipboard" if fits else ", for it is long"
    return f"{name}: written to {path}{why}"


def _file_of(name: str) -> Path:
    return cache_dir() / f"copied-{name}.txt"
