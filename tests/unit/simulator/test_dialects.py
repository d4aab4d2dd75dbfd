"""Each serving system's simulated server, read by that system's own engine: its dialect, questions and log rules.

No sockets: the ASGI application is called, and its messages become the bytes that a load worker reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from tui.core.errors import UsageError
from tui.core.outcome import Outcome
from tui.engines.base import READY, FailureClass, RequestShape, ServerMetrics, Wish
from tui.engines.catalogue import engine_for, names, simulated_as, title_of
from tui.engines.engine import Engine
from tui.engines.parts.dialect import dialect_named
from tui.engines.parts.questions import Question
from tui.load.response import Response
from tui.load.tally import Tally
from tui.profile.schema import Endpoint
from tui.profile.simulator_table import FailOnPurpose, ServedAs, SimulatorTable
from tui.simulator import vocabulary
from tui.simulator.application import application_of
from tui.simulator.dialect import Aftermath, Served, ServedDialect
from tui.simulator.dialects import dialect_of
from tui.simulator.failing import with_failure
from tui.simulator.gauges import Gauges
from tui.simulator.gpus import VirtualGpus
from tui.simulator.live import LiveEngine
from tui.simulator.requests import GenerationRequest

MODEL = "org/simulated-7b"
LIMIT = 512
TIMEOUT_S = 3.0
WAYS = [(name, Endpoint(each)) for name in ServedAs for each in engine_for(name).endpoints]
# Where a server tells nothing of its death but by being gone, a stream just stops.
JUST_STOPS = {(ServedAs.SGLANG, Endpoint.COMPLETIONS), (ServedAs.SGLANG, Endpoint.CHAT)}
JUST_STOPS |= {(ServedAs.LLAMA_CPP, Endpoint.COMPLETIONS), (ServedAs.LLAMA_CPP, Endpoint.CHAT)}
# vLLM's own words name its engine's death and never the cause of it: its log does.
ENGINE_DEAD = {ServedAs.VLLM, ServedAs.RAY_SERVE, ServedAs.TRITON_VLLM}


@dataclass
class Simulated:
    """A simulated server without its socket."""

    name: ServedAs
    engine: Engine
    served: ServedDialect
    live: LiveEngine
    app: Starlette

    def shape(self, endpoint: Endpoint, prompt_tokens: int, output_tokens: int) -> RequestShape:
        models = self.engine.questions.models()
        model = MODEL if models is None or not self.name.startswith("triton") else self.model
        return self.engine.request_shape(Wish(model, endpoint, prompt_tokens, output_tokens))

    @property
    def model(self) -> str:
        return {"triton-vllm": "vllm_model", "triton-trtllm": "ensemble"}.get(self.name, MODEL)

    async def ask(self, question: Question[Any] | None) -> Any:
        assert question is not None
        body = b"" if question.body is None else msgspec.json.encode(question.body)
        status, _, parts = await self.send("GET" if question.body is None else "POST", question.path, body)
        return question.read(status, b"".join(parts))

    async def answer(self, endpoint: Endpoint, *, prompt: int = 20, asked: int = 8) -> Response:
        """Return what a load worker makes of the answer to a request for `asked` tokens."""
        shape = self.shape(endpoint, prompt, asked)
        words = b"[" + b",".join(b"300" for _ in range(prompt)) + b"]"
        if shape.prompt_kind == "text":
            words = b'"' + b" ".join(b"word" for _ in range(prompt)) + b'"'
        body = shape.body_head + words + shape.body_tail
        status, head, parts = await self.send("POST", shape.path, body)
        response = Response(asked, dialect_named(shape.dialect), Tally(), exact=shape.exact)
        lines = b"".join(b"%b: %b\r\n" % each for each in head.items() if each[0] != b"content-length")
        response.feed(b"HTTP/1.1 %d X\r\n%btransfer-encoding: chunked\r\n\r\n" % (status, lines), 1)
        for number, part in enumerate(parts):
            response.feed(b"%x\r\n%b\r\n" % (len(part), part), 2 + number)
        if not response.over:
            response.feed(b"0\r\n\r\n", 2 + len(parts))
        return response

    async def send(self, method: str, path: str, body: bytes) -> tuple[int, Mapping[bytes, bytes], list[bytes]]:
        target, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": target.replace("%2F", "/"),
            "raw_path": target.encode(),
            "query_string": query.encode(),
            "headers": [],
        }
        sent: list[dict[str, Any]] = []
        asked = [{"type": "http.request", "body": body}]
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if not asked:
                await gone.wait()
            return asked.pop() if asked else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await asyncio.wait_for(self.app(scope, receive, send), TIMEOUT_S)
        head, *rest = sent
        parts = [message["body"] for message in rest if message["body"]]
        return head["status"], dict(head["headers"]), parts


@asynccontextmanager
async def simulated(name: ServedAs, **changes: Any) -> AsyncIterator[Simulated]:
    fast = {"step_base_s": 0.001, "step_per_sequence_s": 0.0, "prefill_per_token_s": 0.0}
    table = with_failure(SimulatorTable(dialect=name, max_model_len=LIMIT, **(fast | changes)), None)
    gauges = Gauges(MODEL, table)
    served = dialect_of(name)(Served(MODEL, table))
    live = LiveEngine(table, gauges, 1.0, lambda cause: None, refuses=served.refuses)
    app = application_of(served, live, gauges, VirtualGpus(table, [0]))
    running = asyncio.create_task(live.run())
    try:
        yield Simulated(name, simulated_as(name), served, live, app)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def occupy(live: LiveEngine, running: int, waiting: int) -> None:
    """Let so many requests run, and so many wait behind them."""
    for _ in range(running):
        live.submit(GenerationRequest([300] * 40, 200, "length"))
    async with asyncio.timeout(TIMEOUT_S):
        while len(live.model.running) < running:
            await asyncio.sleep(0)
    for _ in range(waiting):
        live.submit(GenerationRequest([300] * 40, 200, "length"))


def test_each_is_an_engine_and_each_engine_is_simulated() -> None:
    assert {str(name) for name in ServedAs} == set(names()) - {"simulated"}


def test_it_is_known_by_the_name_that_is_kept() -> None:
    assert engine_for("simulated-tgi") is simulated_as(ServedAs.TGI)
    assert title_of("simulated-tgi") == "simulated Text Generation Inference"
    assert engine_for("simulated") is simulated_as(ServedAs.VLLM)
    with pytest.raises(UsageError, match="not installed"):
        engine_for("simulated-nothing")


@pytest.mark.parametrize(("name", "endpoint"), WAYS)
async def test_an_answer_is_ok_with_the_count_that_the_server_made(name: ServedAs, endpoint: Endpoint) -> None:
    async with simulated(name) as server:
        response = await server.answer(endpoint)
        made = server.live.generated_tokens
    assert response.outcome is Outcome.OK, response.error
    assert response.output_tokens == made == 8
    if name is not ServedAs.TRITON_TRTLLM:  # which tells none
        assert response.prompt_tokens == server.live.prompt_tokens


@pytest.mark.parametrize(("name", "endpoint"), WAYS)
async def test_packed_tokens_are_counted_by_the_server_wherever_it_counts(name: ServedAs, endpoint: Endpoint) -> None:
    async with simulated(name, fail=FailOnPurpose.PACKED_TOKENS) as server:
        response = await server.answer(endpoint)
    assert response.outcome is Outcome.OK, response.error
    assert response.output_tokens == (2 if name is ServedAs.TRITON_TRTLLM else 8)


@pytest.mark.parametrize(("name", "endpoint"), WAYS)
async def test_no_room_is_overload_or_a_long_wait(name: ServedAs, endpoint: Endpoint) -> None:
    async with simulated(name, fail=FailOnPurpose.QUEUE_LIMIT, step_base_s=5.0) as server:
        await occupy(server.live, 4, 4)
        if not server.served.refuses:
            await occupy(server.live, 0, 100)
            assert (len(server.live.model.running), len(server.live.model.waiting)) == (4, 104)
            return
        response = await server.answer(endpoint)
    assert response.outcome is Outcome.OVERLOADED, response.error


def test_two_are_known_never_to_refuse() -> None:
    assert {name for name in ServedAs if not dialect_of(name).refuses} == {"llama-cpp", "transformers-serve"}


@pytest.mark.parametrize(("name", "endpoint"), WAYS)
async def test_a_prompt_beyond_the_limit_is_too_long(name: ServedAs, endpoint: Endpoint) -> None:
    async with simulated(name) as server:
        response = await server.answer(endpoint, prompt=LIMIT + 50)
        almost = await server.answer(endpoint, prompt=LIMIT - 10, asked=50)
    assert response.outcome is Outcome.TOO_LONG, response.error
    if name is ServedAs.OLLAMA:  # it ends what the context does not hold, and says so by its count alone
        assert almost.outcome is Outcome.OK
        assert almost.output_tokens is not None and almost.output_tokens < 50
    elif name not in (ServedAs.VLLM, ServedAs.RAY_SERVE):
        assert almost.outcome is Outcome.TOO_LONG, almost.error


@pytest.mark.parametrize(("name", "endpoint"), WAYS)
async def test_memory_that_gives_out_is_told_in_the_stream_and_after_it(name: ServedAs, endpoint: Endpoint) -> None:
    async with simulated(name, fail=FailOnPurpose.OOM_RUNTIME, fail_after_tokens=3) as server:
        response = await server.answer(endpoint)
        after = await server.answer(endpoint)
    if (name, endpoint) in JUST_STOPS:
        assert response.outcome in (Outcome.MALFORMED, Outcome.DISCONNECTED)
    else:
        expected = Outcome.ENGINE_DEAD if name in ENGINE_DEAD else Outcome.OOM_RUNTIME
        assert response.outcome is expected, response.error
        assert after.outcome in (expected, Outcome.ENGINE_DEAD, Outcome.HTTP_ERROR), after.error
    assert after.outcome is not Outcome.OK


@pytest.mark.parametrize(("name", "endpoint"), WAYS)
async def test_an_engine_that_was_killed_is_no_success(name: ServedAs, endpoint: Endpoint) -> None:
    async with simulated(name, fail=FailOnPurpose.WORKER_KILLED, fail_after_tokens=3) as server:
        response = await server.answer(endpoint)
    assert response.over
    assert response.outcome not in (Outcome.OK, Outcome.OOM_RUNTIME), response.error


@pytest.mark.parametrize("name", ServedAs)
async def test_another_engine_answers_where_the_system_starts_one(name: ServedAs) -> None:
    async with simulated(name, fail=FailOnPurpose.OOM_RUNTIME, fail_after_tokens=9) as server:
        if server.served.aftermath is not Aftermath.COMES_BACK:
            return
        endpoint = Endpoint(server.engine.endpoints[0])
        assert (await server.answer(endpoint, asked=12)).outcome is not Outcome.OK
        server.live.come_back()
        again = asyncio.create_task(server.live.run())
        assert (await server.answer(endpoint, asked=5)).outcome is Outcome.OK
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)


# What each tells of a server with 2 requests running and 3 waiting: (running, waiting, whether the KV cache).
TOLD: dict[ServedAs, tuple[int | None, int | None, bool]] = dict.fromkeys(ServedAs, (2, 3, True))
TOLD |= {ServedAs.LLAMA_CPP: (2, 3, False), ServedAs.TRITON_VLLM: (None, None, False)}
TOLD |= {ServedAs.TRTLLM_SERVE: (None, 3, True)}
TELL_NONE = {ServedAs.OLLAMA, ServedAs.RAY_SERVE, ServedAs.SAGEMAKER, ServedAs.TRANSFORMERS_SERVE, ServedAs.OPENAI}


@pytest.mark.parametrize("name", ServedAs)
async def test_its_figures_are_told_as_far_as_the_system_tells_them(name: ServedAs) -> None:
    async with simulated(name, max_num_seqs=2, step_base_s=0.01) as server:
        await server.answer(Endpoint(server.engine.endpoints[0]))
        await occupy(server.live, 2, 3)
        asked = server.engine.questions.metrics()
        found = await server.ask(asked) if asked is not None else None
    if name in TELL_NONE:
        assert found in (None, ServerMetrics())
        return
    assert isinstance(found, ServerMetrics)
    running, waiting, kv_cache = TOLD[name]
    assert (found.running, found.waiting) == (running, waiting)
    if kv_cache:
        assert found.kv_cache_usage is not None and 0 < found.kv_cache_usage <= 1
    else:
        assert found.kv_cache_usage is None
    if name is ServedAs.TRITON_VLLM:
        assert found.generation_tokens_total and found.itl_count and found.ttft_count == 1
    if name is ServedAs.TGI:
        assert found.queue_count == 1


async def test_what_a_kv_cache_holds_is_told_by_slots_where_no_gauge_tells_its_share() -> None:
    async with simulated(ServedAs.LLAMA_CPP, max_num_seqs=2, step_base_s=0.01) as server:
        held = server.engine.questions.held()
        assert await server.ask(held) == 0
        await occupy(server.live, 2, 3)
        assert await server.ask(held) == sum(one.length for one in server.live.model.running) >= 80


@pytest.mark.parametrize("name", ServedAs)
async def test_it_answers_what_it_can_be_asked(name: ServedAs) -> None:
    async with simulated(name) as server:
        questions = server.engine.questions
        if (alive := questions.alive()) is not None:
            assert await server.ask(alive)
        if (models := questions.models()) is not None:
            assert (await server.ask(models) or [""])[0] == server.model
        if name is ServedAs.OPENAI:  # what a vLLM could be asked
            return
        if (version := questions.version()) is not None:
            assert "+simulated" in (await server.ask(version) or "")
        limits = questions.limits([server.model])
        if limits is not None and name not in (
            *(ServedAs.LMDEPLOY, ServedAs.TRTLLM_SERVE, ServedAs.RAY_SERVE, ServedAs.TRANSFORMERS_SERVE),
        ):
            assert await server.ask(limits) == {server.model: LIMIT}
        if (count := questions.count(server.model, "one two three")) is not None:
            assert await server.ask(count) in (3, 4)
        if (mark := engine_for(name).mark) is not None:
            assert await server.ask(mark)


async def test_nobody_is_taken_for_another() -> None:
    for name in ServedAs:
        async with simulated(name) as server:
            for other in ServedAs:
                mark = engine_for(other).mark
                same = other == name or {other, name} == {ServedAs.TRITON_VLLM, ServedAs.TRITON_TRTLLM}
                if mark is not None and not same and (name, other) != (ServedAs.RAY_SERVE, ServedAs.VLLM):
                    assert not await server.ask(mark), (name, other)


UVICORN_IS_READY = {ServedAs.VLLM, ServedAs.RAY_SERVE, ServedAs.OPENAI}
"""The last line of whose start is uvicorn's."""

