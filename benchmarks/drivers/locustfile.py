"""A streaming task for locust's FastHttpUser, which has none of its own: reads line by line, decodes every event.

    locust -f drivers/locustfile.py --headless ...    with TOKENS and OUT in the environment

Lines by the response's `readline`, since `iter_lines` waits for blocks of 1024 bytes. OUT: see vramp_engine.py.
"""

from __future__ import annotations

import json
import os
import time
from itertools import pairwise

from locust import FastHttpUser, constant, events, task

TOKENS = int(os.environ["TOKENS"])
_answers: list[tuple[int, list[int]]] = []


class Reader(FastHttpUser):
    wait_time = constant(0)
    connection_timeout = 300.0
    network_timeout = 300.0

    @task
    def ask(self) -> None:
        body = {"model": "m", "prompt": [1, 2, 3, 4], "max_tokens": TOKENS, "stream": True, "ignore_eos": True}
        stamps, serial, counted = [], None, 0
        with self.client.post("/v1/completions", json=body, stream=True, catch_response=True) as response:
            stream = response._response
            while line := stream.readline(b"\n"):
                if not line.startswith(b"data: ") or line.startswith(b"data: [DONE]"):
                    continue
                event = json.loads(line[6:])
                if event["choices"]:
                    stamps.append(time.monotonic_ns())
                else:
                    serial, counted = event["usage"]["prompt_tokens"], event["usage"]["completion_tokens"]
            if serial is None or counted != TOKENS:  # an event may bear several
                response.failure(f"{counted} tokens")
                return
        _answers.append((serial, [(b - a) // 1000 for a, b in pairwise(stamps)]))


@events.quitting.add_listener
def write(environment: object, **_: object) -> None:
    with open(os.environ["OUT"], "w") as file:  # noqa: PTH123 - locust's own Python
        for serial, gaps in _answers:
            file.write(json.dumps([serial, gaps]) + "\n")
