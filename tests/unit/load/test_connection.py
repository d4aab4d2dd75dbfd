"""Request heads."""

from __future__ import annotations

import pytest

from tests.fakes.load_worker import shape
from tui.core.address import address_of
from tui.core.errors import UsageError
from tui.engines.parts.auth import Auth, SecretHeader
from tui.load.wire import LoadTarget
from tui.load.worker_context import request_head

BEARER = Auth([SecretHeader("Authorization", "KEY", "Bearer ")])


def test_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "abc\n")
    head = request_head(LoadTarget(address_of("http://h:1/api"), BEARER), shape())
    assert head == (
        b"POST /api/v1/completions HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
        b"Accept: text/event-stream\r\nAuthorization: Bearer abc\r\nContent-Length: "
    )


@pytest.mark.parametrize("key", ["se\r\ncret: x", "se\u2028cret"])
def test_a_key_that_http_cannot_carry_is_refused_and_not_told(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", key)
    with pytest.raises(UsageError, match="KEY") as caught:
        request_head(LoadTarget(address_of("http://h:1"), BEARER), shape())
    assert "cret" not in str(caught.value)