# -- its log -------------------------------------------------------------------------------------------------------


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capsys.readouterr()
    return (out + err).splitlines()


@pytest.mark.parametrize("name", ServedAs)
def test_its_log_tells_the_stages_of_a_start(name: ServedAs, capsys: pytest.CaptureFixture[str]) -> None:
    launch = simulated_as(name).launch
    assert launch is not None
    log = dialect_of(name)(Served(MODEL, SimulatorTable())).log(2)
    log.banner(MODEL, "127.0.0.1", 8000, {})
    log.config(MODEL, 4096)
    log.loading(MODEL)
    for shard in range(9):
        log.shard(shard, 8)
    log.loaded(2**33, 7.0)
    log.kv_cache(2**34, 65536, 4096)
    log.graphs(3.0)
    log.ready("http://127.0.0.1:8000", [("/health", "GET")])
    log.throughput(1.0, 2.0, 3, 4, 0.5, 0.0)
    lines = said(capsys)
    assert any("SIMULATED" in line for line in lines)
    facts = [fact for line in lines if (fact := launch.read_log_line(line))]
    stages = [fact.stage for fact in facts if fact.stage is not None]
    assert set(stages) <= set(launch.stages)
    assert len(set(stages)) >= 2 and (stages[-1] == READY or name in UVICORN_IS_READY)
    assert any(fact.kv_cache_tokens == 65536 for fact in facts)
    assert launch.diagnose(lines, started=False, exit_code=None) is None


@pytest.mark.parametrize("name", ServedAs)
def test_its_log_tells_why_it_failed(name: ServedAs, capsys: pytest.CaptureFixture[str]) -> None:
    launch = simulated_as(name).launch
    assert launch is not None
    log = dialect_of(name)(Served(MODEL, SimulatorTable())).log(1)

    def failure(*, started: bool = False) -> FailureClass | None:
        found = launch.diagnose(said(capsys), started=started, exit_code=1)
        return found.failure if found else None

    log.out_of_memory_at_start(2**34)
    assert failure() is FailureClass.OOM_WEIGHTS
    log.kv_cache_too_small(2**34, 2**30, 4096, 8192)
    assert failure() is FailureClass.OOM_KV
    log.out_of_memory(2**34)
    assert failure(started=True) is FailureClass.OOM_RUNTIME
    log.port_taken("127.0.0.1", 8000, "Address already in use")
    assert failure() is FailureClass.PORT
    log.worker_killed()
    if name is not ServedAs.LLAMA_CPP:  # which was killed itself
        assert failure(started=True) in (FailureClass.CRASH, FailureClass.OOM_HOST)


async def test_a_text_of_words_has_one_token_for_each() -> None:
    assert len(vocabulary.encode("word word word")) == 3
