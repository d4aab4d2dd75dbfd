"""Request heads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from tests.fakes.load_worker import shape
from tui.core.address import address_of
from tui.core.errors import UsageError
from tui.engines.parts.auth import Auth, SecretHeader
from tui.load.request_head import RequestHead
from tui.load.wire import LoadTarget

BEARER = Auth([SecretHeader("Authorization", "KEY", "Bearer ")])


def test_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "abc\n")
    head = RequestHead(LoadTarget(address_of("http://h:1/api"), BEARER), shape()).before(b"12", b"345")
    assert head == (
        b"POST /api/v1/completions HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
        b"Accept: text/event-stream\r\nAuthorization: Bearer abc\r\nContent-Length: 5\r\n\r\n"
    )


@pytest.mark.parametrize("key", ["se\r\ncret: x", "se\u2028cret"])
def test_a_key_that_http_cannot_carry_is_refused_and_not_told(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", key)
    with pytest.raises(UsageError, match="KEY") as caught:
        RequestHead(LoadTarget(address_of("http://h:1"), BEARER), shape()).before(b"12", b"345")
    assert "cret" not in str(caught.value)


def test_headers_of_a_profile_take_the_place_of_ours() -> None:
    auth = Auth(headers=[("accept", "*/*"), ("X-Team", "a")])
    head = RequestHead(LoadTarget(address_of("http://h:1"), auth), shape()).before(b"", b"")
    assert b"text/event-stream" not in head
    assert b"accept: */*\r\nX-Team: a\r\n" in head


def sign(
    settings: dict[str, str], method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
) -> list[tuple[str, str]]:
    """What SigV4 does, in small: a header over all that is sent."""
    said = "\n".join([settings["region"], method, url, *map(":".join, headers)]).encode() + body
    return [("X-Signature", hashlib.sha256(said).hexdigest())]


def test_each_request_is_signed_over_its_finished_body() -> None:
    auth = Auth(signer=f"{__name__}:sign", settings={"region": "r"}, headers=[("X-A", "b")])
    one = RequestHead(LoadTarget(address_of("http://h:1/v1?a=b"), auth), shape())
    first, second = one.before(b"12", b"345"), one.before(b"12", b"346")
    assert first != second
    headers = [("Host", "h:1"), *shape().headers, ("X-A", "b")]
    ((name, value),) = sign({"region": "r"}, "POST", "http://h:1/v1/completions?a=b", headers, b"12345")
    assert first.endswith(f"Content-Length: 5\r\n{name}: {value}\r\n\r\n".encode())


def test_a_signer_that_is_not_installed_is_told_in_words() -> None:
    with pytest.raises(UsageError, match="requests cannot be signed: No module named 'no_such'"):
        RequestHead(LoadTarget(address_of("http://h"), Auth(signer="no_such:sign")), shape())
