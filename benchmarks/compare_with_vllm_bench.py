"""Lays vramp beside `vllm bench serve`: the same installation, the same server, the same load, one after the other.

    python benchmarks/compare_with_vllm_bench.py .venv-vllm --write docs/vllm-agreement.md

The environment is that of `make test-vllm`. Both keep N requests under way (closed loop) of 128 random prompt tokens
and 64 output tokens; the order alternates from run to run, so that neither always finds the machine warmer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import tomli_w

from tui.engines.vllm.metrics import read_metrics
from tui.profile.schema import Profile
from tui.server.supervisor import Supervisor

ROOT = Path(__file__).parents[1]
USERS = [1, 4, 16]
PROMPT_TOKENS, OUTPUT_TOKENS = 128, 64
WARM_UP_S, DURATION_S = 4.0, 20.0
MODEL_SIZE = ("768", "8")
AGREEMENT = 0.05
FIGURES = {
    "throughput": "tokens/s",
    "TTFT p50": "ms",
    "TPOT p50": "ms",
    "TTFT mean": "ms",
    "TTFT mean by the server": "ms",
    "TTFT mean beyond the server's": "ms",
}
# What the server itself says differs only if the tools loaded it otherwise; only the first figures are to agree.
COMPARED = list(FIGURES)[:3]
ARGS = {
    "served-model-name": "small",
    "max-model-len": 2048,
    "max-num-seqs": 32,
    "kv-cache-memory-bytes": "1G",
    "enforce-eager": True,
    "no-enable-prefix-caching": True,
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_HOST_IP": "127.0.0.1", "VLLM_NO_USAGE_STATS": "1"}

Results = dict[tuple[int, str, str], list[float]]
"""(users, figure, tool) -> a value for each run."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", type=Path, help="the environment that `make test-vllm` made")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", type=Path, help="the page to write the table into; default: stdout")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vramp-compare-") as folder:
        environment = options.environment.resolve()
        maker = ROOT / "tests" / "real" / "tiny_model.py"
        subprocess.run([environment / "bin" / "python", maker, Path(folder) / "model", *MODEL_SIZE], check=True)
        version, results = asyncio.run(_compare(environment, Path(folder), options.runs))
    page = _page(version, results, options.runs)
    if options.write:
        options.write.write_text(page)
    else:
        print(page)
    return 0


async def _compare(environment: Path, folder: Path, runs: int) -> tuple[str, Results]:
    document = {
        "name": "compare",
        "engine": "vllm",
        "server": {
            "model": str(folder / "model"),
            "executable": [str(environment / "bin" / "vllm"), "serve"],
            "args": ARGS,
            "env": OFFLINE,
        },
        "load": {
            "users": USERS,
            "prompt_tokens": [PROMPT_TOKENS],
            "output_tokens": OUTPUT_TOKENS,
            "mode": "steady",
            "warm_up_s": WARM_UP_S,
            "duration_s": DURATION_S,
        },
    }
    (folder / "compare.toml").write_text(tomli_w.dumps(document))
    supervisor = Supervisor(
        Profile.model_validate(document), None, folder / "log", on_event=lambda e: _tell(e.text, e.source == "engine")
    )
    results: Results = defaultdict(list)
    try:
        await supervisor.launch()
        # The requests of vramp's measured time say how many fill as much time of the other tool.
        requests: dict[int, int] = {}
        for run in range(runs):
            if run % 2 == 0:
                requests = await asyncio.to_thread(_vramp, folder, supervisor.base_url, results)
            for users in USERS:
                count = max(users, round(requests[users] / users) * users)
                await asyncio.to_thread(_vllm_bench, environment, folder, supervisor.base_url, users, count, results)
            if run % 2:
                await asyncio.to_thread(_vramp, folder, supervisor.base_url, results)
        return supervisor.status.version, results
    finally:
        await supervisor.stop()


def _vramp(folder: Path, url: str, results: Results) -> dict[int, int]:
    """Run the grid's one column; return the requests per number of users."""
    env = {**os.environ, "XDG_DATA_HOME": str(folder / "data"), "XDG_CACHE_HOME": str(folder / "cache")}
    command = [sys.executable, "-m", "tui", "run", str(folder / "compare.toml"), "--attach", url, "--json", "--quiet"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True)
    cells = json.loads(done.stdout)["cells"]
    for cell in cells:
        _tell(f"vramp {cell['users']} users: {cell['outcome']} {cell['evidence']}")
        latencies_s = (cell[name] for name in ("ttft_p50_s", "tpot_p50_s", "ttft_mean_s", "server_ttft_mean_s"))
        _add(results, cell["users"], "vramp", cell["tokens_per_s_total"], *latencies_s)
    return {cell["users"]: cell["requests_ok"] for cell in cells}


