"""The clients that are held against each other: how each is installed, started, and asked for its token gaps."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ground import HERE, compiled

INSTALL_TIMEOUT_S = 600
NEAR_NS = 20_000_000
VLLM_RS = "0.33.0"
_VERSION = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"

Sends = dict[int, list[int]]
"""Serial of a request -> [its arrival at the server, then each event's send], ns."""
Gaps = Iterator[tuple[int, list[int]]]
"""(serial of a request, its token gaps in us)."""


@dataclass(frozen=True)
class Load:
    """What every client is asked to make."""

    users: int
    per_second: float
    tokens: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.users} x {self.per_second:g}/s"

    @property
    def events_per_s(self) -> float:
        return self.users * self.per_second


@dataclass(frozen=True)
class Client:
    name: str
    version: Callable[[], str]
    command: Callable[[int, Load, Path], list[str]]
    """Of (port, load, folder for what it writes)."""
    gaps: Callable[[Path, Sends], Gaps] | None
    """None = it keeps no time per token."""
    env: Callable[[Load, Path], dict[str, str]] = field(default=lambda load, folder: {})
    note: str = ""
    shape: str = "usage"
    """Of the server's events, as `paced_server.c` names it."""


def _lines(folder: Path, sent: Sends) -> Gaps:
    with (folder / "gaps.jsonl").open() as file:
        for line in file:
            serial, gaps = json.loads(line)
            yield serial, gaps


def _aiperf_lines(folder: Path, sent: Sends) -> Gaps:
    with (folder / "aiperf" / "profile_export.jsonl").open() as file:
        for line in file:
            metrics = json.loads(line)["metrics"]
            if "inter_chunk_latency" in metrics:
                gaps_ms = metrics["inter_chunk_latency"]["value"]
                yield int(metrics["usage_prompt_tokens"]["value"]), [round(gap * 1000) for gap in gaps_ms]


def _vllm_rs_result(folder: Path, sent: Sends) -> Gaps:
    """It keeps no word of the server's with a request: each is laid beside that of the server's, among those that came
    within some milliseconds of its start, whose gaps are nearest."""
    result = json.loads((folder / "vllm-rs.json").read_text())
    starts_ns = [round(start_s * 1e9) for start_s in result["start_times"]]
    serials = sorted(sent, key=lambda serial: sent[serial][0])
    arrivals_ns = [sent[serial][0] for serial in serials]
    shift_ns = arrivals_ns[0] - min(starts_ns)  # of its own clock
    for start_ns, gaps_s in zip(starts_ns, result["itls"], strict=True):
        gaps_us = [round(gap_s * 1e6) for gap_s in gaps_s]
        near = serials[
            bisect_left(arrivals_ns, start_ns + shift_ns - NEAR_NS) : bisect_left(
                arrivals_ns, start_ns + shift_ns + NEAR_NS
            )
        ]
        alike = [serial for serial in near if len(sent[serial]) == len(gaps_us) + 2]
        if alike:
            yield min(alike, key=lambda serial: _distance(gaps_us, sent[serial])), gaps_us


def _distance(gaps_us: list[int], sent_ns: list[int]) -> int:
    return sum(abs(gap * 1000 - (sent_ns[n + 2] - sent_ns[n + 1])) for n, gap in enumerate(gaps_us))


def _driver(name: str) -> str:
    return str(HERE / "drivers" / name)


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _plain(load: Load) -> list[str]:
    return [str(load.users), str(load.tokens), str(load.seconds)]


def vramp(workers: int = 1, shape: str = "usage", hosts: int = 0) -> Client:
    def version() -> str:
        return subprocess.run(
            [sys.executable, "-c", _VERSION, "vramp"], check=True, capture_output=True, text=True
        ).stdout.strip()

    def command(port: int, load: Load, folder: Path) -> list[str]:
        out = str(folder / "gaps.jsonl")
        return [sys.executable, _driver("vramp_engine.py"), _url(port), *_plain(load), out, str(workers), str(hosts)]

    note = "" if shape == "usage" else "events without a usage"
    if hosts or workers > 1:
        note = f"a worker on each of {hosts} hosts, all here" if hosts else f"{workers} workers"
    return Client("vramp", version, command, _lines, note=note, shape=shape)


def c_client(build: Path) -> Client:
    def command(port: int, load: Load, folder: Path) -> list[str]:
        return [str(compiled("epoll_client", build)), str(port), *_plain(load)]

    return Client("C epoll client", lambda: "-", command, None, note="counts only, no times")


def vllm_bench(python: Path) -> Client:
    def version() -> str:
        return _version_in(python, "vllm")

    def command(port: int, load: Load, folder: Path) -> list[str]:
        return [str(python), _driver("vllm_bench.py"), _url(port), *_plain(load), str(folder / "gaps.jsonl")]

    return Client("vllm bench serve", version, command, _lines, note="its request function")


