"""Whether this process draws for a page in a browser instead of a terminal: textual-serve starts it so."""

from __future__ import annotations

import os

_DRIVER = "textual.drivers.web_driver:WebDriver"


def is_for_a_page() -> bool:
    """Say whether textual-serve started this process: its pipes then are the page."""
    return os.environ.get("TEXTUAL_DRIVER") == _DRIVER
