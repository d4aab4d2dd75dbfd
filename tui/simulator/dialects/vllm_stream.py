"""Answers as bytes, in the shape of vLLM 0.32.0 (compare tests/corpus/streams/). Pure.

A stream's events are glued from pieces that were encoded before: an event costs a few concatenations.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from tui.profile.simulator_table import FailOnPurpose
from tui.simulator import vocabulary
from tui.simulator.dialect import Writer
from tui.simulator.requests import GenerationRequest

VERSION = "0.32.0+simulated"
FINGERPRINT = "vllm-0.32.0-simulated"
DONE = b"data: [DONE]\n\n"
ENGINE_DEAD: dict[str, Any] = {
    "error": {
        "message": "EngineCore encountered an issue. See stack trace (above) for the root cause.",
        "type": "InternalServerError",
        "param": None,
        "code": 500,
    }
}
# In a stream vLLM writes the same body by json.dumps, with spaces.
ENGINE_DEAD_EVENT = b"data: " + json.dumps(ENGINE_DEAD).encode() + b"\n\n"


class StreamWriter(Writer):
    """Writes the events of one answer."""

    def __init__(self, request: GenerationRequest, response_id: str, created: int, model: str) -> None:
        self._request = request
        kind = "chat.completion.chunk" if request.chat else "text_completion"
        shared = {"id": response_id, "object": kind, "created": created, "model": model}
        self._head = b"data: " + msgspec.json.encode(shared)[:-1] + b',"choices":['

    def first(self) -> bytes:
        """Return what comes just before the first token: a chat's role, nothing in a completion."""
        if not self._request.chat:
            return b""
        ids = msgspec.json.encode(self._request.prompt) if self._request.return_token_ids else b"null"
        usage = self._running_usage(0)
        return b"".join(
            (
                self._head,
                b'{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]',
                usage,
                b',"prompt_token_ids":',
                ids,
                b',"prompt_text":null}\n\n',
            )
        )

    def event(self, tokens: tuple[int, ...], generated: int, *, first: bool, last: bool) -> bytes:
        """Return the event of `tokens`; `generated` counts all tokens so far, these included."""
        request = self._request
        finish_reason = request.finish_reason if last else None
        text = vocabulary.text_json(tokens)
        ids = msgspec.json.encode(tokens) if request.return_token_ids else b"null"
        finish = b"null" if finish_reason is None else b'"%s"' % finish_reason.encode()
        usage = self._running_usage(generated)
        if request.chat:
            stop = b"" if finish_reason is None else b',"stop_reason":null'
            return (
                b'%s{"index":0,"delta":{"content":%s},"logprobs":null,"finish_reason":%s%s,"token_ids":%s}]%s}\n\n'
                % (
                    self._head,
                    text,
                    finish,
                    stop,
                    ids,
                    usage,
                )
            )
        prompt = msgspec.json.encode(request.prompt) if first and request.return_token_ids else b"null"
        return (
            b'%s{"index":0,"text":%s,"logprobs":null,"finish_reason":%s,"stop_reason":null,'
            b'"prompt_token_ids":%s,"token_ids":%s}]%s}\n\n' % (self._head, text, finish, prompt, ids, usage)
        )

    def end(self, generated: int) -> Sequence[bytes]:
        """Return what comes after the last token: the usage, if asked for, and the mark."""
        if not self._request.include_usage:
            return (DONE,)
        usage = msgspec.json.encode(usage_of(len(self._request.prompt), generated))
        return b'%s],"usage":%s,"system_fingerprint":"%s"}\n\n' % (self._head, usage, FINGERPRINT.encode()), DONE

    def broken(self, cause: FailOnPurpose) -> Sequence[bytes]:
        """Return the error, whatever the cause, and the mark."""
        return ENGINE_DEAD_EVENT, DONE

    def _running_usage(self, generated: int) -> bytes:
        if not self._request.continuous_usage:
            return b""
        return b',"usage":' + msgspec.json.encode(usage_of(len(self._request.prompt), generated))


def usage_of(prompt_tokens: int, generated: int) -> dict[str, int]:
    """Return a usage object."""
    return {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens + generated, "completion_tokens": generated}


def full_response(
    request: GenerationRequest, tokens: Sequence[int], response_id: str, created: int, model: str
) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    text = vocabulary.decode(tokens)
    ids = list(tokens) if request.return_token_ids else None
    prompt_ids = request.prompt if request.return_token_ids else None
    choice: dict[str, Any] = {"index": 0}
    if request.chat:
        choice["message"] = {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}
    else:
        choice["text"] = text
    choice |= {"logprobs": None, "finish_reason": request.finish_reason, "stop_reason": None, "token_ids": ids}
    if not request.chat:
        choice |= {"prompt_logprobs": None, "prompt_token_ids": prompt_ids, "routed_experts": None}
    usage = usage_of(len(request.prompt), len(tokens))
    usage_body = {**usage, "prompt_tokens_details": None, "completion_tokens_details": None}
    return {
        "id": response_id,
        "object": "chat.completion" if request.chat else "text_completion",
        "created": created,
        "model": model,
        "choices": [choice],
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": usage_body,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }


def model_list(model: str, max_model_len: int, created: int) -> dict[str, Any]:
    """Return the body of GET /v1/models, as vLLM writes it."""
    permission = {
        "id": "modelperm-5150a7ed",
        "object": "model_permission",
        "created": created,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    card = {
        "id": model,
        "object": "model",
        "created": created,
        "owned_by": "vllm",
        "root": model,
        "parent": None,
        "max_model_len": max_model_len,
        "permission": [permission],
    }
    return {"object": "list", "data": [card]}