def vllm_rs(program: Path, tokenizer: Path) -> Client:
    """vLLM's own client in Rust."""

    def command(port: int, load: Load, folder: Path) -> list[str]:
        rounds = math.ceil(load.seconds * load.per_second / load.tokens) + 1
        return [
            *(str(program), "bench", "serve", "--backend", "openai", "--base-url", _url(port), "--model", "m"),
            *("--tokenizer", str(tokenizer), "--dataset-name", "random", "--random-input-len", "16"),
            *("--random-output-len", str(load.tokens), "--num-prompts", str(rounds * load.users)),
            *("--max-concurrency", str(load.users), "--prompt-token-ids", "--ignore-eos", "--disable-tqdm"),
            *("--save-result", "--save-detailed", "--result-dir", str(folder), "--result-filename", "vllm-rs.json"),
        ]

    return Client("vllm-rs bench serve", lambda: VLLM_RS, command, _vllm_rs_result)


def vllm_rs_program() -> Path:
    """Return the program out of vLLM's wheel, fetched where there is none. Raises RuntimeError."""
    folder = HERE / ".venv-vllm-rs"
    program = folder / "vllm-rs"
    if not program.exists():
        print(f"fetching the wheel of vllm {VLLM_RS} into {folder} ...", flush=True)
        folder.mkdir(exist_ok=True)
        what = ["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(folder), f"vllm=={VLLM_RS}"]
        _pip(sys.executable, what, f"vllm {VLLM_RS}")
        (wheel,) = folder.glob("vllm-*.whl")
        fresh = program.with_suffix(".part")
        with zipfile.ZipFile(wheel) as archive:
            fresh.write_bytes(archive.read("vllm/vllm-rs"))
        fresh.chmod(0o755)
        fresh.rename(program)
        wheel.unlink()
    return program


def locust(python: Path) -> Client:
    def command(port: int, load: Load, folder: Path) -> list[str]:
        users = ["-u", str(load.users), "-r", str(load.users), "-t", f"{load.seconds:.0f}s", "-s", "30"]
        where = ["-f", _driver("locustfile.py"), "--host", _url(port)]
        return [str(python.with_name("locust")), *where, "--headless", "--only-summary", *users]

    def env(load: Load, folder: Path) -> dict[str, str]:
        return {"TOKENS": str(load.tokens), "OUT": str(folder / "gaps.jsonl")}

    return Client("locust FastHttpUser", lambda: _version_in(python, "locust"), command, _lines, env, "own reader")


def guidellm(python: Path) -> Client:
    def command(port: int, load: Load, folder: Path) -> list[str]:
        prompts = folder / "prompts.txt"
        prompts.write_text("".join(f"request {number} asks for the time of day\n" for number in range(20_000)))
        backend = f"kind=openai_http,target={_url(port)},model=m,request_format=/v1/completions"
        return [
            *(str(python.with_name("guidellm")), "run", "--disable-console"),
            *("--backend", f"{backend},validate_backend=false,http2=false,max_tokens={load.tokens}"),
            *("--profile", f"kind=concurrent,streams={load.users}"),
            *("--constraint", f"kind=max_duration,seconds={load.seconds:g}"),
            *("--data", f"kind=text_file,path={prompts}"),
            *("--output", f"kind=json,path={folder / 'guidellm.json'}"),
        ]

    return Client("guidellm", lambda: _version_in(python, "guidellm"), command, None, note="keeps means per request")


def aiperf(python: Path, tokenizer: Path) -> Client:
    def command(port: int, load: Load, folder: Path) -> list[str]:
        return [
            *(str(python.with_name("aiperf")), "profile", "-m", "m", "--tokenizer", str(tokenizer)),
            *("--url", _url(port), "--endpoint-type", "completions", "--streaming", "--use-legacy-max-tokens"),
            *("--use-server-token-count", "--no-gpu-telemetry", "--no-server-metrics", "--ui", "none"),
            *("--concurrency", str(load.users), "--benchmark-duration", f"{load.seconds:g}"),
            *("--osl", str(load.tokens), "--isl", "16", "--artifact-dir", str(folder / "aiperf")),
        ]

    return Client("aiperf", lambda: _version_in(python, "aiperf"), command, _aiperf_lines)


def _version_in(python: Path, package: str) -> str:
    done = subprocess.run([str(python), "-c", _VERSION, package], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def environment(name: str, packages: list[str]) -> Path:
    """Return the Python of an environment of a peer's own, made where there is none. Raises RuntimeError."""
    folder = HERE / f".venv-{name}"
    python = folder / "bin" / "python"
    ready = folder / ".ready"
    if ready.exists():
        return python
    print(f"installing {name} into {folder} ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    _pip(str(python), ["install", "--quiet", *packages], name)
    ready.touch()
    return python


def _pip(python: str, what: list[str], name: str) -> None:
    command = [python, "-m", "pip", "--disable-pip-version-check", *what]
    try:
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{name} could not be installed within {INSTALL_TIMEOUT_S} s") from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or "").strip().splitlines()
        raise RuntimeError(f"{name} could not be installed: {lines[-1] if lines else error}") from None
