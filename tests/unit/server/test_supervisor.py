"""Real processes under a real guardian: launched, failed, died, stopped. Nothing may be left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import httpx
import psutil
import pytest

from tui.core.errors import LaunchError
from tui.core.known_secrets import learn_environment
from tui.engines.base import RequestShape, Wish
from tui.engines.catalogue import engine_for
from tui.metrics.reading import Event
from tui.metrics.snapshot import Phase
from tui.profile.schema import Endpoint, Profile
from tui.server import launched
from tui.server.readiness import free_port
from tui.server.supervisor import Supervisor

ROOT = Path(__file__).parents[3]
FAKE = ROOT / "tests" / "fakes" / "server.py"
LOGS = ROOT / "tests" / "corpus" / "vllm" / "logs"
PATIENCE_S = 60


def profile_of(behave: str = "serve", *options: str, **server: Any) -> Profile:
    table = {
        "model": "org/asked",
        "executable": [sys.executable, str(FAKE), "--behave", behave, *options],
        "stop_grace_s": 5.0,
        "startup_timeout_s": 60.0,
        **server,
    }
    return Profile.model_validate({"name": "fake", "engine": "vllm", "server": table})


class Run:
    def __init__(self, profile: Profile, log_file: Path) -> None:
        self.events: list[Event] = []
        self.supervisor = Supervisor(profile, None, log_file, on_event=self.events.append)

    def said(self, source: str = "engine") -> str:
        return "\n".join(event.text for event in self.events if event.source == source)


@asynccontextmanager
async def run(profile: Profile, folder: Path) -> AsyncIterator[Run]:
    one = Run(profile, folder / "server.log")
    async with asyncio.timeout(PATIENCE_S):
        try:
            yield one
        finally:
            await one.supervisor.stop()


def still_there(pids: frozenset[int] | set[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


async def test_launch_tells_what_there_is_and_stop_leaves_nothing(tmp_path: Path) -> None:
    async with run(profile_of("serve-slowly"), tmp_path) as one:
        supervisor = one.supervisor
        await supervisor.launch()
        status = supervisor.status
        assert status.phase is Phase.READY
        assert (supervisor.model, status.max_model_len, status.version) == ("fake", 4096, "0.32.0")
        assert status.missing == []
        assert status.stages[-1].state == "done"
        assert status.pid in supervisor.pids()
        metrics = await supervisor.read_metrics()
        assert metrics is not None
        assert metrics.running == 3.0
        assert await supervisor.tokenize("x") == [1, 2, 3]
        assert await supervisor.simulated_gpus() is None
        pids = supervisor.pids()
        await supervisor.stop()
        assert still_there(pids) == []
        assert supervisor.status.phase is Phase.ENDED
        assert "nothing of it is left" in one.said()
        assert await supervisor.read_metrics() is None


async def test_the_command_shown_is_the_one_run(tmp_path: Path) -> None:
    async with run(profile_of(args={"max-num-seqs": 4}), tmp_path) as one:
        await one.supervisor.launch()
        assert one.supervisor.status.pid is not None
        argv = psutil.Process(one.supervisor.status.pid).cmdline()
        shown = next(event.text for event in one.events if event.text.startswith("starting: "))
        assert shown.endswith(" ".join(argv))


@pytest.mark.parametrize(
    ("log", "exit_code", "failure"),
    [
        ("fail-kv-too-small.log", 1, "oom-kv"),
        ("fail-unknown-flag.log", 2, "bad-flag"),
        ("fail-killed-midload.log", 1, "crash"),
        # It says why and does not end: the line counts, not the end.
        ("fail-sigterm-midload.log", -1, "oom-kv"),
    ],
)
async def test_failed_start_is_explained(tmp_path: Path, log: str, exit_code: int, failure: str) -> None:
    options = ("--text", str(LOGS / log), "--exit-code", str(exit_code))
    async with run(profile_of("die-with-log", *options), tmp_path) as one:
        with pytest.raises(LaunchError):
            await one.supervisor.launch()
        status = one.supervisor.status
        assert status.phase is Phase.FAILED
        assert status.failure is not None
        assert status.failure.failure == failure
        assert status.failure.line
        assert "failed" in [stage.state for stage in status.stages]
        assert one.supervisor.pids() == frozenset()


async def test_server_that_never_gets_ready(tmp_path: Path) -> None:
    async with run(profile_of("never-ready", startup_timeout_s=1.0), tmp_path) as one:
        with pytest.raises(LaunchError, match="not ready within 1 s"):
            await one.supervisor.launch()
        assert one.supervisor.status.failure is not None
        assert one.supervisor.status.failure.failure == "start-timeout"
        assert one.supervisor.pids() == frozenset()


async def test_what_answers_before_it_takes_requests_is_ready_when_its_log_says_so(tmp_path: Path) -> None:
    profile = profile_of(startup_timeout_s=1.0).model_copy(update={"engine": "ray-serve"})
    async with run(profile, tmp_path) as one:
        with pytest.raises(LaunchError, match="not ready within 1 s"):
            await one.supervisor.launch()
    said = tmp_path / "said.txt"
    said.write_text("Serving on port 8000")
    async with run(
        profile_of("serve", "--text", str(said)).model_copy(update={"engine": "ray-serve"}), tmp_path
    ) as one:
        await one.supervisor.launch()
        assert one.supervisor.status.phase is Phase.READY


@pytest.mark.parametrize(("engine", "dies"), [("vllm", True), ("ray-serve", False)])
async def test_what_builds_its_engines_anew_does_not_die_of_an_error_in_its_log(
    engine: str, dies: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launched, "DEATH_TIMEOUT_S", 0.1)
    said = tmp_path / "said.txt"
    said.write_text("Serving on port 8000")
    profile = profile_of("serve", "--text", str(said)).model_copy(update={"engine": engine})
    async with run(profile, tmp_path) as one:
        await one.supervisor.launch()
        with (tmp_path / "server.log").open("a") as log:
            log.write("(EngineCore pid=1) ERROR 11-20 18:00:00 [core.py:1] EngineCore encountered a fatal error.\n")
        died = asyncio.ensure_future(one.supervisor.wait_died())
        done, _ = await asyncio.wait({died}, timeout=PATIENCE_S / 2 if dies else 2.0)
        assert bool(done) is dies
        died.cancel()
        # Why an engine died is told all the same, to who found it dead.
        found = one.supervisor.told_by_log()
        assert found is not None and "fatal error" in found.line


async def test_executable_that_is_not_there(tmp_path: Path) -> None:
    async with run(profile_of(executable=["/nowhere/vllm", "serve"]), tmp_path) as one:
        with pytest.raises(LaunchError, match="/nowhere/vllm cannot be started"):
            await one.supervisor.launch()
        assert one.supervisor.status.failure is not None
        assert one.supervisor.status.failure.failure == "executable-missing"


async def test_port_in_use_is_found_before_anything_is_started(tmp_path: Path) -> None:
    async with run(profile_of(), tmp_path) as first:
        await first.supervisor.launch()
        port = int(first.supervisor.base_url.rsplit(":", 1)[1])
        async with run(profile_of(port=port), tmp_path) as second:
            with pytest.raises(LaunchError, match="port"):
                await second.supervisor.launch()
            assert second.supervisor.status.failure is not None
            assert second.supervisor.status.failure.failure == "port-in-use"
            assert second.supervisor.status.pid is None


async def test_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with run(profile_of("ignore-sigterm", stop_grace_s=0.5), tmp_path) as one:
        await one.supervisor.launch()
        pids = one.supervisor.pids()
        await one.supervisor.stop()
        assert still_there(pids) == []
        assert "by force" in one.said()


async def test_children_in_sessions_of_their_own_are_stopped_too(tmp_path: Path) -> None:
    async with run(profile_of("bear-children", stop_grace_s=1.0), tmp_path) as one:
        await one.supervisor.launch()
        pids = one.supervisor.pids()
        assert len(pids) >= 4
        await one.supervisor.stop()
        assert still_there(pids) == []


@pytest.mark.parametrize("how", ["exit", "kill"])
async def test_death_is_reported_and_orphans_are_ended(tmp_path: Path, how: str) -> None:
    async with run(profile_of("bear-children"), tmp_path) as one:
        supervisor = one.supervisor
        await supervisor.launch()
        pids, pid = supervisor.pids(), supervisor.status.pid
        assert pid is not None
        if how == "kill":
            os.kill(pid, signal.SIGKILL)
        else:
            with pytest.raises(httpx.TransportError):
                httpx.post(f"{supervisor.base_url}/die", trust_env=False)
        report = await supervisor.wait_died()
        assert report.failure == "crash"
        assert report.exit_code == (-signal.SIGKILL if how == "kill" else 0)
        assert supervisor.status.phase is Phase.FAILED
        await supervisor.stop()
        assert still_there(pids) == []


async def test_relaunch_after_death(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    async with run(profile_of(port=port), tmp_path) as one:
        supervisor = one.supervisor
        await supervisor.launch()
        assert supervisor.status.pid is not None
        os.kill(supervisor.status.pid, signal.SIGKILL)
        await supervisor.wait_died()
        await supervisor.launch()
        assert supervisor.status.phase is Phase.READY
        assert supervisor.status.failure is None
        assert supervisor.status.launches == 2


async def test_cancelled_launch_leaves_nothing(tmp_path: Path) -> None:
    async with run(profile_of("never-ready"), tmp_path) as one:
        launching = asyncio.create_task(one.supervisor.launch())
        while not one.supervisor.pids():
            await asyncio.sleep(0.02)
        pids = one.supervisor.pids()
        launching.cancel()
        await asyncio.gather(launching, return_exceptions=True)
        await one.supervisor.stop()
        assert still_there(pids) == []


async def test_flood_of_log_does_no_harm(tmp_path: Path) -> None:
    async with run(profile_of("flood"), tmp_path) as one:
        await one.supervisor.launch()
        await one.supervisor.stop()
        assert (tmp_path / "server.log").stat().st_size > 20_000_000
        assert "lines left out" in one.said("server")
        assert len(one.events) < 20_000
        assert all(event.text.isprintable() for event in one.events)


async def test_secrets_of_the_environment_are_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_API_KEY", "correct-horse-battery")
    learn_environment(os.environ)  # as the bench does at its start
    async with run(profile_of("print-secret"), tmp_path) as one:
        await one.supervisor.launch()
        await one.supervisor.stop()
        assert "'api_key': '•••'" in one.said("server")
        assert not any("correct-horse" in event.text for event in one.events)
    learn_environment({})


async def test_attached_server_is_asked_and_left_alone(tmp_path: Path) -> None:
    async with run(profile_of(), tmp_path) as owner:
        await owner.supervisor.launch()
        url = owner.supervisor.base_url
        attach = {"name": "a", "engine": "openai", "attach": {"base_url": f"{url}/v1/"}}
        async with run(Profile.model_validate(attach), tmp_path) as guest:
            await guest.supervisor.launch()
            assert guest.supervisor.status.attached
            assert guest.supervisor.base_url == url
            assert guest.supervisor.model == "fake"
            await guest.supervisor.stop()
        assert owner.supervisor.status.phase is Phase.READY
        assert httpx.get(f"{url}/health", trust_env=False).status_code == 200


async def test_attached_server_that_goes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.server.attaching.ATTACHED_PERIOD_S", 0.05)
    async with run(profile_of(), tmp_path) as owner:
        await owner.supervisor.launch()
        attach = {"name": "a", "engine": "vllm", "attach": {"base_url": owner.supervisor.base_url}}
        async with run(Profile.model_validate(attach), tmp_path) as guest:
            await guest.supervisor.launch()
            await owner.supervisor.stop()
            report = await guest.supervisor.wait_died()
            assert "cannot be reached" in report.summary


MODEL_LIST = b'{"data": [{"id": "m"}]}'


def answers(models_at: str, body: bytes = MODEL_LIST, status: int = 200) -> Callable[[bytes], bytes]:
    """Return what answers the list of models at one place, and 404 elsewhere."""

    def answer(request: bytes) -> bytes:
        found = request.split(b" ")[1].decode() == models_at
        content = body if found else b"no route"
        return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status if found else 404, len(content), content)

    return answer


@asynccontextmanager
async def attached_to(
    answer: Callable[[bytes], bytes], path: str, tmp_path: Path, model: str | None = None
) -> AsyncIterator[tuple[Run, list[str]]]:
    """Run a server of one function, and a guest of it; yields what was asked, too."""
    asked: list[str] = []
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(cast("asyncio.Task[None]", asyncio.current_task()))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(head.split(b" ")[1].decode())
                _, _, length = head.lower().partition(b"content-length: ")
                await reader.readexactly(int(length.split(b"\r\n")[0] or 0))
                writer.write(answer(head))
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
    attach = {"base_url": url} | ({"model": model} if model else {})
    profile = Profile.model_validate({"name": "a", "engine": "openai", "attach": attach})
    async with run(profile, tmp_path) as guest:
        yield guest, asked
    server.close()
    await asyncio.gather(*serving)


@pytest.mark.parametrize(
    ("path", "models_at"),
    [
        ("", "/v1/models"),
        ("", "/models"),
        ("/api/paas/v4", "/api/paas/v4/models"),
        ("/openai/v1/", "/openai/v1/models"),
        ("/openai/v1?api-version=1", "/openai/v1/models?api-version=1"),
        ("/gateway", "/gateway/v1/models"),
        ("/gateway", "/gateway/models"),
        ("/v1beta/openai", "/v1beta/openai/models"),
        ("/v2/gateway", "/v2/gateway/v1/models"),
        ("/v1/chat/completions", "/v1/models"),
    ],
)
async def test_the_api_is_found_wherever_the_address_may_mean(path: str, models_at: str, tmp_path: Path) -> None:
    async with attached_to(answers(models_at), path, tmp_path) as (guest, _asked):
        await guest.supervisor.launch()
        assert guest.supervisor.model == "m"
        assert guest.supervisor.address is not None
        chat = models_at.replace("/models", "/chat/completions")
        assert guest.supervisor.address.target("/v1/chat/completions") == chat


async def test_where_no_models_are_listed_the_likeliest_place_is_kept(tmp_path: Path) -> None:
    async with attached_to(answers("/nowhere"), "/gateway", tmp_path, model="m") as (guest, asked):
        await guest.supervisor.launch()
        assert {"/gateway/v1/models", "/gateway/models"} <= set(asked)
        assert guest.supervisor.address is not None
        assert guest.supervisor.address.target("/v1/completions") == "/gateway/v1/completions"


def request_shape() -> RequestShape:
    return engine_for("openai").request_shape(Wish("m", Endpoint.CHAT, 1, 1))


@pytest.mark.parametrize(
    ("chat_at", "kept"),
    [
        ("/gateway/v1/chat/completions", "/gateway/v1"),
        ("/gateway/chat/completions", "/gateway"),
        ("/nowhere", "/gateway/v1"),
    ],
)
async def test_where_no_models_are_listed_a_request_tells_the_place(chat_at: str, kept: str, tmp_path: Path) -> None:
    async with attached_to(answers(chat_at, b"no", 422), "/gateway", tmp_path, model="m") as (guest, _asked):
        await guest.supervisor.launch()
        response = await guest.supervisor.try_request(request_shape(), b"{}")
        assert response.status == (404 if chat_at == "/nowhere" else 422)
        assert guest.supervisor.address is not None
        assert guest.supervisor.address.api == kept


async def test_a_key_that_is_wanted_ends_the_search(tmp_path: Path) -> None:
    async with attached_to(answers("/gateway/models", b"", 401), "/gateway", tmp_path) as (guest, _asked):
        with pytest.raises(LaunchError, match="refuses us: HTTP 401"):
            await guest.supervisor.launch()


async def test_of_several_models_the_one_taken_is_named(tmp_path: Path) -> None:
    listing = json.dumps([{"id": name} for name in "abcdefg"]).encode()
    async with attached_to(answers("/v1/models", listing), "", tmp_path) as (guest, _asked):
        await guest.supervisor.launch()
        assert guest.supervisor.status.notes == ["7 models are offered: a is asked, not b, c, d, e and 2 more"]
    async with attached_to(answers("/v1/models", listing), "", tmp_path, model="c") as (guest, _asked):
        await guest.supervisor.launch()
        assert guest.supervisor.model == "c"
        assert guest.supervisor.status.notes == []


async def test_an_environment_that_allows_no_question_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/opt/conda/ssl/cacert.pem")
    attach = {"name": "a", "engine": "openai", "attach": {"base_url": "https://10.0.0.4:1"}}
    async with run(Profile.model_validate(attach), tmp_path) as guest:
        with pytest.raises(LaunchError, match="cannot be asked from here · SSL_CERT_FILE names"):
            await guest.supervisor.launch()


async def test_nothing_to_attach_to(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port('127.0.0.1')}"
    async with run(
        Profile.model_validate({"name": "a", "engine": "openai", "attach": {"base_url": url}}), tmp_path
    ) as guest:
        with pytest.raises(LaunchError, match="Nothing answers"):
            await guest.supervisor.launch()


async def test_missing_key_is_named_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VRAMP_TEST_KEY", raising=False)
    table = {"base_url": "http://127.0.0.1:1", "api_key_env": "VRAMP_TEST_KEY"}
    async with run(Profile.model_validate({"name": "a", "engine": "openai", "attach": table}), tmp_path) as guest:
        with pytest.raises(LaunchError, match="VRAMP_TEST_KEY is not set"):
            await guest.supervisor.launch()


async def test_unknown_flag_is_warned_of_and_answered_with_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    executable = tmp_path / "vllm"
    executable.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = --help=all ]; then echo "--host --port --max-model-len --max-num-seqs"; exit 0; fi\n'
        "sleep 1; echo 'vllm: error: unrecognized arguments: --max-num-sequ 5'; exit 2\n"
    )
    executable.chmod(0o700)
    profile = profile_of(executable=[str(executable), "serve"], args={"max-num-sequ": 5})
    async with run(profile, tmp_path) as one:
        with pytest.raises(LaunchError, match="did you mean --max-num-seqs"):
            await one.supervisor.launch()
        assert one.supervisor.status.failure is not None
        assert one.supervisor.status.failure.failure == "bad-flag"
    warned = [event.text for event in one.events if event.level == "warning"]
    assert "--max-num-sequ is not known; did you mean --max-num-seqs? (by the help of the vLLM" in " ".join(warned)


@asynccontextmanager
async def attached_to_any(answers: dict[str, str], engine: str, tmp_path: Path, **load: str) -> AsyncIterator[Run]:
    """Run a server of fixed answers by their paths, and a guest of an engine's."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            content = answers.get(head.split(b" ")[1].decode())
            status, body = (404, b"no") if content is None else (200, content.encode())
            writer.write(
                b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
            )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    attach = {"base_url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}
    profile = Profile.model_validate({"name": "a", "engine": engine, "attach": attach, "load": load})
    async with run(profile, tmp_path) as guest:
        yield guest
    server.close()


async def test_a_way_to_ask_that_a_system_lacks_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    answers = {"/v2": '{"name":"triton","version":"2.51.0"}'}
    async with attached_to_any(answers, "triton-vllm", tmp_path, endpoint="chat") as guest:
        with pytest.raises(LaunchError, match="takes no requests of endpoint"):
            await guest.supervisor.launch()
        failure = guest.supervisor.status.failure
        assert failure is not None and '"completions"' in failure.advice
