"""What an event of each serving system's own stream costs a load worker, beside one of vLLM's.

    python benchmarks/dialects.py [--users 300] [--per-second 20] [--seconds 5] [--repeats 3] [--write]

Two figures, each taken by turns. *Whole*: the CPU time of a worker process that reads streams of these bytes from the
paced C server, as it does in a run, per event: the kernel's part, the requests and their signatures included. *Read*:
the time of the thread from the read to the count, of many streams in turn, without sockets. Bytes are as
tests/corpus/engines has them, 100 tokens an answer. --write puts the table into docs/benchmarks.md. It needs Linux and
a C compiler.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zlib import crc32

import psutil
from ground import compiled, machine, paced_server, write_table
from tabulate import tabulate

from tui.core.address import address_of
from tui.engines.base import Wish
from tui.engines.catalogue import engine_for
from tui.engines.engine import Engine
from tui.engines.parts.auth import Auth
from tui.engines.parts.dialect import dialect_named
from tui.load.local_host import LocalHost
from tui.load.pool import LoadPool, LoadProgress
from tui.load.prompts import COMMON_WORDS, TEXT, TOKEN_IDS, pack_token_ids
from tui.load.response import Response
from tui.load.tally import Tally
from tui.load.wire import LoadTarget, PromptSource
from tui.metrics.record import RequestRecord
from tui.profile.schema import Endpoint

TOKENS = 100
PROMPT_TOKENS = 16
STREAMS = 40
READ_ROUNDS = 12
SETTLE_S = 1.5
STARTS = 5
WORDS = (b" qua", b" ber", b" a", b" mira", b" solka", b"er", b"ing", b",")
KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "not-a-key", "AWS_REGION": "eu-central-1"}
Event = Callable[[int, int], bytes]
"""Of the number of an event and of its stream."""


def word(number: int) -> bytes:
    return WORDS[number % len(WORDS)]


def varied(number: int, stream: int, below: int) -> int:
    """Return a number that differs from event to event, as ids and probabilities do."""
    return (number * 7919 + stream * 104_729) % below


def vllm(number: int, stream: int) -> bytes:
    usage = PROMPT_TOKENS, PROMPT_TOKENS + number, number
    finish = b'"length"' if number == TOKENS else b"null"
    return (
        b'data: {"id":"cmpl-%016x","object":"text_completion","created":1795197172,"model":"tiny","choices":['
        b'{"index":0,"text":"%b","logprobs":null,"finish_reason":%b,"stop_reason":null,"prompt_token_ids":null,'
        b'"token_ids":null}],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d}}\n\n'
    ) % (stream, word(number), finish, *usage)


def triton_vllm(number: int, stream: int) -> bytes:
    return (
        b'data: {"finish_reason":"%b","model_name":"vllm_model","model_version":"1","num_input_tokens":16,'
        b'"num_output_tokens":1,"text_output":"%b"}\n\n'
    ) % (b"length" if number == TOKENS else b"None", word(number))


def triton_trtllm(number: int, stream: int) -> bytes:
    return (
        b'data: {"batch_index":0,"cum_log_probs":0.0,"model_name":"ensemble","model_version":"1","output_log_probs":0.0'
        b',"sequence_index":0,"text_output":"%b"}\n\n'
    ) % word(number)


def tgi(number: int, stream: int, space: bytes = b" ") -> bytes:
    last = (
        b'"generated_text":" t","details":{"finish_reason":"length","generated_tokens":%d,"seed":null,'
        b'"input_length":%d}'
    ) % (TOKENS, PROMPT_TOKENS)
    return b'data:%b{"index":%d,"token":{"id":%d,"text":"%b","logprob":-%d.%d,"special":false},%b}\n\n' % (
        *(space, number, 200 + varied(number, stream, 30_000), word(number)),
        *(varied(number, stream, 3), 1 + varied(number, stream, 10_000_000)),
        last if number == TOKENS else b'"generated_text":null,"details":null',
    )


def sagemaker(number: int, stream: int) -> bytes:
    payload = tgi(number, stream, b"")
    names = (
        (b":event-type", b"PayloadPart"),
        (b":content-type", b"application/octet-stream"),
        (b":message-type", b"event"),
    )
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack(">H", len(value)) + value for name, value in names
    )
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return message + struct.pack(">I", crc32(message))


def ollama(number: int, stream: int) -> bytes:
    at = b"2026-11-20T17:14:%02d.%06dZ" % (number % 60, varied(number, stream, 1_000_000))
    line = b'{"model":"m","created_at":"%b","response":"%b","done":false}\n' % (at, word(number))
    end = (
        b'{"model":"m","created_at":"%b","response":"","done":true,"done_reason":"length","total_duration":174560334,'
        b'"load_duration":101397084,"prompt_eval_count":%d,"prompt_eval_duration":13074791,"eval_count":%d,'
        b'"eval_duration":52479709}\n'
    ) % (at, PROMPT_TOKENS, TOKENS)
    return line + (end if number == TOKENS else b"")


def llama_cpp(number: int, stream: int) -> bytes:
    event = (
        b'data: {"index":0,"content":"%b","tokens":[%d],"stop":false,"id_slot":-1,"tokens_predicted":%d,'
        b'"tokens_evaluated":%d}\n\n'
    ) % (word(number), 200 + varied(number, stream, 30_000), number, PROMPT_TOKENS)
    end = (
        b'data: {"index":0,"content":"","tokens":[],"id_slot":1,"stop":true,"model":"tiny.gguf","tokens_predicted":%d,'
        b'"tokens_evaluated":%d,"generation_settings":{"n_predict":%d},"prompt":"a","truncated":false,"stop_type":"limit"}\n\n'
    ) % (TOKENS, PROMPT_TOKENS, TOKENS)
    return event + (end if number == TOKENS else b"")


@dataclass(frozen=True)
class Spoken:
    """A serving system, and what it says."""

    name: str
    event: Event
    behind: bytes = b""
    """A last event of its own."""

    @property
    def engine(self) -> Engine:
        return engine_for(self.name)


ALL = [
    Spoken("vllm", vllm, b"data: [DONE]\n\n"),
    Spoken("triton-vllm", triton_vllm),
    Spoken("triton-trtllm", triton_trtllm),
    Spoken("tgi", tgi),
    Spoken("ollama", ollama),
    Spoken("llama-cpp", llama_cpp),
    Spoken("sagemaker", sagemaker),
]


def wish_of(spoken: Spoken) -> Wish:
    return Wish("m", Endpoint.COMPLETIONS, prompt_tokens=PROMPT_TOKENS, output_tokens=TOKENS)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def reads_of(spoken: Spoken, stream: int) -> list[bytes]:
    """Return an answer read by read: its head, its events, its end."""
    dialect = dialect_named(spoken.engine.request_shape(wish_of(spoken)).dialect)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % dialect.media_types[0]
    end = (chunk(spoken.behind) if spoken.behind else b"") + b"0\r\n\r\n"
    return [head, *(chunk(spoken.event(number, stream)) for number in range(1, TOKENS + 1)), end]


def read_us(spoken: Spoken) -> float:
    """Return what the way from a read to the count costs per event, in us of the thread's own time."""
    shape = spoken.engine.request_shape(wish_of(spoken))
    dialect, tally = dialect_named(shape.dialect), Tally()
    streams = [reads_of(spoken, stream) for stream in range(STREAMS)]
    responses = [Response(TOKENS, dialect, tally, exact=shape.exact) for _ in streams]
    for response, reads in zip(responses, streams, strict=True):
        response.feed(reads[0], 1)
        response.feed(reads[1], 1)
    begun = time.thread_time()
    for number in range(2, TOKENS):
        for response, reads in zip(responses, streams, strict=True):
            response.feed(reads[number], number)
    took_s = time.thread_time() - begun
    for response, reads in zip(responses, streams, strict=True):
        response.feed(reads[TOKENS], TOKENS)
        response.feed(reads[TOKENS + 1], TOKENS)
        if (response.error, response.output_tokens) != ("", TOKENS):
            raise RuntimeError(f"{spoken.name}: {response.error or response.output_tokens}")
    return took_s / (STREAMS * (TOKENS - 2)) * 1e6


