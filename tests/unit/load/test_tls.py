"""TLS: the same outcomes as without, the kernel's stamps, and a certificate that must hold."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from tests.fakes.load_worker import in_process_worker, shape
from tests.fakes.scripted_server import CLOSE, GOOD, READ, STALL, Drip, Step, scripted_server
from tests.unit.load.test_bad_servers import BAD, GOOD_SCRIPT
from tui.core.clock import now_ns
from tui.core.outcome import Outcome
from tui.core.trust import tls_context
from tui.load.tls import TlsConnection
from tui.load.wire import ChangeUsers


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for `localhost` that nobody has signed but itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    made = tmp_path_factory.mktemp("tls") / "both.pem"
    what = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", f"{made}.key", "-out", str(made)]
    subprocess.run(["openssl", "req", "-x509", *what, *names, *files], check=True, capture_output=True)
    made.write_text(made.read_text() + Path(f"{made}.key").read_text())
    return made


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


async def test_it_has_the_stamps_of_the_kernel(context: ssl.SSLContext) -> None:
    async with (
        scripted_server(GOOD_SCRIPT, tls=context) as (base_url, server),
        in_process_worker(base_url, verify=False) as load,
    ):
        # The kernel begins to stamp a moment after it was asked to.
        for _ in range(100):
            records = await load.burst(3, now_ns())
            assert [record.outcome for record in records] == [Outcome.OK] * 3, records[0].error
            if load.reports[-1].stamps == "kernel":
                break
            load.worker._context.clock.resync()
            load.worker._context.clock.resync()
        assert load.reports[-1].stamps == "kernel"
        assert all(request.startswith(b"POST /v1/completions HTTP/1.1") for request in server.requests)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_records_cut_anywhere_and_connections_kept(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    context.minimum_version = context.maximum_version = version
    async with (
        scripted_server([READ, Drip(GOOD, 0), READ, GOOD], tls=context) as (base_url, _),
        in_process_worker(base_url, verify=False) as load,
    ):
        load.worker.obey(ChangeUsers([0], []))
        first, second = (await load.until_records(2))[:2]
        assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK), (first.error, second.error)
        assert first.connect_ns is not None
        assert second.connect_ns is None


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_server_ends_in_the_same_outcome(name: str, context: ssl.SSLContext) -> None:
    script, outcome, _ = BAD[name]
    async with (
        scripted_server(script, GOOD_SCRIPT, tls=context) as (base_url, server),
        in_process_worker(base_url, verify=False, request_timeout_s=0.5 if outcome is Outcome.TIMEOUT else 30) as load,
    ):
        load.worker.obey(ChangeUsers([0], []))
        first, second = (await load.until_records(2))[:2]
        assert (first.outcome, second.outcome) == (outcome, Outcome.OK), (first.error, second.error)
        load.worker.obey(ChangeUsers([], [0], cut=True))
        assert load.reports[-1].in_flight == 0
        assert server.connections <= 3


async def test_a_large_request_goes_out_whole(context: ssl.SSLContext) -> None:
    async with (
        scripted_server(GOOD_SCRIPT, tls=context) as (base_url, server),
        in_process_worker(base_url, verify=False, of=shape(prompt_tokens=2_000_000)) as load,
    ):
        (record,) = await load.burst(1, now_ns())
    assert record.outcome is Outcome.OK, record.error
    assert server.requests[0].endswith(b"]}")
    assert server.requests[0].count(b",") == 2_000_000


async def test_a_certificate_that_holds(
    context: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        scripted_server(GOOD_SCRIPT, tls=context) as (base_url, _),
        in_process_worker(base_url.replace("127.0.0.1", "localhost")) as load,
    ):
        (record,) = await load.burst(1, now_ns())
    assert record.outcome is Outcome.OK, record.error


@pytest.mark.parametrize("trusted", [False, True])
async def test_a_certificate_that_does_not_hold(
    trusted: bool, context: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:  # but it is for another name than that of the URL
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with (
        scripted_server(GOOD_SCRIPT, tls=context) as (base_url, server),
        in_process_worker(base_url) as load,
    ):
        (record,) = await load.burst(1, now_ns())
        assert not server.requests
    assert record.outcome is Outcome.DISCONNECTED
    assert "certificate does not hold" in record.error
    assert ("127.0.0.1" if trusted else "self-signed") in record.error


@pytest.mark.parametrize(
    ("script", "outcome"),
    [([GOOD], Outcome.DISCONNECTED), ([CLOSE], Outcome.DISCONNECTED), ([STALL], Outcome.TIMEOUT)],
    ids=["it speaks HTTP", "it closes", "it says nothing"],
)
async def test_a_server_that_does_not_speak_tls(script: Sequence[Step], outcome: Outcome) -> None:
    async with (
        scripted_server(script) as (base_url, _),
        in_process_worker(
            base_url.replace("http:", "https:"), request_timeout_s=0.5 if outcome is Outcome.TIMEOUT else 30
        ) as load,
    ):
        (record,) = await load.burst(1, now_ns())
    assert record.outcome is outcome, record.error


class Plain:
    """A connection that is open, and what was sent by it."""

    is_open = True

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, buffers: list[bytes]) -> None:
        self.sent += buffers

    def close(self) -> None:
        pass


class Owner:
    """What a connection told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_open(self) -> None:
        self.told.append("open")

    def feed(self, data: bytes, at_ns: int) -> None:
        self.told.append(data)

    def on_closed(self, error: Exception | None) -> None:
        self.told.append(error)


def test_no_step_of_a_handshake_is_taken_while_others_are_to_be_read() -> None:
    plain, owner = Plain(), Owner()
    steps: list[Any] = []
    connection = TlsConnection(
        cast("Any", None), tls_context(False), "localhost", owner, lambda _: cast("Any", plain), steps.append
    )
    connection.on_open()
    assert not plain.sent
    steps.pop()()
    assert len(plain.sent) == 1  # the client's first word
    connection.feed(b"no", 1)
    connection.feed(b" word of TLS", 2)
    assert len(steps) == 1
    assert owner.told == []
    # The end does not hide what came before it, and the step that waited finds nothing left to do.
    connection.on_closed(None)
    steps.pop()()
    (error,) = owner.told
    assert isinstance(error, ssl.SSLError)
