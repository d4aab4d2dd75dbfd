"""A key that this process knows is in no text that comes out, however it was quoted or coded on its way."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui.core.known_secrets import hide_known, learn, learn_environment
from tui.core.safe_text import safe_line, safe_text

KEY = "k/ey+" + "0123456789abcdef"
FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda secret: secret,
    "in a header": lambda secret: f"Authorization: Bearer {secret}",
    "repr": repr,
    "repr of bytes": lambda secret: repr(secret.encode()),
    "json": json.dumps,
    "json of a header": lambda secret: json.dumps({"authorization": f"Bearer {secret}"}),
    "html": html.escape,
    "url": lambda secret: "?api_key=" + quote(secret, safe=""),
    "url path": quote,
    "url form": lambda secret: "key=" + quote_plus(secret),
    "url in lower case": lambda secret: quote(secret, safe="").lower() if secret.islower() else quote(secret),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64 for urls": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode().rstrip("="),
    "base64 of a header": lambda secret: base64.b64encode(f"Bearer {secret}".encode()).decode(),
    "base64 of basic auth": lambda secret: base64.b64encode(f"ab:{secret}:c".encode()).decode(),
    "base64 at the third offset": lambda secret: base64.b64encode(f"abcde{secret}de".encode()).decode(),
}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    learn_environment({})


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=40)
@given(secret=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=8, max_size=60))
def test_a_known_secret_is_hidden_in_every_form(form: str, secret: str) -> None:
    secret = secret.strip()
    if len(secret) < 8 or len(set(secret)) < 4:
        return  # "aaaaaaaa" stands in anything
    learn_environment({})
    learn(secret)
    form_of_it = FORMS[form](secret)
    # A mark that no secret holds: one of dots would look like what was hidden.
    hidden = hide_known(f"401 for {form_of_it}, says the server", mark="\0")
    assert secret not in hidden and "\0" in hidden
    # Of a long form no more than the ends is left, which hold bits of what stands around it.
    middle = form_of_it[12:-6]
    assert len(middle) < 8 or middle not in hidden


def test_no_base64_text_that_holds_it_gives_it_away() -> None:
    learn(KEY)
    for before in range(6):
        for after in range(3):
            coded = base64.b64encode(b"x" * before + KEY.encode() + b"y" * after).decode()
            left = hide_known(coded)
            assert "•••" in left
            assert len(left.replace("•••", "")) <= before * 4 // 3 + after * 4 // 3 + 6


@pytest.mark.parametrize("brk", ["\n", "\r\n", "\r", "\t", "\0"])
def test_a_key_with_a_line_break_is_hidden_whole_and_in_its_lines(brk: str) -> None:
    first, second = "sk-first-0123456789", "second-9876543210"
    learn(first + brk + second)
    for text in (
        f"Illegal header value {f'Bearer {first}{brk}{second}'.encode()!r}",
        f"Illegal header value {f'Bearer {first}{brk}{second}'!r}",
        f"Bearer {first}",
        f"the line {second} is no header",
        first + brk + second,
        json.dumps(first + brk + second),
    ):
        for shown in (safe_line(text), safe_text(text)):
            assert first not in shown and second not in shown


def test_what_only_comes_together_without_control_characters_is_hidden_too() -> None:
    learn(KEY)
    assert KEY not in safe_text("\x1b[1m".join(KEY)) and KEY not in safe_text("\u200b".join(KEY))


def test_a_secret_is_hidden_before_the_text_is_cut() -> None:
    learn(KEY)
    assert safe_text("x" * 10 + KEY, limit=20) == "x" * 10 + "•••"


def test_the_environment_is_known_by_its_names_and_its_urls() -> None:
    learn_environment(
        {
            "HF_TOKEN": "hf-0123456789",
            "HTTPS_PROXY": "http://me:pass-word@proxy:3128",
            "PATH": "/usr/bin:/bin",
            "MAX_TOKENS": "1234567",
            "OTHER_KEY": "short",
        }
    )
    assert hide_known("hf-0123456789 by http://me:pass-word@proxy:3128") == "••• by http://•••@proxy:3128"
    assert hide_known("/usr/bin:/bin 1234567 short") == "/usr/bin:/bin 1234567 short"


def test_a_short_key_is_hidden_where_it_stands_alone() -> None:
    learn("abc")
    assert hide_known("Bearer abc, abcd") == "Bearer •••, abcd"
