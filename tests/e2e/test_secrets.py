"""A server that gives the key back in every answer, and what of it can be found afterwards: nothing."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from tests.e2e.conftest import World
from tui.link.client import BenchLink

KEY = "Zk9/vQ+7sXw2-echo-me"
SECOND_LINE = "and-the-second-line-77"


class Echo:
    """An HTTP server that repeats the key it was sent, in several forms, wherever an answer has room for text."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._open.wait(10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._open.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.1))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                text = head.decode("latin-1")
                for line in text.split("\r\n"):
                    if line.lower().startswith("content-length:"):
                        await reader.readexactly(int(line.partition(":")[2]))
                writer.write(self._answer(text.split()[1], _key_in(text)))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str, key: str) -> bytes:
        echoed = " ".join(
            [key, repr(key), quote(key, safe=""), base64.b64encode(key.encode()).decode()]
            + [base64.b64encode(f"{'x' * n}:{key}".encode()).decode() for n in range(3)]
        )
        if path.endswith("/models"):
            return _http(200, {"data": [{"id": f"m-{key}", "max_model_len": 4096, "root": echoed}]})
        if path.endswith("/version"):
            return _http(200, {"version": f"1 {echoed}"})
        if "completions" in path and self.status == 200:
            chunk = json.dumps({"error": {"message": f"no: {echoed}", "code": 400}})
            return _http(200, f"data: {chunk}\n\ndata: [DONE]\n\n", "text/event-stream")
        if "completions" in path:
            return _http(self.status, {"error": {"message": f"the key {echoed} is not known"}}, location=f"/{key}")
        return _http(404, {"detail": echoed})


def _key_in(head: str) -> str:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "authorization":
            return value.strip().removeprefix("Bearer ")
    return ""


def _http(status: int, body: object, kind: str = "application/json", location: str = "") -> bytes:
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    more = f"Location: {location}\r\n" if location and status in range(300, 400) else ""
    return (
        f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {len(content)}\r\n\r\n".encode()
        + content
    )


@contextmanager
def echo(status: int) -> Iterator[Echo]:
    server = Echo(status)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def traces(key: str) -> list[bytes]:
    """Return what must be found nowhere: the key, and enough of each of its forms to tell it."""
    forms = [key, quote(key, safe=""), repr(key)[1:-1], json.dumps(key)[1:-1]]
    for n in range(3):
        coded = base64.b64encode(b"x" * n + key.encode()).decode()
        forms += [coded[4:-4], coded[4:-4].replace("+", "-").replace("/", "_")]
    return [form.encode() for form in forms]


def assert_nowhere(key: str, outputs: dict[str, bytes]) -> None:
    for name, content in outputs.items():
        for trace in traces(key):
            assert trace not in content, f"{trace!r} in {name}"


def everything_under(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def _snapshot(socket_path: Path) -> bytes:
    link = await BenchLink.connect(socket_path, read_only=True, refresh_hz=10)
    try:
        async for snapshot in link.snapshots():
            if snapshot.requests_failed:
                return msgspec.msgpack.encode(snapshot)
        return b""
    finally:
        await link.close()


@pytest.mark.parametrize("status", [401, 500, 307, 200])
def test_a_key_that_the_server_gives_back_is_found_nowhere(world: World, status: int) -> None:
    world.env["MY_ACCESS"] = KEY  # a name that tells nothing: it is known since the profile names it
    with echo(status) as server:
        running = world.start(
            *("run", "demo", "--attach", f"http://127.0.0.1:{server.port}", "--api-key-env", "MY_ACCESS"),
            *("--users", "2", "--prompt-tokens", "30", "--output-tokens", "4", "--mode", "steady"),
            *("--warm-up", "1", "--duration", "4", "--request-timeout", "5", "--json", "--out", "out"),
        )
        assert running.stderr is not None
        for line in running.stderr:
            if "server ready" in line:
                break
        (socket_path,) = world.sockets
        seen = asyncio.run(asyncio.wait_for(_snapshot(socket_path), 60))
        listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, check=True).stdout
        stdout, stderr = running.communicate(timeout=100)
    assert "•••" in seen.decode(errors="replace"), "the server did give it back"
    (session,) = world.session_files
    shown = [world.run("sessions", "show", str(session)), world.run("sessions", "--json")]
    outputs = {"stdout": stdout.encode(), "stderr": stderr.encode(), "a snapshot": seen, "ps": listing}
    outputs |= {f"shown {n}": (done.stdout + done.stderr).encode() for n, done in enumerate(shown)}
    outputs |= everything_under(world.root)
    assert any(name.endswith("requests.csv") for name in outputs) and any(".vramp" in name for name in outputs)
    assert_nowhere(KEY, outputs)


@pytest.mark.parametrize("brk", ["\n", "\r\n", "\x7f"])
def test_a_key_with_a_line_break_is_refused_and_not_shown(world: World, brk: str) -> None:
    world.env["API_KEY"] = KEY + brk + SECOND_LINE
    with echo(401) as server:
        done = world.run(
            *("run", "demo", "--attach", f"http://127.0.0.1:{server.port}", "--api-key-env", "API_KEY"),
            *("--users", "1", "--prompt-tokens", "30", "--json", "--out", "out"),
        )
    assert done.returncode == 3
    assert "API_KEY holds a line break" in done.stderr and "Traceback" not in done.stderr
    outputs = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode(), **everything_under(world.root)}
    for part in (KEY, SECOND_LINE):
        assert_nowhere(part, outputs)


def test_a_key_that_ends_with_a_line_break_is_sent_without(world: World) -> None:
    world.env["API_KEY"] = KEY + "\n"
    with echo(200) as server:
        done = world.run(
            *("run", "demo", "--attach", f"http://127.0.0.1:{server.port}", "--api-key-env", "API_KEY"),
            *("--users", "1", "--prompt-tokens", "30", "--output-tokens", "4", "--mode", "burst", "--json"),
        )
    assert "not one request was answered" in done.stderr and "•••" in done.stderr  # it came back
    assert_nowhere(KEY, {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()})
