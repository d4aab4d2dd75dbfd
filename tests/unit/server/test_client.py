"""Asking a server from every kind of environment, and whatever it answers."""

from __future__ import annotations

from contextlib import aclosing

import httpx
import pytest

from tests.fakes.scripted_server import READ, STALL, Drip, Step, scripted_server
from tui.core.address import address_of
from tui.core.errors import LaunchError
from tui.server import client as client_module
from tui.server.client import NoAnswer, ServerClient, proxy_for

REMOTE = "http://gpu.example.org:8000"
LOCAL = "http://127.0.0.1:8000"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


Environment = dict[str, str]


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        (REMOTE, {}, ("", "")),
        (REMOTE, {"HTTP_PROXY": "http://p:1"}, ("HTTP_PROXY", "http://p:1")),
        (REMOTE, {"http_proxy": "http://p:1"}, ("HTTP_PROXY", "http://p:1")),
        (REMOTE, {"HTTP_PROXY": "p:1"}, ("HTTP_PROXY", "http://p:1")),
        (REMOTE, {"HTTPS_PROXY": "http://p:1"}, ("", "")),
        (REMOTE.replace("http:", "https:"), {"HTTPS_PROXY": "http://p:1"}, ("HTTPS_PROXY", "http://p:1")),
        (REMOTE, {"ALL_PROXY": "socks5://p:1"}, ("ALL_PROXY", "socks5://p:1")),
        (REMOTE, {"ALL_PROXY": "http://a:1", "HTTP_PROXY": "http://p:1"}, ("HTTP_PROXY", "http://p:1")),
        (REMOTE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, ("", "")),
        (REMOTE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "example.org"}, ("", "")),
        (REMOTE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "a, .example.org"}, ("", "")),
        (REMOTE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "gpu.example.org:8000"}, ("", "")),
        (REMOTE, {"HTTP_PROXY": "http://p:1", "NO_PROXY": "ple.org"}, ("HTTP_PROXY", "http://p:1")),
        (
            REMOTE,
            {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8,fd00::/8,[,/,::/x"},
            ("HTTP_PROXY", "http://p:1"),
        ),
        ("http://10.1.2.3:1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "localhost,10.0.0.0/8"}, ("", "")),
        ("http://[fd00::5]:1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8, fd00::/8"}, ("", "")),
        ("http://11.1.2.3:1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, ("HTTP_PROXY", "http://p:1")),
        (LOCAL, {"HTTP_PROXY": "http://p:1", "ALL_PROXY": "socks5://p:1"}, ("", "")),
        ("http://localhost:1", {"HTTP_PROXY": "http://p:1"}, ("", "")),
        ("http://[::1]:1", {"HTTP_PROXY": "http://p:1"}, ("", "")),
    ],
)
def test_which_proxy_is_asked(
    url: str, environment: Environment, proxy: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(address_of(url)) == proxy


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:1080"}, "ALL_PROXY names a SOCKS proxy"),
        ({"HTTPS_PROXY": "socks5h://127.0.0.1:1080"}, "HTTPS_PROXY names a SOCKS proxy"),
        ({"ALL_PROXY": "gopher://p"}, "ALL_PROXY: "),
        ({"HTTPS_PROXY": "http://p:80a"}, "HTTPS_PROXY: "),
        ({"SSL_CERT_FILE": "/opt/conda/ssl/cacert.pem"}, "SSL_CERT_FILE names certificates that cannot be read"),
        ({"SSL_CERT_DIR": "/opt/conda/ssl"}, "SSL_CERT_DIR names certificates that cannot be read"),
    ],
)
async def test_a_broken_environment_is_said_in_a_sentence_and_does_not_touch_this_machine(
    environment: Environment, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(LaunchError, match=f"^{said}"):
        ServerClient(address_of("https://gpu.example.org"))
    async with aclosing(ServerClient(address_of(LOCAL))):
        pass


async def test_networks_in_no_proxy_break_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.0/8,fd00::/8")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for url in (REMOTE, LOCAL, "http://[fd00::1]:1"):
        async with aclosing(ServerClient(address_of(url))):
            pass


async def test_a_server_on_this_machine_is_asked_past_every_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    good = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    async with scripted_server([READ, refusing]) as (proxy, asked), scripted_server([READ, good]) as (url, _):
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        async with aclosing(ServerClient(address_of(url))) as client:
            assert (await client.fetch("/v1/models")).json() == []
        assert asked.connections == 0


async def test_a_server_of_our_own_is_asked_past_every_proxy_wherever_it_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    async with aclosing(ServerClient(address_of("https://10.0.0.4:1"), verify=False, direct=True)) as client:
        assert client.proxy_variable == ""


async def test_what_a_proxy_answers_is_said_to_be_the_proxys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with aclosing(ServerClient(address_of(REMOTE))) as client:
        with pytest.raises(NoAnswer, match="asked through HTTP_PROXY"):
            await client.fetch("/v1/models")


def mocked(answer: httpx.Response | Exception) -> ServerClient:
    def give(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return ServerClient(address_of("http://server"), transport=httpx.MockTransport(give))


RAISED = [
    httpx.ConnectError("refused"),
    httpx.InvalidURL("Invalid port: '80a'"),
    httpx.ReadTimeout(""),
    UnicodeEncodeError("ascii", "\ufeff", 0, 1, "ordinal not in range(128)"),
    OSError(24, "Too many open files"),
    RuntimeError("Cannot send a request, as the client has been closed."),
]


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_whatever_is_raised_comes_out_as_a_sentence(error: Exception) -> None:
    async with aclosing(mocked(error)) as client:
        with pytest.raises(NoAnswer) as caught:
            await client.fetch("/v1/models")
    assert str(caught.value)


async def test_an_answer_without_an_end_is_cut_off() -> None:
    async with aclosing(mocked(httpx.Response(200, content=b"x" * (client_module.ANSWER_BYTES + 1)))) as client:
        with pytest.raises(NoAnswer, match="more than"):
            await client.fetch("/metrics")


async def test_an_answer_that_drips_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "WHOLE_TIMEOUT_S", 0.3)
    script: list[Step] = [READ, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", Drip(b"x" * 1000, 0.05)]
    async with scripted_server(script) as (url, _), aclosing(ServerClient(address_of(url))) as client:
        with pytest.raises(NoAnswer, match="no whole answer"):
            await client.fetch("/v1/models")


async def test_deeply_nested_json_is_as_none() -> None:
    async with aclosing(mocked(httpx.Response(200, content=b"[" * 100_000))) as client:
        assert (await client.fetch("/v1/models")).json() is None


async def test_a_redirect_is_told_and_not_followed() -> None:
    async with aclosing(mocked(httpx.Response(301, headers=[(b"Location", "https://h/\u202ex".encode())]))) as client:
        response = await client.fetch("/v1/models")
    assert (response.status, response.location) == (301, "https://h/x")


async def test_a_header_that_http_cannot_carry_is_refused_without_showing_it() -> None:
    with pytest.raises(LaunchError) as caught:
        ServerClient(address_of(LOCAL), headers=[("Authorization", "Bearer \ufeffsecret")])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("error", [httpx.ConnectTimeout(""), httpx.ReadTimeout(""), httpx.PoolTimeout("")])
async def test_a_time_out_has_a_reason(error: Exception) -> None:
    async with aclosing(mocked(error)) as client:
        with pytest.raises(NoAnswer, match=r"^no answer within 5 s$"):
            await client.fetch("/v1/models")


async def test_a_request_that_is_taken_is_left_before_its_answer() -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    script: list[Step] = [READ, endless, STALL]
    async with scripted_server(script) as (url, server), aclosing(ServerClient(address_of(url))) as client:
        response = await client.try_post("/v1/completions", [("X-Own", "1")], b'{"a":1}')
        assert (response.status, response.content) == (200, b"")
    assert b"x-own: 1" in server.requests[0].lower() and server.requests[0].endswith(b'{"a":1}')


async def test_a_request_that_is_refused_is_read_to_its_end() -> None:
    async with aclosing(mocked(httpx.Response(422, content=b"no"))) as client:
        response = await client.try_post("/v1/completions", [], b"{}")
    assert (response.status, response.content) == (422, b"no")


async def test_an_answer_is_waited_for_to_its_end() -> None:
    body = b"data: 1\n\n" + b"data: 2\n\n"
    async with aclosing(mocked(httpx.Response(200, content=body))) as client:
        response = await client.post("/v1/completions", [("X-Own", "1")], b"{}")
    assert (response.status, response.content) == (200, body)
