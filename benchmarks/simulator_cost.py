"""Measures what the simulated server costs: CPU share by users, memory, time from start to ready.

    .venv/bin/python benchmarks/simulator_cost.py [PROFILE]

The asking client is a process of its own and not counted. Prints one row per number of users.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import subprocess
import sys
import time

import psutil
import uvloop

SECONDS = 8.0
USERS = (1, 16, 64, 128)
PROMPT_TOKENS = 64


async def ask_on(port: int, end: float) -> int:
    """Ask again and again on one connection; return how many token events came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    tokens = 0
    while time.monotonic() < end:
        prompt = [random.randrange(300, 30000) for _ in range(PROMPT_TOKENS)]
        options = {"max_tokens": 100, "ignore_eos": True, "stream": True, "stream_options": {"include_usage": True}}
        body = json.dumps({"prompt": prompt, **options}).encode()
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        part = b""
        while not part.endswith(b"0\r\n\r\n"):
            part = await reader.read(65536)
            tokens += part.count(b'"text"')
    writer.close()
    return tokens


async def ask(port: int, users: int) -> None:
    """Print the tokens per second that so many users get in total."""
    end = time.monotonic() + SECONDS
    began = time.monotonic()
    tokens = sum(await asyncio.gather(*(ask_on(port, end) for _ in range(users))))
    print(round(tokens / (time.monotonic() - began)))


def wait_until_ready(port: int) -> None:
    """Return when the server takes connections, which it does once it is ready."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)


def main() -> None:
    """Start a server, load it, print what it used."""
    if sys.argv[1:2] == ["ask"]:
        uvloop.run(ask(int(sys.argv[2]), int(sys.argv[3])))
        return
    profile = sys.argv[1] if len(sys.argv) > 1 else "demo"
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tui", "simulate", profile, "--port", port]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(int(port))
        print(f"start to ready: {time.monotonic() - began:.2f} s (the profile's startup_s included)")
        process = psutil.Process(server.pid)
        for users in USERS:
            before, at = process.cpu_times(), time.monotonic()
            asked = [sys.executable, __file__, "ask", port, str(users)]
            rate = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
            after = process.cpu_times()
            share = (after.user + after.system - before.user - before.system) / (time.monotonic() - at)
            rss = process.memory_info().rss / 1e6
            print(f"{users:>4} users: {rate:>5} tokens/s, {share:6.1%} of a core, {rss:.0f} MB")
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
