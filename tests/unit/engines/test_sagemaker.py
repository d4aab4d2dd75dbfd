"""SageMaker's frames and signatures, by botocore's own parser and signer."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.unit.engines.test_contract import CORPUS, in_frames
from tui.core.errors import UsageError
from tui.engines.catalogue import engine_for
from tui.engines.parts.auth import Auth
from tui.engines.parts.framing import AwsEventStream
from tui.profile.schema import Profile

URL = "https://runtime.sagemaker.eu-central-1.amazonaws.com/endpoints/e-1/invocations-response-stream"
HEADERS = [
    ("Host", "runtime.sagemaker.eu-central-1.amazonaws.com"),
    ("Content-Type", "application/json"),
    ("X-Amzn-SageMaker-Accept", "text/event-stream"),
]


def sign(region: str, body: bytes) -> dict[str, str]:
    signer = Auth(signer="tui.engines.parts.sigv4:sign").load_signer()
    assert signer is not None
    return dict(signer({"service": "sagemaker", "region": region}, "POST", URL, HEADERS, body))


def profile(base_url: str = "https://runtime.sagemaker.eu-central-1.amazonaws.com") -> Profile:
    attach = {"base_url": base_url, "model": "e-1"}
    return Profile.model_validate({"name": "p", "engine": "sagemaker", "attach": attach})


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session")


def test_frames_are_those_that_botocore_reads() -> None:
    """The contract's frames are of our making: botocore must find in them what our framing finds."""
    eventstream = pytest.importorskip("botocore.eventstream")
    bodies = re.findall(r"body = '''\n(.*?)'''", (CORPUS / "sagemaker.toml").read_text(), re.DOTALL)
    framed = [body for body in bodies if "data:" in body]
    assert len(framed) > 10
    for body in framed:
        events = re.findall(rb".*?\n\n|.+\Z", body.encode(), re.DOTALL)
        whole = b"".join(frame for event in events for frame in in_frames(event))
        buffer = eventstream.EventStreamBuffer()
        buffer.add_data(whole)
        theirs = b"".join(each.payload for each in buffer if each.headers[":message-type"] == "event")
        ours: list[bytes] = []
        AwsEventStream(ours.append).feed(whole)
        plain = [event for event in ours if not event.startswith(b'{"error":{"message"')]
        assert plain == [part.removeprefix(b"data:").strip() for part in theirs.split(b"\n\n") if part.strip()]


def test_a_request_is_signed_as_botocore_signs_it(credentials: None) -> None:
    auth = pytest.importorskip("botocore.auth")
    awsrequest = pytest.importorskip("botocore.awsrequest")
    body = b'{"inputs":"a b"}'
    added = sign("eu-central-1", body)
    assert set(added) == {"X-Amz-Date", "X-Amz-Security-Token", "Authorization"}
    assert added["X-Amz-Security-Token"] == "a-session"
    signed = re.search(r"SignedHeaders=([^,]+)", added["Authorization"])
    assert signed is not None
    assert set(signed[1].split(";")) >= {"host", "content-type", "x-amz-date", "x-amz-security-token"}
    # What a service does: the signature of what arrived, at the time that it names.
    signer = auth.SigV4Auth(
        __import__("botocore.credentials").credentials.Credentials(
            "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "a-session"
        ),
        "sagemaker",
        "eu-central-1",
    )
    arrived = awsrequest.AWSRequest("POST", URL, {**dict(HEADERS), **added}, body)
    del arrived.headers["Authorization"]
    arrived.context["timestamp"] = added["X-Amz-Date"]
    arrived.context["payload_signing_enabled"] = True
    signature = signer.signature(signer.string_to_sign(arrived, signer.canonical_request(arrived)), arrived)
    assert added["Authorization"].endswith(f"Signature={signature}")
    other = sign("eu-central-1", body + b" ")
    assert other["Authorization"] != added["Authorization"]


def test_what_lacks_for_a_signature_is_said(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("botocore")
    with pytest.raises(UsageError, match="AWS_REGION"):
        sign("", b"")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(UsageError, match="AWS_SECRET_ACCESS_KEY"):
        sign("eu-central-1", b"")


def test_without_botocore_is_said_what_to_install(credentials: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tui.engines.parts.sigv4", raising=False)
    for module in ("botocore", "botocore.auth", "botocore.awsrequest", "botocore.credentials"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"vramp\[sagemaker\]"):
        sign("eu-central-1", b"")


def test_the_region_is_that_of_the_address_before_that_of_the_environment(
    credentials: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    auth = engine_for("sagemaker").auth(profile())
    assert auth.settings["region"] == "eu-central-1"
    assert auth.variables == ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    assert engine_for("sagemaker").auth(profile("http://127.0.0.1:8080")).settings["region"] == "us-east-1"


def test_a_worker_imports_botocore_only_when_it_signs() -> None:
    code = "import sys, tui.engines.sagemaker; sys.exit('botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
