"""A program to launch in place of a server: answers as little of vLLM's HTTP as a launch needs, and misbehaves.

Run by path with the standard library only. `--behave` names what it does beside or instead of serving.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar


class Handler(BaseHTTPRequestHandler):
    healthy_at = 0.0
    answers: ClassVar[dict[str, object]] = {
        "/version": {"version": "0.32.0"},
        "/v1/models": {"data": [{"id": "fake", "max_model_len": 4096}]},
    }

    def do_GET(self) -> None:
        if self.path == "/health" and time.monotonic() >= self.healthy_at:
            self._answer(200, b"")
        elif self.path == "/metrics":
            told = (
                b'vllm:num_requests_running{engine="0"} 3.0\nvllm:num_requests_waiting 0\nvllm:kv_cache_usage_perc 0\n'
            )
            self._answer(200, told)
        elif self.path in self.answers:
            self._answer(200, json.dumps(self.answers[self.path]).encode())
        else:
            self._answer(503, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/die":
            # As vLLM's API server does when its engine has died: it says so and ends with exit code 0.
            log("(EngineCore pid=1) ERROR 11-20 18:00:00 [core.py:1] EngineCore encountered a fatal error.")
            os._exit(0)
        self._answer(200, b'{"tokens": [1, 2, 3]}' if self.path == "/tokenize" else b"{}")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def log(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def serve(options: argparse.Namespace) -> None:
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    log(Path(options.text).read_text() if options.text else "INFO:     Application startup complete.")
    server.serve_forever()


def serve_slowly(options: argparse.Namespace) -> None:
    Handler.healthy_at = time.monotonic() + 0.5
    serve(options)


def never_ready(options: argparse.Namespace) -> None:
    Handler.healthy_at = float("inf")
    serve(options)


def die_with_log(options: argparse.Namespace) -> None:
    """Print a recorded log and exit, or stay as vLLM does for up to 40 s after its decisive line."""
    sys.stdout.buffer.write(Path(options.text).read_bytes())
    sys.stdout.flush()
    if options.exit_code >= 0:
        sys.exit(options.exit_code)
    signal.pause()


def ignore_sigterm(options: argparse.Namespace) -> None:
    server = ThreadingHTTPServer((options.host, options.port), Handler)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server.serve_forever()


def bear_children(options: argparse.Namespace) -> None:
    """Have an orphan in a session of its own, a child in the group, and one in a session of its own."""
    # First the one that is there for a moment only, so that four processes are those that stay.
    os.waitpid(_fork(_orphan), 0)
    _fork(lambda: None)
    _fork(os.setsid)
    serve(options)


def _orphan() -> None:
    os.setsid()
    if os.fork():
        os._exit(0)


def _fork(prepare: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        prepare()
        while True:
            signal.pause()
    return pid


def flood(options: argparse.Namespace) -> None:
    """Write 20 MB of log as fast as it goes, then serve."""
    block = b"".join(b"INFO 11-20 18:00:00 [flood.py:1] line %d [bold]\xff\x1b[31m red\n" % at for at in range(2000))
    for _ in range(200):
        sys.stdout.buffer.write(block)
    sys.stdout.flush()
    serve(options)


def print_secret(options: argparse.Namespace) -> None:
    log(f"non-default args: {{'api_key': '{os.environ['FAKE_API_KEY']}'}}")
    serve(options)


BEHAVIOURS = {
    function.__name__.replace("_", "-"): function
    for function in (
        serve,
        serve_slowly,
        never_ready,
        die_with_log,
        ignore_sigterm,
        bear_children,
        flood,
        print_secret,
    )
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--behave", choices=BEHAVIOURS, default="serve")
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    parser.add_argument("--text")
    parser.add_argument("--exit-code", type=int, default=-1)
    known, _others = parser.parse_known_args()
    BEHAVIOURS[known.behave](known)
