"""Request heads."""

from __future__ import annotations

import msgspec
import pytest

from tests.fakes.load_worker import shape
from tui.core.address import address_of
from tui.load.wire import LoadTarget
from tui.load.worker_context import decoder_of, request_head


def test_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "abc\n")
    head = request_head(LoadTarget(address_of("http://h:1/api"), "KEY"), shape())
    assert head == (
        b"POST /api/v1/completions HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
        b"Accept: text/event-stream\r\nAuthorization: Bearer abc\r\nContent-Length: "
    )


@pytest.mark.parametrize("key", ["se\r\ncret: x", "se\u2028cret"])
def test_a_key_that_http_cannot_carry_is_refused_and_not_told(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", key)
    with pytest.raises(ValueError) as caught:
        request_head(LoadTarget(address_of("http://h:1"), "KEY"), shape())
    assert "cret" not in str(caught.value)


def test_an_unknown_dialect() -> None:
    with pytest.raises(ValueError, match="there are: openai"):
        decoder_of(msgspec.structs.replace(shape(), dialect="morse"))
