"""What every serving system holds to, by answers of its own: tests/corpus/engines/NAME.toml.

An engine that is added is tested by adding its file. Bodies are as the server sends them; each event is a chunk.
"""

from __future__ import annotations

import json
import re
import struct
import tomllib
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest

from tui.core.outcome import Outcome
from tui.engines.base import READY, FailureClass, LogFact, Wish
from tui.engines.catalogue import engine_for, names
from tui.engines.parts.dialect import dialect_named
from tui.engines.triton import NAMING_CAUSES, OUT_OF_MEMORY
from tui.engines.vllm.rules import CONSEQUENCES, MEMORY_WHILE_RUNNING, SPECIFIC, TELLING
from tui.load.response import Response
from tui.load.tally import Tally
from tui.profile.catalogue import entries
from tui.profile.schema import Endpoint, Profile

CORPUS = Path(__file__).parents[2] / "corpus" / "engines"
KINDS = frozenset(
    {"good", "packed", "fewer", "more", "early-end", "error-before", "error-within", "overload", "too-long"}
)


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One answer of a server, and what is true of it."""

    kind: str
    body: str
    outcome: Outcome = Outcome.OK
    status: int = 200
    type: str = "text/event-stream"
    dialect: str = ""
    """Empty = that of the engine's first way to ask."""
    amazon: bool = False
    """Whether its events come within frames of Amazon's, as botocore writes them; "!NAME {...}" is an exception."""
    asked: int = 3
    exact: bool = False
    tokens: int | None = None
    events: int | None = None
    prompt_tokens: int | None = None
    words: str = ""
    """Found in the error."""


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A log of a start, and what it tells."""

    text: str = ""
    file: str = ""
    """In tests/corpus, in place of `text`."""
    exit_code: int | None = None
    failure: FailureClass | None = None
    """None = it got ready."""
    words: str = ""
    """Found in the decisive line."""

    @property
    def lines(self) -> list[str]:
        return (self.text or (CORPUS.parent / self.file).read_text()).splitlines()


class Corpus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    same_as: str = ""
    """Another engine, whose answers and logs these are besides its own."""
    answers: list[Answer] = []
    logs: list[Log] = []


@cache
def corpus_of(name: str) -> Corpus:
    corpus = msgspec.convert(tomllib.loads((CORPUS / f"{name}.toml").read_text()), Corpus)
    if not corpus.same_as:
        return corpus
    other = corpus_of(corpus.same_as)
    return Corpus(answers=[*other.answers, *corpus.answers], logs=corpus.logs or other.logs)


def in_frames(event: bytes) -> list[bytes]:
    """Return an event in two frames whose border is not its own, or an exception in one."""
    if event.startswith(b"!"):
        name, _, payload = event[1:].strip().partition(b" ")
        return [frame(payload, {":message-type": "exception", ":exception-type": name.decode()})]
    part = {":event-type": "PayloadPart", ":message-type": "event"}
    return [frame(event[:21], part), frame(event[21:], part)]


def frame(payload: bytes, headers: dict[str, str]) -> bytes:
    block = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    head = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    head += struct.pack(">I", crc32(head))
    whole = head + block + payload
    return whole + struct.pack(">I", crc32(whole))


def bytes_of(answer: Answer) -> bytes:
    head = f"HTTP/1.1 {answer.status} X\r\n" + (f"content-type: {answer.type}\r\n" if answer.type else "")
    body = answer.body.encode()
    if answer.status != 200:
        return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body
    events = re.findall(rb".*?\n\n|.+\Z", body, re.DOTALL)
    if answer.type.endswith("ndjson"):
        events = body.splitlines(keepends=True)
    if answer.amazon:
        events = [frame for event in events for frame in in_frames(event)]
    return (
        head.encode()
        + b"transfer-encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events)
        + b"0\r\n\r\n"
    )


def shape_of(name: str, **wish: Any):  # type: ignore[no-untyped-def]
    endpoint = Endpoint(engine_for(name).endpoints[0])
    values: dict[str, Any] = {"model": "m", "endpoint": endpoint, "prompt_tokens": 9, "output_tokens": 3}
    return engine_for(name).request_shape(Wish(**(values | wish)))


def response_of(name: str, answer: Answer) -> Response:
    dialect = dialect_named(answer.dialect or shape_of(name).dialect)
    return Response(answer.asked, dialect, Tally(), exact=answer.exact)


def seen(response: Response) -> tuple[object, ...]:
    return response.over, response.outcome, response.output_tokens, len(response.stamps_ns), response.prompt_tokens


EVERY = [(name, number) for name in names() for number in range(len(corpus_of(name).answers))]


@pytest.mark.parametrize("name", names())
def test_the_corpus_has_every_kind(name: str) -> None:
    assert {answer.kind for answer in corpus_of(name).answers} == KINDS


@pytest.mark.parametrize(("name", "number"), EVERY)
def test_an_answer_is_read_alike_however_it_is_cut(name: str, number: int) -> None:
    answer = corpus_of(name).answers[number]
    whole = bytes_of(answer)
    expected = response_of(name, answer)
    expected.feed(whole, 1)
    assert expected.over
    assert expected.outcome is answer.outcome, expected.error
    assert answer.words in expected.error
    for found, told in (
        (expected.output_tokens, answer.tokens),
        (len(expected.stamps_ns), answer.events),
        (expected.prompt_tokens, answer.prompt_tokens),
    ):
        assert told is None or found == told
    for at in range(len(whole)):
        response = response_of(name, answer)
        response.feed(whole[:at], 1)
        response.feed(whole[at:], 2)
        assert seen(response) == seen(expected), at


@pytest.mark.parametrize("name", names())
def test_a_good_answer_that_breaks_off_is_no_success_until_it_was_complete(name: str) -> None:
    for answer in corpus_of(name).answers:
        if answer.kind != "good":
            continue
        whole = bytes_of(answer)
        complete_at = None
        for at in range(len(whole)):
            response = response_of(name, answer)
            response.feed(whole[:at], 1)
            response.end_of_stream(2, "Connection reset by peer")
            if response.outcome is Outcome.OK:
                complete_at = at if complete_at is None else complete_at
                assert response.output_tokens == answer.tokens
            else:
                assert complete_at is None, at


@pytest.mark.parametrize(
    ("name", "endpoint"), [(name, Endpoint(each)) for name in names() for each in engine_for(name).endpoints]
)
def test_a_request_can_be_made(name: str, endpoint: Endpoint) -> None:
    shape = shape_of(name, endpoint=endpoint, body={"x-more": 1})
    prompt = b"[5,6]" if shape.prompt_kind == "token-ids" else b'"hi"'
    asked = json.loads(shape.body_head + prompt + shape.body_tail)
    assert shape.path.startswith("/")
    assert asked["x-more"] == 1
    assert asked["stream"] is True
    dialect_named(shape.dialect)


NONSENSE = [
    b"",
    b"\xff\xfe",
    b"{}",
    b"[]",
    b"null",
    b'"x"',
    b"7",
    b'{"data":7}',
    b'{"tokens":{}}',
    b"<html>",
    b"[" * 9000,
]


@pytest.mark.parametrize("name", names())
def test_nonsense_is_no_answer_to_a_question(name: str) -> None:
    questions = engine_for(name).questions
    asked = [
        *(
            questions.alive(),
            questions.models(),
            questions.version(),
            questions.tokenize("m", "a"),
            questions.metrics(),
            questions.held(),
        ),
        *(questions.tokenize("m", [{"role": "user", "content": "a"}]), questions.limits(["m"])),
        *(questions.count("m", "a"), questions.count("m", [{"role": "user", "content": "a"}])),
    ]
    for question in asked:
        if question is None:
            continue
        assert question.path.startswith("/")
        for status in (200, 404, 500):
            for content in [*NONSENSE, b"[" * 9000]:
                question.read(status, content)


@pytest.mark.parametrize("name", names())
def test_a_launch_has_stages_and_a_plan_and_reads_any_log(name: str) -> None:
    launch = engine_for(name).launch
    if launch is None:
        return
    assert launch.stages[-1] == READY
    assert set(launch.may_return_to) <= set(launch.stages)
    server = {"model": "m", "args": {"a": 1, "flag": True, "off": False}, "gpus": [1], "extra_args": ["--zz"]}
    profile = Profile.model_validate({"name": "p", "engine": name, "server": server})
    assert profile.server is not None
    plan = launch.plan(profile, 8001, None)
    assert plan.argv[-1] == "--zz"
    assert "8001" in plan.argv
    assert plan.base_url.endswith(":8001")
    assert launch.gpus_needed(profile.server) >= 0
    for line in ("", "x", "ERROR", "{}", "\x1b[31m"):
        assert launch.read_log_line(line) is None or isinstance(launch.read_log_line(line), LogFact)
    assert launch.diagnose(["nothing to be seen"], started=False, exit_code=None) is None


@pytest.mark.parametrize("name", names())
def test_its_logs_tell_of_a_start_and_of_failures(name: str) -> None:
    launch = engine_for(name).launch
    logs = corpus_of(name).logs
    if launch is None:
        return
    assert {log.failure is None for log in logs} == {True, False}
    for log in logs:
        facts = [fact for line in log.lines if (fact := launch.read_log_line(line))]
        stages = [fact.stage for fact in facts if fact.stage is not None]
        assert set(stages) <= set(launch.stages)
        found = launch.diagnose(log.lines, started=False, exit_code=log.exit_code)
        assert (found.failure if found else None) == log.failure, log
        if log.failure is None:
            assert (stages[-1], facts[-1].progress) == (READY, 1.0)
            assert any(fact.kv_cache_tokens for fact in facts)
        else:
            assert found is not None and log.words in found.line
            assert launch.message_of(found.line) == found.line
            assert found.summary and found.advice


OF_STARTS, OF_REQUESTS = 1, 2
UNSAID = {Outcome.OK, Outcome.HTTP_ERROR, Outcome.MALFORMED}
"""What needs no words of a system's own."""


