"""The decoder of OpenAI-compatible streams, on what servers really send."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tui.core.outcome import Outcome
from tui.engines.parts.dialect import StreamEvent, dialect_named, read_error
from tui.engines.parts.openai_stream import DIALECT, NAME, decode
from tui.profile.engine_names import installed_engines

TOKEN = StreamEvent(bears_tokens=True)
NOTHING = StreamEvent()
PERHAPS = StreamEvent(bears_tokens=None)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"choices":[{"index":0,"text":" solka","finish_reason":null}]}', TOKEN),
        (
            b'{"choices":[{"index":0,"text":"","finish_reason":"length"}]}',
            StreamEvent(bears_tokens=None, finished=True),
        ),
        (b'{"choices":[{"index":0,"text":"","finish_reason":null}]}', PERHAPS),
        (b'{"choices":[{"text":"a","finish_reason":"length"}]}', StreamEvent(bears_tokens=True, finished=True)),
        (b'{"choices":[{"index":0,"finish_reason":null,"content_filter_results":{}}]}', NOTHING),
        (b'{"choices":[{"delta":null}]}', NOTHING),
        (b'{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}', NOTHING),
        (b'{"choices":[{"delta":{"role":"assistant"}}]}', NOTHING),
        (b'{"choices":[{"delta":{"role":"assistant","content":"Hi"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"content":""}}]}', PERHAPS),
        (b'{"choices":[{"delta":{"content":"\xc3\xa9"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"content":null,"reasoning":"hm"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}', TOKEN),
        (b'{"choices":[{"delta":{},"finish_reason":"stop"}]}', StreamEvent(finished=True)),
        (b'{"choices":[],"usage":null}', NOTHING),
        (b"[DONE]", StreamEvent(ends=True)),
        (b'{"unknown":1}', NOTHING),
        (
            b'{"choices":[],"usage":{"prompt_tokens":20,"total_tokens":120,"completion_tokens":100}}',
            StreamEvent(output_tokens=100, prompt_tokens=20),
        ),
        (
            b'{"choices":[{"text":"a"}],"usage":{"prompt_tokens":20,"completion_tokens":7}}',
            StreamEvent(bears_tokens=True, output_tokens=7, prompt_tokens=20),
        ),
        (
            b'{"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":2,"completion_tokens":9}}',
            StreamEvent(bears_tokens=None, output_tokens=9, prompt_tokens=2, finished=True),
        ),
        (b'{"choices":[],"usage":{"completion_tokens":null}}', NOTHING),
        (
            b'{"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}',
            StreamEvent(error="EngineCore encountered an issue.", error_code=500, outcome=Outcome.ENGINE_DEAD),
        ),
        (b'{"error":"out of luck"}', StreamEvent(error="out of luck")),
        (b'{"object":"error","message":"old shape","code":400}', StreamEvent(error="old shape", error_code=400)),
        (
            b'{"choices":[{"delta":{},"usage":{"prompt_tokens":3,"completion_tokens":8}}]}',
            StreamEvent(output_tokens=8, prompt_tokens=3),
        ),
        (b"Model was unloaded.", StreamEvent(error="Model was unloaded.")),
        (b'"Model was unloaded."', StreamEvent(error="Model was unloaded.")),
        (b'{"error":null,"choices":[{"text":"a"}]}', TOKEN),
    ],
)
def test_one_event(payload: bytes, expected: StreamEvent) -> None:
    assert decode(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b'{"choices":[{"text":"a"}',
        b"null",
        b"<html>",
        b"17",
        b"[1]",
        b'{"choices":7}',
        b'{"usage":{"completion_tokens":"x"}}',
    ],
)
def test_what_is_not_of_the_dialect_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode(payload)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"message":"no","code":404}}', ("no", 404)),
        (b'{"detail":"Not Found"}', ("Not Found", None)),
        (b"<html>Bad gateway</html>", ("<html>Bad gateway</html>", None)),
        (b"\xff\xfe", ("\ufffd\ufffd", None)),
        (b"", ("", None)),
        (b'data: {"error":"no"}\n\n', ("no", None)),
        (b'{"object":"error","message":{"detail":[{"msg":"no"}]}}', ('{"detail":[{"msg":"no"}]}', None)),
        (b'{"error":{"message":"no","code":true}}', ("no", None)),
    ],
)
def test_error_bodies(body: bytes, expected: tuple[str, int | None]) -> None:
    assert read_error(body) == expected


def test_a_dialect_is_found_by_its_name() -> None:
    assert dialect_named(NAME) is DIALECT


@pytest.mark.parametrize("name", ["", "openai", "no.such:DIALECT", "tui.engines.parts.openai_stream:decode", ":"])
def test_what_is_no_dialect_is_a_value_error(name: str) -> None:
    with pytest.raises(ValueError, match="no dialect at"):
        dialect_named(name)


def test_the_worker_imports_nothing_heavy_and_nothing_of_profiles() -> None:
    heavy = ["pydantic", "httpx", "textual", "starlette", "pynvml", "psutil", "click", "sqlite3"]
    heavy += ["prometheus_client", "yaml", "botocore"]
    heavy += [f"tui.{name}" for name in ("profile", "server", "session", "gpu", "simulator", "link", "bench", "view")]
    modules = ["tui.load.worker", *(where.partition(":")[0] for where in installed_engines().values())]
    code = f"import sys, {', '.join(modules)}; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
