"""Servers of this machine, found by what they answer; nothing that listens is written to or waited for long."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from tests.unit.test_cli import vramp
from tui.profile.catalogue import attaching_profile
from tui.profile.loader import load_profile
from tui.server import finding
from tui.server.finding import FoundServer, find_servers, listeners

MODELS = '{"object":"list","data":[{"id":"org/%s","object":"model","owned_by":"%s"}]}'


@contextmanager
def server_of(
    answers: dict[str, str], *, status: int = 404, context: ssl.SSLContext | None = None
) -> Iterator[tuple[int, list[str]]]:
    """Serve these answers, and `status` for the rest; give the port and what was asked that was no GET."""
    others: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = answers.get(self.path, "").encode()
            self.send_response(200 if content else status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            others.append(self.path)
            self.send_response(405)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, others
        finally:
            server.shutdown()
            thread.join()


def only(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    monkeypatch.setattr(finding, "listeners", lambda: [("127.0.0.1", port, "python") for port in ports])


async def test_each_is_told_by_what_only_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        server_of({"/v1/models": MODELS % ("a", "vllm")}) as (vllm, posted),
        server_of({"/": "Ollama is running", "/v1/models": MODELS % ("b", "library")}) as (ollama, _),
        server_of({"/v1/models": MODELS % ("c", "somebody")}) as (other, _),
        server_of({"/": "a page"}) as (page, _),
    ):
        only(monkeypatch, vllm, ollama, other, page)
        found = {one.base_url: one for one in await find_servers()}
    assert {url: one.engine for url, one in found.items()} == {
        f"http://127.0.0.1:{vllm}": "vllm",
        f"http://127.0.0.1:{ollama}": "ollama",
        f"http://127.0.0.1:{other}": "openai",
    }
    assert found[f"http://127.0.0.1:{vllm}"].model == "org/a"
    assert "vLLM  org/a (python)" in found[f"http://127.0.0.1:{vllm}"].in_words
    assert posted == []


async def test_what_says_nothing_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "PORT_TIMEOUT_S", 0.3)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        server_of({"/v1/models": MODELS % ("a", "vllm")}) as (vllm, _),
    ):
        only(monkeypatch, silent.getsockname()[1], vllm)
        began = time.monotonic()
        found = await find_servers()
    assert [one.engine for one in found] == ["vllm"]
    assert time.monotonic() - began < finding.WHOLE_TIMEOUT_S / 2


async def test_a_name_from_outside_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_of({"/v1/models": MODELS % (r"\u001b[31mred", "vllm")}) as (port, _):
        only(monkeypatch, port)
        (found,) = await find_servers()
    assert "\x1b" not in found.in_words


def test_listeners_are_those_on_loopback_with_their_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as here:
        port = here.getsockname()[1]
        assert ("127.0.0.1", port, psutil.Process().name()) in listeners()
    assert all(host in ("127.0.0.1", "::1") or host.startswith("127.") for host, _, _ in listeners())


def test_where_nobody_may_look_the_known_ports_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kind: str) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil, "net_connections", refuse)
    assert [port for _, port, _ in listeners()] == list(finding.KNOWN_PORTS)


def test_the_profile_of_a_found_server_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = attaching_profile("vllm", "http://127.0.0.1:8000")
    profile = load_profile(path)
    assert profile.attach is not None
    assert (profile.engine, profile.attach.base_url) == ("vllm", "http://127.0.0.1:8000")
    path.write_text(path.read_text() + "[load]\nusers = [3]\n")
    assert attaching_profile("vllm", "http://127.0.0.1:8000") == path
    assert load_profile(path).load.users == [3]


def test_without_a_terminal_they_are_listed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def found() -> list[FoundServer]:
        return [FoundServer("vllm", "http://127.0.0.1:8000", "org/m", "python")]

    monkeypatch.setattr(finding, "find_servers", found)
    assert vramp(monkeypatch, "attach", "--find") == 0
    assert capsys.readouterr().out == "http://127.0.0.1:8000  vLLM  org/m (python)\n"


def test_none_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    only(monkeypatch)
    assert vramp(monkeypatch, "attach", "--find") == 3
    assert "no server that vramp knows answers" in capsys.readouterr().err
    assert vramp(monkeypatch, "attach", "--find", "--read-only") == 2


async def test_one_that_wants_a_key_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_of({}, status=401) as (port, _):
        only(monkeypatch, port)
        told: list[FoundServer] = []
        (found,) = await find_servers(told.append)
    assert told == [found]
    assert (found.engine, found.wants_key, found.model) == ("openai", True, "")
    assert "wants a key" in found.in_words


async def test_one_behind_tls_is_found_with_a_certificate_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    made = tmp_path / "both.pem"
    what = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost"]
    command = ["openssl", "req", "-x509", *what, "-keyout", str(made), "-out", str(tmp_path / "cert.pem")]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", made)
    with server_of({"/v1/models": MODELS % ("a", "vllm")}, context=context) as (port, _):
        only(monkeypatch, port)
        (found,) = await find_servers()
    assert (found.engine, found.base_url, found.verified) == ("vllm", f"https://127.0.0.1:{port}", False)


def test_a_certificate_that_cannot_be_checked_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    attach = load_profile(attaching_profile("vllm", "https://127.0.0.1:8000", verify=False)).attach
    assert attach is not None and attach.verify is False