def _vllm_bench(environment: Path, folder: Path, url: str, users: int, requests: int, results: Results) -> None:
    load = {
        "--backend": "vllm",
        "--base-url": url,
        "--endpoint": "/v1/completions",
        "--model": "small",
        "--tokenizer": folder / "model",
        "--dataset-name": "random",
        "--random-input-len": PROMPT_TOKENS,
        "--random-output-len": OUTPUT_TOKENS,
        "--num-prompts": requests,
        "--max-concurrency": users,
        "--request-rate": "inf",
        "--seed": len(results[users, "throughput", "vllm bench"]),
        "--temperature": 0,
        "--percentile-metrics": "ttft,tpot",
        "--result-dir": folder,
        "--result-filename": "bench.json",
    }
    words = [str(word) for pair in load.items() for word in pair]
    command = [str(environment / "bin" / "vllm"), "bench", "serve", *words, "--ignore-eos", "--save-result"]
    before = _server_ttft(url)
    subprocess.run(command, env={**os.environ, **OFFLINE}, check=True, capture_output=True, text=True)
    after = _server_ttft(url)
    found: dict[str, Any] = json.loads((folder / "bench.json").read_text())
    _tell(f"vllm bench {users} users: {found['completed']} of {requests} requests in {found['duration']:.1f} s")
    latencies_s = [found[name] / 1000 for name in ("median_ttft_ms", "median_tpot_ms", "mean_ttft_ms")]
    latencies_s.append((after[0] - before[0]) / (after[1] - before[1]))
    _add(results, users, "vllm bench", found["output_throughput"], *latencies_s)


def _server_ttft(url: str) -> tuple[float, float]:
    """Return the sum, s, and the count of the first tokens by the server's own histogram."""
    metrics = read_metrics(httpx.get(f"{url}/metrics", trust_env=False, timeout=30).text)
    return metrics.ttft_sum_s or 0.0, metrics.ttft_count or 0.0


def _add(
    results: Results,
    users: int,
    tool: str,
    tokens_per_s: float,
    ttft_s: float,
    tpot_s: float,
    ttft_mean_s: float,
    server_ttft_s: float,
) -> None:
    latencies_ms = (each * 1000 for each in (ttft_s, tpot_s, ttft_mean_s, server_ttft_s, ttft_mean_s - server_ttft_s))
    for figure, value in zip(FIGURES, (tokens_per_s, *latencies_ms), strict=True):
        results[users, figure, tool].append(value)


def _page(version: str, results: Results, runs: int) -> str:
    rows = []
    for users in USERS:
        for figure, unit in FIGURES.items():
            ours, theirs = (results[users, figure, tool] for tool in ("vramp", "vllm bench"))
            row = f"| {users} | {figure}, {unit} | {_runs(ours)} | {_runs(theirs)} |"
            rows.append(f"{row} {_verdict(ours, theirs)} |" if figure in COMPARED else f"{row} | | |")
    return PAGE.format(
        version=version,
        runs=runs,
        users=", ".join(map(str, USERS)),
        prompt=PROMPT_TOKENS,
        output=OUTPUT_TOKENS,
        warm_up=WARM_UP_S,
        duration=DURATION_S,
        width=MODEL_SIZE[0],
        depth=MODEL_SIZE[1],
        cores=os.cpu_count(),
        rows="\n".join(rows),
    )


def _verdict(ours: list[float], theirs: list[float]) -> str:
    apart = abs(median(ours) / median(theirs) - 1)
    spread = max((max(values) - min(values)) / median(values) for values in (ours, theirs))
    return f"{apart:.1%} | {spread:.1%} | {'yes' if apart <= max(AGREEMENT, spread) else '**no**'}"


def _runs(values: list[float]) -> str:
    digits = 1 if max(values) < 1000 else 0
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"**{median(values):.{digits}f}** ({each})"


def _tell(text: str, wanted: bool = True) -> None:
    if wanted:
        print(text, file=sys.stderr, flush=True)


PAGE = """\
# vramp beside `vllm bench serve`

The same vLLM {version} (CPU, {cores} cores shared with the clients), the same running server, the same load, one tool
after the other, {runs} runs of each in alternating order: {users} users in a closed loop, {prompt} random prompt
tokens, {output} output tokens, greedy, end-of-sequence ignored, no prefix cache. The model is a Llama of random
weights, {width} wide and {depth} deep: large enough that a step of the engine, and not the sending of its answer, takes
the time. vramp measures {duration:g} s after a warm-up of {warm_up:g} s; `vllm bench` sends as many requests as
vramp got answered in that time.

Two figures agree when their medians are within 5 %, or within the spread of the runs (largest − smallest, by the
median, of whichever tool spreads more), if that is larger.

| users | figure | vramp: median (runs) | vllm bench: median (runs) | apart | spread | agree |
| --- | --- | --- | --- | --- | --- | --- |
{rows}

What differs by definition: vramp counts the tokens that arrived in the measured time, `vllm bench` all tokens by the
whole time, its last requests running with less and less company included. vramp's TTFT begins when a request was meant
to start and ends with the kernel's stamp of the first token; that of `vllm bench` begins before its POST and ends when
its event loop has the event. TPOT is defined alike: (latency − TTFT) / (output tokens − 1). `vllm bench` makes texts of
its random tokens, so that some of its prompts are a token or two longer.

To repeat it (some minutes; nothing else should run):

```sh
make test-vllm TEST_ARGS=--collect-only   # makes the environment, if it is not there
.venv/bin/python benchmarks/compare_with_vllm_bench.py .venv-vllm --write docs/vllm-agreement.md
```
"""


if __name__ == "__main__":
    sys.exit(main())
