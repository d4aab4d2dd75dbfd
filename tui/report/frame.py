"""What every page has round it: one HTML document without network, frames or foreign scripts.

Pure, but for our own style and script, which lie beside this module.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from xml.etree.ElementTree import Element

from tui import __version__
from tui.report.elements import document, element


def framed(title: str, parts: Sequence[Element]) -> str:
    """Return a page with that title and these parts."""
    own = files("tui.report")
    style = (own / "style.css").read_text(encoding="utf-8")
    script = (own / "page.js").read_text(encoding="utf-8")
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Whatever should ever get past the escaping is not run: only our own script, by its digest.
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{known}'; base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    body = element("body", *parts)
    body.append(element("p", element("small", f"Made by vramp {__version__}. What each figure is: docs/figures.md.")))
    body.append(element("script", script))
    return document(element("html", head, body, lang="en"))