async def whole_us(spoken: Spoken, build: Path, options: argparse.Namespace) -> float:
    """Return what an event costs a worker process, in us of its CPU time."""
    answer = build / f"{spoken.name}.answer"
    answer.write_bytes(b"".join(struct.pack("=I", len(read)) + read for read in reads_of(spoken, 1)))
    with paced_server(build, round(1e6 / options.per_second), "own", shape=str(answer)) as (port, _):
        records: list[RequestRecord] = []
        events = 0

        def take(progress: LoadProgress) -> None:
            nonlocal events
            events += progress.events

        pool = LoadPool(
            LoadTarget(address_of(f"http://127.0.0.1:{port}"), auth_of(spoken)),
            on_records=records.extend,
            on_progress=take,
            on_event=print,
            hosts=[LocalHost(1)],
        )
        await pool.start()
        try:
            await pool.configure(spoken.engine.request_shape(wish_of(spoken)), prompts_of(spoken), 1)
            await pool.set_users(options.users)
            await asyncio.sleep(SETTLE_S)
            (worker,) = [psutil.Process(pid) for pid in pool.pids]
            before, told = cpu_s(worker), events
            await asyncio.sleep(options.seconds)
            cost = (cpu_s(worker) - before) / max(1, events - told) * 1e6
            await pool.set_users(0)
            await pool.drain()
        finally:
            await pool.stop()
    failed = [record for record in records if not record.ok]
    if failed or not records:
        raise RuntimeError(f"{spoken.name}: {failed[0].error if failed else 'no answer'}")
    return cost


