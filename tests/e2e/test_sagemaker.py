"""A SageMaker endpoint of our own making: every request must be signed, every answer comes in Amazon's frames."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import simulated
from tests.unit.engines.test_contract import in_frames

REGION = "eu-central-1"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_REGION": REGION,
}
PROFILE = """
name = "p"
engine = "sagemaker"
[attach]
base_url = "http://127.0.0.1:{port}"
model = "my-endpoint"
[load]
users = [1, 4]
prompt_tokens = [31]
output_tokens = 5
"""


class Endpoint:
    """Answers signed requests by TGI's events; refuses all others, as AWS does."""

    def __init__(self) -> None:
        self.signed = 0
        self.refused: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                fields = dict(re.findall(r"^([\w-]+): (.*)\r$", head, re.MULTILINE))
                body = await reader.readexactly(int(fields.get("Content-Length") or fields.get("content-length") or 0))
                if head.startswith("POST /endpoints/my-endpoint/invocations-response-stream ") and signed(fields, body):
                    self.signed += 1
                    writer.write(answer(json.loads(body)))
                else:
                    self.refused.append(head.splitlines()[0])
                    writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
        writer.close()


def signed(fields: dict[str, str], body: bytes) -> bool:
    """Say whether a request is signed, by botocore's own arithmetic."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    by, names = fields.get("Authorization", ""), re.search(r"SignedHeaders=([^,]+)", fields.get("Authorization", ""))
    if names is None:
        return False
    lower = {name.lower(): value for name, value in fields.items()}
    headers = {name: lower[name] for name in names[1].split(";")}
    url = f"http://{fields['Host']}/endpoints/my-endpoint/invocations-response-stream"
    request = AWSRequest("POST", url, headers, body)
    request.context["timestamp"] = lower["x-amz-date"]
    request.context["payload_signing_enabled"] = True
    keys = Credentials(KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"])
    signer = SigV4Auth(keys, "sagemaker", REGION)
    expected = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return by.endswith(f"Signature={expected}")


def answer(asked: dict[str, Any]) -> bytes:
    tokens = asked["parameters"]["max_new_tokens"]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [head]
    for number in range(1, tokens + 1):
        last = number == tokens
        details = {"finish_reason": "length", "generated_tokens": tokens, "input_length": len(asked["inputs"].split())}
        event = {
            "index": number,
            "token": {"id": number, "text": f" t{number}", "logprob": -1.5, "special": False},
            "generated_text": "t" if last else None,
            "details": details if last else None,
        }
        for frame in in_frames(b"data:" + json.dumps(event).encode() + b"\n\n"):
            chunks.append(b"%x\r\n%b\r\n" % (len(frame), frame))
    return b"".join([*chunks, b"0\r\n\r\n"])


async def test_every_request_is_signed_and_every_frame_is_read(tmp_path: Path) -> None:
    pytest.importorskip("botocore")
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    profile = tmp_path / "p.toml"
    profile.write_text(PROFILE.format(port=server.sockets[0].getsockname()[1]))
    homes = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("DATA", "STATE", "CACHE", "CONFIG")}
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tui", "run", str(profile), "--json", "--quiet"),
        env=dict(os.environ) | homes | KEYS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(run.communicate(), 100)
    server.close()
    # 5: a machine so busy that its times say nothing; signatures and frames are to hold all the same.
    assert run.returncode in (0, 5), err.decode()
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in out.decode() + err.decode()
    cells = json.loads(out)["cells"]
    assert [(cell["requests_ok"] + cell["requests_failed"]) for cell in cells] == [1, 4]
    assert {cell["outcome"] for cell in cells} <= {"ok", "client-limit"}
    assert {cell["output_tokens_mean"] for cell in cells if cell["outcome"] == "ok"} <= {5}
    assert endpoint.signed >= 5
    assert not [line for line in endpoint.refused if line.startswith("POST")]


def test_a_simulated_endpoint_lets_in_who_has_its_keys_and_tells_who_has_not(world: World) -> None:
    pytest.importorskip("botocore")
    profile = world.root / "p.toml"
    world.env |= KEYS
    with simulated(world, "--engine", "sagemaker", ready=False) as server:
        assert "by the keys of the environment" in server.wait_for_line("signatures are checked")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", server.wait_for_line("Serving at"))
        assert found is not None
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:  # it listens a moment later
            assert client.get(found[0]).status_code == httpx.codes.NOT_FOUND
        text = PROFILE.format(port=found[1]).replace("my-endpoint", "vramp/simulated").replace("[1, 4]", "[2]")
        profile.write_text(text)
        done = world.run("run", str(profile), "--json")
        world.env["AWS_SECRET_ACCESS_KEY"] = "another-key-0123456789"
        refused = world.run("run", str(profile), "--json")
    assert done.returncode in (0, 5), done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert (cell["requests_ok"], cell["requests_failed"]) == (2, 0)
    assert refused.returncode == 1
    (cell,) = json.loads(refused.stdout)["cells"]
    assert cell["outcome"] == "http-error"
    assert "HTTP 403: The request signature we calculated does not match" in cell["evidence"]
    assert "it is asked with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY" in refused.stderr
    assert "another-key" not in refused.stdout + refused.stderr
