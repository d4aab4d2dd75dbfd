"""The simulated endpoint looks at signatures as AWS does: by botocore, and in AWS's words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("botocore")

from tui.core.outcome import Outcome
from tui.engines.parts.dialect import dialect_named, read_error
from tui.engines.parts.sigv4 import sign
from tui.profile.simulator_table import SimulatorTable
from tui.simulator.dialect import Served
from tui.simulator.dialects import sagemaker_signature
from tui.simulator.dialects.sagemaker import SageMakerDialect
from tui.simulator.dialects.sagemaker_signature import Forbidden

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}
TARGET = "/endpoints/org%2Fmodel/invocations-response-stream"
BODY = b'{"inputs":"a b c"}'
OTHERS = "another-key-0123456789"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def signed() -> dict[str, str]:
    """Return the headers of a request as a load worker signs it."""
    plain = [("Content-Type", "application/json"), ("X-Amzn-SageMaker-Accept", "text/event-stream")]
    settings = {"service": "sagemaker", "region": "eu-central-1"}
    more = sign(settings, "POST", f"http://127.0.0.1:8123{TARGET}", plain, BODY)
    return {name.lower(): value for name, value in [("Host", "127.0.0.1:8123"), *plain, *more]}


def said_of(headers: dict[str, str], body: bytes = BODY, target: str = TARGET) -> tuple[str, str]:
    with pytest.raises(Forbidden) as refused:
        sagemaker_signature.check("POST", target.encode(), headers, body)
    assert refused.value.status == 403
    return refused.value.kind, str(refused.value)


def test_who_has_its_keys_is_let_in() -> None:
    sagemaker_signature.check("POST", TARGET.encode(), signed(), BODY)


@pytest.mark.parametrize(
    ("variable", "kind", "words"),
    [
        ("AWS_SECRET_ACCESS_KEY", "InvalidSignatureException", "The request signature we calculated does not match"),
        ("AWS_ACCESS_KEY_ID", "UnrecognizedClientException", "The security token included in the request is invalid."),
    ],
)
def test_a_wrong_key_is_refused_in_aws_s_words(
    monkeypatch: pytest.MonkeyPatch, variable: str, kind: str, words: str
) -> None:
    with monkeypatch.context() as theirs:
        theirs.setenv(variable, OTHERS)
        headers = signed()
    found, said = said_of(headers)
    assert (found, words in said) == (kind, True)
    assert OTHERS not in said and KEYS["AWS_SECRET_ACCESS_KEY"] not in said


def without(name: str) -> Callable[[dict[str, str]], None]:
    def change(headers: dict[str, str]) -> None:
        del headers[name]

    return change


@pytest.mark.parametrize(
    "change",
    [without("authorization"), without("x-amz-date"), lambda headers: headers.update(authorization="Bearer x")],
)
def test_a_request_that_is_not_signed_is_refused(change: Callable[[dict[str, str]], None]) -> None:
    headers = signed()
    change(headers)
    kind, _ = said_of(headers)
    assert kind in ("MissingAuthenticationTokenException", "IncompleteSignatureException")


def test_what_was_changed_on_the_way_is_refused() -> None:
    assert said_of(signed(), body=BODY + b" ")[0] == "InvalidSignatureException"
    assert said_of(signed(), target=TARGET.replace("model", "other"))[0] == "InvalidSignatureException"
    assert said_of(signed() | {"content-type": "text/plain"})[0] == "InvalidSignatureException"


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_clock_that_is_far_off_is_told(minutes: int) -> None:
    stamp = f"{datetime.now(UTC) + timedelta(minutes=minutes):%Y%m%dT%H%M%SZ}"
    kind, said = said_of(signed() | {"x-amz-date": stamp})
    assert kind == "InvalidSignatureException"
    assert f"Signature expired: {stamp}" in said or f"Signature not yet current: {stamp}" in said


def test_the_refusal_has_its_class_on_our_side() -> None:
    way = SageMakerDialect(Served("org/model", SimulatorTable())).ways()[0]
    response = way.refusal(Forbidden("InvalidSignatureException", "The request signature we calculated does not match"))
    assert (response.status_code, response.headers["x-amzn-errortype"]) == (403, "InvalidSignatureException")
    text, _ = read_error(bytes(response.body))
    assert dialect_named("tui.engines.sagemaker:DIALECT").outcome_of(403, text) is Outcome.HTTP_ERROR


@pytest.mark.parametrize("lacking", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "botocore"])
def test_an_endpoint_that_cannot_check_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    if lacking == "botocore":
        monkeypatch.setattr("tui.engines.parts.auth.find_spec", lambda name: None)
    else:
        monkeypatch.delenv(lacking)
    dialect = SageMakerDialect(Served("org/model", SimulatorTable()))
    dialect.log(1).banner("org/model", "127.0.0.1", 8000, {})
    said = capsys.readouterr().err
    assert f"signatures are not checked: {lacking} is not" in said
    scope = {"method": "POST", "raw_path": TARGET.encode(), "headers": []}
    dialect.ways()[0].admit(scope, BODY)
    monkeypatch.undo()
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Forbidden):
        SageMakerDialect(Served("org/model", SimulatorTable())).ways()[0].admit(scope, BODY)