def documented() -> dict[str, list[set[str]]]:
    """Return the failures that docs/engines.md says are known: of each engine, those of starts and of requests."""
    text = (Path(__file__).parents[3] / "docs" / "engines.md").read_text()
    table = text.partition("## Failures known")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    return {row[0].strip(" `"): [set(re.findall(r"`([\w-]+)`", column)) for column in row] for row in rows}


def failures_of_starts(name: str) -> set[str]:
    launch = engine_for(name).launch
    rules = [] if launch is None else list(launch.rules)
    if name in ("vllm", "triton-vllm", "ray-serve"):
        rules += [*SPECIFIC, *TELLING, *CONSEQUENCES, MEMORY_WHILE_RUNNING]
    if name == "triton-vllm":
        rules += [*NAMING_CAUSES, OUT_OF_MEMORY]
    found = {str(rule.failure) for rule in rules}
    return found | {"oom-runtime"} if "oom-weights" in found else found  # the same words, once it runs


@pytest.mark.parametrize("name", [name for name in names() if name != "simulated"])
def test_the_failures_that_are_documented_are_those_that_are_known(name: str) -> None:
    found = documented()[name]
    assert found[OF_STARTS] == failures_of_starts(name)
    assert found[OF_REQUESTS] == {
        str(answer.outcome) for answer in corpus_of(name).answers if answer.outcome not in UNSAID
    }


@pytest.mark.parametrize("name", ["llama-cpp", "sglang", "tgi", "triton-trtllm"])
def test_each_failure_of_a_start_is_in_the_corpus(name: str) -> None:
    in_corpus = {str(log.failure) for log in corpus_of(name).logs if log.failure}
    assert in_corpus | {"oom-runtime"} == failures_of_starts(name)


def test_every_engine_that_is_launched_has_a_profile() -> None:
    shipped = {entry.profile.engine for entry in entries() if entry.shipped and entry.profile is not None}
    assert {name for name in names() if engine_for(name).launch is not None} <= shipped