def auth_of(spoken: Spoken) -> Auth:
    """Return what signs, where each request is signed; the others ask without a key."""
    if spoken.name != "sagemaker":
        return Auth()
    names = [name for name in KEYS if name != "AWS_REGION"]
    settings = {"service": "sagemaker", "region": KEYS["AWS_REGION"]}
    return Auth(signer="tui.engines.parts.sigv4:sign", settings=settings, signer_variables=names)


def prompts_of(spoken: Spoken) -> PromptSource:
    if spoken.engine.request_shape(wish_of(spoken)).prompt_kind == TOKEN_IDS:
        return PromptSource(TOKEN_IDS, pack_token_ids(range(200, 30_000)))
    return PromptSource(TEXT, words=list(COMMON_WORDS))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def start_ms(module: str) -> float:
    """Return the CPU time of a Python that imports what a worker imports, and a module besides."""
    program = (
        "import sys, time, tui.load.worker, importlib; importlib.import_module(sys.argv[1]);"
        "print(time.process_time() * 1000, 'botocore' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, module], check=True, capture_output=True, text=True)
    took_ms, signs = done.stdout.split()
    if (signs == "True") is not module.endswith("sigv4"):
        raise RuntimeError(f"with {module}, botocore is {'' if signs == 'True' else 'not '}imported")
    return float(took_ms)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    os.environ |= KEYS
    loads = [psutil.getloadavg()[0]]
    read, whole, starts = defaultdict(list), defaultdict(list), defaultdict(list)
    gc.disable()
    for _ in range(READ_ROUNDS):
        for spoken in ALL:
            read[spoken.name].append(read_us(spoken))
            gc.collect()
    gc.enable()
    with tempfile.TemporaryDirectory() as name:
        build = Path(name)
        compiled("paced_server", build)
        for _ in range(options.repeats):
            for spoken in ALL:
                whole[spoken.name].append(asyncio.run(whole_us(spoken, build, options)))
                print(f"{spoken.name}: {whole[spoken.name][-1]:.2f} us/event", flush=True)
            loads.append(psutil.getloadavg()[0])
    plain, signing = "tui.engines.sagemaker", "tui.engines.parts.sigv4"
    for _ in range(STARTS):
        for module in (plain, signing):
            starts[module].append(start_ms(module))
    middle = {of: statistics.median(values) for of, values in whole.items()}
    least = {of: min(values) for of, values in read.items()}
    rows = [
        {
            "engine": spoken.name,
            "whole, µs/event": spread(whole[spoken.name]),
            "of vLLM's": f"{middle[spoken.name] / middle['vllm']:.2f}",
            "read, µs/event": f"{least[spoken.name]:.2f}",
            "of vLLM's read": f"{least[spoken.name] / least['vllm']:.2f}",
        }
        for spoken in ALL
    ]
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}; load average {min(loads):.1f} to {max(loads):.1f}, "
        f"server and worker included; {options.users} x {options.per_second:g}/s, {options.repeats} runs each by turns "
        f"(median, least and most), reads the least of {READ_ROUNDS}.",
        "",
        tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True),
        "",
        f"- Python with what a worker imports: {spread(starts[plain])} ms of CPU, SageMaker's dialect included; "
        f"{spread(starts[signing])} ms with botocore, which only a worker that signs imports.",
    ]
    print("\n" + "\n".join(lines))
    if options.write:
        write_table("dialects", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
