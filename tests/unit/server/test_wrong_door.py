"""Another serving system than the profile says, and versions that nobody has seen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tui.core.address import address_of
from tui.engines.catalogue import engine_for, names
from tui.server.client import ServerClient
from tui.server.wrong_door import unseen_version, what_else

MODELS = '{"object":"list","data":[{"id":"m","object":"model","owned_by":"%s"}]}'
SERVERS = {
    "vllm": {"/v1/models": MODELS % "vllm", "/version": '{"version":"0.32.0"}'},
    "sglang": {"/v1/models": MODELS % "sglang"},
    "lmdeploy": {"/v1/models": MODELS % "lmdeploy"},
    "ray-serve": {"/v1/models": MODELS % "organization-owner", "/-/healthz": "success"},
    "tgi": {"/info": '{"model_id":"org/m","max_total_tokens":4096,"version":"3.3.7"}'},
    "llama-cpp": {
        "/v1/models": MODELS % "llamacpp",
        "/api/tags": '{"models":[{"name":"m"}]}',
        "/props": '{"default_generation_settings":{"n_ctx":1024},"build_info":"b11434"}',
    },
    "ollama": {"/": "Ollama is running", "/api/tags": '{"models":[{"name":"m"}]}', "/v1/models": MODELS % "library"},
    "triton-vllm": {"/v2": '{"name":"triton","version":"2.51.0"}'},
}


@asynccontextmanager
async def client_of(answers: dict[str, str]) -> AsyncIterator[ServerClient]:
    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path)
        return httpx.Response(404, text="no") if found is None else httpx.Response(200, text=found)

    async with aclosing(ServerClient(address_of("http://server"), transport=httpx.MockTransport(answer))) as client:
        yield client


@pytest.mark.parametrize("there", SERVERS)
@pytest.mark.parametrize("expected", [name for name in names() if engine_for(name).mark is not None])
async def test_what_answers_is_named_and_nothing_else(there: str, expected: str) -> None:
    async with client_of(SERVERS[there]) as client:
        found = await what_else(client, engine_for(expected))
    alike = {"triton-vllm", "triton-trtllm"}
    if expected == there or {expected, there} <= alike:
        assert found == ""
    else:
        named = {name for name in names() if f'engine = "{name}"' in found}
        assert named == (alike if there in alike else {there})


async def test_nobody_is_taken_for_another() -> None:
    async with client_of({"/v1/models": MODELS % "somebody"}) as client:
        assert await what_else(client, engine_for("vllm")) == ""


@pytest.mark.parametrize(
    ("engine", "version", "said"),
    [
        ("vllm", "0.32.7", False),
        ("vllm", "0.9.2", False),
        ("vllm", "0.33.0", True),
        ("vllm", "1.0", True),
        ("vllm", "dev", False),
        ("vllm", "", False),
        ("llama-cpp", "b11434-0a1b2c", False),
        ("llama-cpp", "b11500-0a1b2c", True),
        ("openai", "99.0", False),
    ],
)
def test_a_version_never_seen_is_said(engine: str, version: str, said: bool) -> None:
    assert bool(unseen_version(engine_for(engine), version)) is said


async def test_a_profile_of_another_system_is_told_what_it_found(tmp_path: Path) -> None:
    from tests.unit.server.test_supervisor import attached_to_any

    async with attached_to_any(SERVERS["triton-vllm"], "vllm", tmp_path) as guest:
        with pytest.raises(Exception, match="triton-vllm"):
            await guest.supervisor.launch()
    async with attached_to_any(SERVERS["sglang"], "vllm", tmp_path) as guest:
        await guest.supervisor.launch()
        assert any('engine = "sglang"' in note for note in guest.supervisor.status.notes)
    async with attached_to_any(SERVERS["vllm"], "vllm", tmp_path) as guest:
        await guest.supervisor.launch()
        assert guest.supervisor.status.notes == []
    async with attached_to_any(SERVERS["vllm"] | {"/version": '{"version":"0.99.0"}'}, "vllm", tmp_path) as guest:
        await guest.supervisor.launch()
        assert any("newer than any" in note for note in guest.supervisor.status.notes)
