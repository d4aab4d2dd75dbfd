"""When a run is of no use."""

from __future__ import annotations

from typing import Any

import pytest

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.refused import why_nothing_was_asked

NOT_FOUND = "4 of 4 requests: HTTP 404: no route /v1/completions"


def cell(outcome: Outcome, evidence: str = "", **more: Any) -> CellResult:
    ok = {"requests_ok": 4} if outcome is Outcome.OK else {"requests_failed": 4}
    known = {"users": 4, "prompt_tokens": 8, "output_tokens": 2, "mode": "burst", "tag": 1}
    return CellResult(outcome=outcome, evidence=evidence, **{**known, **ok, **more})


OK = cell(Outcome.OK)


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [OK],
        [OK, cell(Outcome.OVERLOADED, "4 of 4 requests: HTTP 503, busy")],
        [OK, cell(Outcome.HTTP_ERROR, "4 of 4 requests: HTTP 500, oops")],
        [OK, cell(Outcome.HTTP_ERROR, "4 of 4 requests: HTTP 429, slow down")],
        [OK, cell(Outcome.HTTP_ERROR, NOT_FOUND, requests_ok=1)],
        [cell(Outcome.TOO_LONG, "2000 prompt + 8 output tokens exceed", tag=0)],
        [cell(Outcome.OOM_RUNTIME, "CUDA out of memory"), cell(Outcome.IMPLIED, tag=0)],
        [cell(Outcome.TIMEOUT, "no request finished")],
        [cell(Outcome.ENGINE_DEAD, "killed")],
    ],
)
def test_what_is_the_servers_own_is_of_use(cells: list[CellResult]) -> None:
    assert why_nothing_was_asked(cells, "chat") == ""


@pytest.mark.parametrize(
    ("status", "text", "endpoint", "hint"),
    [
        (404, "no route", "completions", 'endpoint = "chat"'),
        (405, "Method Not Allowed", "completions", 'endpoint = "chat"'),
        (404, "no route", "chat", 'endpoint = "completions"'),
        (404, "The model `m` does not exist.", "completions", ""),
        (401, "no key", "chat", "api_key_env"),
        (403, "not you", "chat", "api_key_env"),
        (
            400,
            "default chat template is no longer allowed",
            "chat",
            'endpoint = "completions"',
        ),
        (422, "extra field", "chat", ""),
    ],
)
def test_a_cell_that_was_refused_as_wrong_is_told_with_what_may_help(
    status: int, text: str, endpoint: str, hint: str
) -> None:
    evidence = f"4 of 4 requests: HTTP {status}: {text}"
    why = why_nothing_was_asked([OK, cell(Outcome.HTTP_ERROR, evidence)], endpoint)
    assert why.startswith(f"1 cell could not be measured, since the server refuses what is asked: {evidence}")
    assert hint in why if hint else why.endswith(evidence)


@pytest.mark.parametrize(
    ("outcome", "evidence"),
    [
        (Outcome.OVERLOADED, "4 of 4 requests: HTTP 503, busy"),
        (Outcome.HTTP_ERROR, "4 of 4 requests: HTTP 500, oops"),
        (Outcome.MALFORMED, "4 of 4 requests: content type text/html"),
        (Outcome.DISCONNECTED, "4 of 4 requests: closed"),
    ],
)
def test_a_run_of_refusals_alone_is_told(outcome: Outcome, evidence: str) -> None:
    why = why_nothing_was_asked([cell(outcome, evidence), cell(Outcome.TOO_LONG, "too long", tag=0)], "chat")
    assert why == f"not one request was answered: {evidence}"


@pytest.mark.parametrize(
    "said",
    [
        "The request signature we calculated does not match the signature you provided.",
        "The security token included in the request is invalid.",
        "Missing Authentication Token",
        "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z",
    ],
)
def test_a_refused_signature_has_the_variables_named_that_it_is_made_of(said: str) -> None:
    why = why_nothing_was_asked([cell(Outcome.HTTP_ERROR, f"4 of 4 requests: HTTP 403: {said}")], "completions")
    assert "AWS_SECRET_ACCESS_KEY" in why and "api_key_env" not in why
    why = why_nothing_was_asked([cell(Outcome.HTTP_ERROR, "4 of 4 requests: HTTP 403: Forbidden")], "completions")
    assert "api_key_env" in why
