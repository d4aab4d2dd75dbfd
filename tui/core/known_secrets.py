"""The secrets that this process knows: the keys in its environment. None of them is ever shown or stored.

`safe_text` passes all text from outside and from exceptions through `hide_known`, so that a server that echoes a key,
or an error that quotes one, cannot give it away. Whole values are found, the lines of one that has several, and both as
they are quoted (repr, JSON, HTML) or coded (base64 at any offset, URL).

`tui.core.secrets` finds what looks like a secret; this module knows those that are.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote, quote_plus

from tui.core.secrets import HIDDEN, is_secret, secrets_in_text

# What is shorter is hidden only where it stands alone: "key" may be a key, but is a word as well.
_SHORT = 6
# As bytes; a shorter piece of base64 means nothing.
_SHORTEST_CODED = 6
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]+")


class _Known:
    """What is known, and how it is found."""

    def __init__(self) -> None:
        self.values: set[str] = set()
        self.forms: tuple[str, ...] = ()
        self.pattern: re.Pattern[str] | None = None

    def take(self, values: set[str]) -> None:
        if values != self.values:
            self.values = values
            self.forms = tuple({form for value in values for form in forms_of(value) if form})
            self.pattern = _pattern_of(self.forms)


_known = _Known()


def learn_environment(environment: Mapping[str, str]) -> None:
    """Know the secrets of an environment from now on, and no others: by the names of its variables, and in URLs."""
    values: set[str] = set()
    for name, value in environment.items():
        found = [value] if is_secret(name, value) else secrets_in_text(value)
        values |= {secret for secret in found if len(secret.strip()) >= _SHORT}
    _known.take(values)


def learn(secret: str | None) -> None:
    """Know one secret more: a key whose variable was named, whatever its name."""
    if secret and secret.strip():
        _known.take({*_known.values, secret})


def hide_known(text: str, mark: str = HIDDEN) -> str:
    """Return `text` with `mark` in the place of each known secret, in any of its forms."""
    # Many times as quick as the pattern, which hardly ever finds anything.
    if _known.pattern is None or not any(form in text for form in _known.forms):
        return text
    return _known.pattern.sub(lambda _: mark, text)


def _pattern_of(forms: Iterable[str]) -> re.Pattern[str] | None:
    # The longest first, so that of a secret that holds another nothing is left.
    alternatives = [
        re.escape(form) if len(form) >= _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)"
        for form in sorted(forms, key=len, reverse=True)
    ]
    return re.compile("|".join(alternatives)) if alternatives else None


def forms_of(secret: str) -> set[str]:
    """Return all that gives a secret away: itself, its lines, and each of these quoted and coded."""
    stripped = secret.strip()
    pieces = {secret, stripped, _CONTROL.sub(" ", stripped), _CONTROL.sub("", stripped)}
    lines = [line.strip() for line in _CONTROL.split(stripped)]
    pieces |= {line for line in lines if len(lines) == 1 or len(line) >= _SHORT}
    return {form for piece in pieces for form in _forms_of_piece(piece)}


def _forms_of_piece(piece: str) -> Iterator[str]:
    raw = piece.encode("utf-8", "surrogateescape")
    yield piece
    yield repr(piece)[1:-1]
    yield repr(raw)[2:-1]
    yield from (json.dumps(piece)[1:-1], json.dumps(piece)[1:-1].replace("/", "\\/"))
    yield json.dumps(piece, ensure_ascii=False)[1:-1]
    yield html.escape(piece)
    for coded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield coded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), coded)
    if len(raw) >= _SHORTEST_CODED:
        yield from _in_base64(raw)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield what is the same in every base64 text that holds `raw`, at each of the three offsets it can have there."""
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        # The first characters hold bits of what stands before, the last one of what follows.
        whole = coded[(0, 2, 3)[offset] : len(coded) - (1 if (offset + len(raw)) % 3 else 0)]
        yield whole
        yield whole.replace("+", "-").replace("/", "_")
