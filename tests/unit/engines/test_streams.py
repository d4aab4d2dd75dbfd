"""The decoder of OpenAI-compatible streams, on what servers really send."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tui.engines.streams import DECODERS, StreamEvent, decode_openai, read_error

TOKEN = StreamEvent(bears_tokens=True)
NOTHING = StreamEvent()


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"choices":[{"index":0,"text":" solka","finish_reason":null}]}', TOKEN),
        (b'{"choices":[{"index":0,"text":"","finish_reason":"length"}]}', TOKEN),
        (b'{"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}', NOTHING),
        (b'{"choices":[{"delta":{"role":"assistant"}}]}', NOTHING),
        (b'{"choices":[{"delta":{"role":"assistant","content":"Hi"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"content":""}}]}', TOKEN),
        (b'{"choices":[{"delta":{"content":"\xc3\xa9"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"reasoning_content":"hm"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"content":null,"reasoning":"hm"}}]}', TOKEN),
        (b'{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}', TOKEN),
        (b'{"choices":[{"delta":{},"finish_reason":"stop"}]}', NOTHING),
        (b'{"choices":[],"usage":null}', NOTHING),
        (b"[DONE]", StreamEvent(done=True)),
        (b'{"unknown":1}', NOTHING),
        (
            b'{"choices":[],"usage":{"prompt_tokens":20,"total_tokens":120,"completion_tokens":100}}',
            StreamEvent(output_tokens=100, prompt_tokens=20, final_usage=True),
        ),
        (
            b'{"choices":[{"text":"a"}],"usage":{"prompt_tokens":20,"completion_tokens":7}}',
            StreamEvent(bears_tokens=True, output_tokens=7, prompt_tokens=20),
        ),
        (
            b'{"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":2,"completion_tokens":9}}',
            StreamEvent(bears_tokens=True, output_tokens=9, prompt_tokens=2, final_usage=True),
        ),
        (b'{"choices":[],"usage":{"completion_tokens":null}}', NOTHING),
        (
            b'{"error": {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "code": 500}}',
            StreamEvent(error="EngineCore encountered an issue.", error_code=500),
        ),
        (b'{"error":"out of luck"}', StreamEvent(error="out of luck")),
        (b'{"object":"error","message":"old shape","code":400}', StreamEvent(error="old shape", error_code=400)),
        (b'{"error":null,"choices":[{"text":"a"}]}', TOKEN),
    ],
)
def test_one_event(payload: bytes, expected: StreamEvent) -> None:
    assert decode_openai(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b'{"choices":[{"text":"a"}',
        b"nonsense",
        b"17",
        b"[1]",
        b'{"choices":7}',
        b'{"usage":{"completion_tokens":"x"}}',
    ],
)
def test_what_is_not_of_the_dialect_is_a_value_error(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode_openai(payload)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error":{"message":"no","code":404}}', ("no", 404)),
        (b'{"detail":"Not Found"}', ("Not Found", None)),
        (b"<html>Bad gateway</html>", ("<html>Bad gateway</html>", None)),
        (b"\xff\xfe", ("\ufffd\ufffd", None)),
        (b"", ("", None)),
        (b'{"error":{"message":"no","code":true}}', ("no", None)),
    ],
)
def test_error_bodies(body: bytes, expected: tuple[str, int | None]) -> None:
    assert read_error(body) == expected


def test_openai_is_registered() -> None:
    assert DECODERS["openai"] is decode_openai


def test_the_worker_imports_nothing_heavy() -> None:
    heavy = ("pydantic", "httpx", "textual", "plotext", "starlette", "pynvml", "psutil", "click", "sqlite3")
    code = f"import sys, tui.load.worker; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
