"""Addresses as people paste them."""

from __future__ import annotations

import pytest

from tui.core.address import ServerAddress, address_of, addresses_of

MODELS, CHAT, HEALTH = "/v1/models", "/v1/chat/completions", "/health"


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "header"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, False, "127.0.0.1:8000"),
        ("http://example.org", "example.org", 80, False, "example.org"),
        ("http://example.org:/", "example.org", 80, False, "example.org"),
        ("https://example.org/api/", "example.org", 443, True, "example.org"),
        ("HTTPS://Example.ORG:443", "example.org", 443, True, "example.org"),
        ("http://[::1]:8000", "::1", 8000, False, "[::1]:8000"),
        ("http://127.1:8000", "127.0.0.1", 8000, False, "127.0.0.1:8000"),
        ("http://my_server-1.local.:1", "my_server-1.local.", 1, False, "my_server-1.local.:1"),
        ("http://bücher.example:1", "xn--bcher-kva.example", 1, False, "xn--bcher-kva.example:1"),
    ],
)
def test_where_it_points(url: str, host: str, port: int, tls: bool, header: str) -> None:
    address = address_of(url)
    assert (address.host, address.port, address.tls, address.host_header) == (host, port, tls, header)


@pytest.mark.parametrize(
    ("url", "models", "health"),
    [
        ("http://h", "/v1/models", "/health"),
        ("http://h/", "/v1/models", "/health"),
        ("http://h/v1", "/v1/models", "/health"),
        ("http://h/v1/", "/v1/models", "/health"),
        ("http://h/api/paas/v4", "/api/paas/v4/models", "/api/paas/health"),
        ("http://h//api//paas/v4/", "/api/paas/v4/models", "/api/paas/health"),
        ("http://h/openai/v1/", "/openai/v1/models", "/openai/health"),
        ("http://h/v1beta", "/v1beta/models", "/health"),
        ("http://h/v1beta/openai/", "/v1beta/openai/models", "/v1beta/openai/health"),
        ("http://h/gateway", "/gateway/v1/models", "/gateway/health"),
        ("http://h/vast", "/vast/v1/models", "/vast/health"),
        # What was copied whole from a terminal or a browser.
        ("http://h/v1/chat/completions", "/v1/models", "/health"),
        ("http://h/v1/completions", "/v1/models", "/health"),
        ("http://h/v1/models", "/v1/models", "/health"),
        ("http://h/health", "/v1/models", "/health"),
        ("http://h/metrics", "/v1/models", "/health"),
        ("http://h/docs", "/v1/models", "/health"),
        ("http://h/gateway/completion", "/gateway/v1/models", "/gateway/health"),
        ("http://h/chat/completions", "/models", "/health"),
        ("http://h/api/paas/v4/chat/completions", "/api/paas/v4/models", "/api/paas/health"),
        # A query goes with every request.
        ("http://h/openai/v1?api-version=2026-01-01", "/openai/v1/models?api-version=2026-01-01", None),
        ("http://h/openai/deployments/d/chat/completions?a=1&b", "/openai/deployments/d/models?a=1&b", None),
        ("http://h?a=b c".replace(" ", "%20"), "/v1/models?a=b%20c", "/health?a=b%20c"),
        ("http://h/modèle/v1#top", "/mod%C3%A8le/v1/models", "/mod%C3%A8le/health"),
    ],
)
def test_what_a_request_names(url: str, models: str, health: str | None) -> None:
    address = address_of(url)
    assert address.target(MODELS) == models
    assert address.target(CHAT) == models.replace("/models", "/chat/completions")
    if health is not None:
        assert address.target(HEALTH) == health


def test_a_path_with_a_query_of_its_own_keeps_it() -> None:
    assert address_of("http://h?a=1").target("/x?b=2") == "/x?b=2&a=1"


@pytest.mark.parametrize(
    ("url", "apis"),
    [
        ("http://h", ["/v1", ""]),
        ("http://h/gateway", ["/gateway/v1", "/gateway"]),
        ("http://h/v2/gateway", ["/v2/gateway", "/v2/gateway/v1"]),
        ("http://h/v1", ["/v1"]),
        ("http://h/v1/chat/completions", ["/v1"]),
    ],
)
def test_what_else_it_may_mean(url: str, apis: list[str]) -> None:
    assert [address.api for address in addresses_of(url)] == apis


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "http://host"),
        ("example.org", "http://host"),
        ("ftp://example.org", "http://host"),
        ("http://", "http://host"),
        ("http:///v1", "http://host"),
        ("http://h:99999", "port of 1 to 65535"),
        ("http://h:0", "port of 1 to 65535"),
        ("http://h:80a", "port of 1 to 65535"),
        ("http://h:-1", "port of 1 to 65535"),
        ("http://h:８０", "port of 1 to 65535"),
        ("http://h:" + "9" * 5000, "port of 1 to 65535"),
        ("http://[::1:8000", "whole brackets"),
        ("http://::1:8000", "http://host"),
        ("http://[::g]:8000", "whole brackets"),
        ("http://300.1.1.1", "a host that there can be"),
        ("http://a..b", "a host that there can be"),
        ("http://" + "a" * 64, "a host that there can be"),
        ("http://" + "a." * 200 + "b", "a host that there can be"),
        ("http://a%00b", "a host that there can be"),
        ("http://a,b", "a host that there can be"),
        ("http://a b", "without blanks"),
        ("http://a\\b", "without blanks"),
        ("http://a/\r\nX: y", "without blanks"),
        ("http://me:pw@h", "without a name or a password"),
        ("http://me@h", "without a name or a password"),
    ],
)
def test_what_is_no_address(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        address_of(url)
    assert problem in str(caught.value)
    assert "pw" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("api.localhost", True),
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("[::1]", True),
        ("[::ffff:127.0.0.1]", True),
        ("0.0.0.0", True),
        ("10.0.0.1", False),
        ("localhost.example.org", False),
        ("[fd00::1]", False),
    ],
)
def test_which_are_of_this_machine(host: str, loopback: bool) -> None:
    assert address_of(f"http://{host}:1").is_loopback is loopback


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://h:80/", "http://h"),
        ("http://h:1/v1", "http://h:1"),
        ("https://h/api/paas/v4/chat/completions?a=1", "https://h/api/paas/v4"),
        ("http://[::1]:1/gateway", "http://[::1]:1/gateway"),
    ],
)
def test_as_people_write_it(url: str, text: str) -> None:
    assert str(address_of(url)) == text
    assert address_of(text) == ServerAddress(
        *(getattr(address_of(url), name) for name in ("tls", "host", "port", "root", "api"))
    )
