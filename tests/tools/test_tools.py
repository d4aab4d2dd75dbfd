"""The same cell of one simulated server, measured by vramp and by another tool, read back and laid side by side.

A step of the server takes 30 ms and a prompt nothing more, so that it does not count whether users ask in step with
one another, as those do that a tool sends off together. Latencies of the tools count from when a request was sent,
ours from when it was due, and their clocks are read in Python's event loop: what they agree on is within a few percent,
what must differ is not compared (docs/comparing.md). VRAMP_TEST_TOOLS_KEEP names a folder for the tools' files.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import simulated
from tests.tools.conftest import ENVIRONMENT, TOKENIZER, TOKENIZER_OF_IDS
from tui.session.sides import read_side

USERS, PROMPT_TOKENS, OUTPUT_TOKENS, REQUESTS = 8, 512, 64, 96
MODEL = "vramp/simulated"
SERVER = """\
name = "tested"
engine = "simulated"
[server]
model = "vramp/simulated"
gpus = [0]
[simulator]
max_model_len = 2048
kv_cache_tokens = 65536
step_base_s = 0.03
prefill_per_token_s = 0.0
"""
WITHIN = {
    "tokens_per_s_total": 0.05,
    "time_to_resolve_s": 0.05,
    "e2e_p50_s": 0.05,
    "tpot_p50_s": 0.05,
    "ttft_p50_s": 0.25,
}
PROFILE = """\
name = "beside"
engine = "vllm"
[attach]
base_url = "{url}"
model = "vramp/simulated"
[load]
mode = "steady"
users = [8]
prompt_tokens = [512]
output_tokens = 64
warm_up_s = 2
duration_s = 20
"""
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "TOKENIZERS_PARALLELISM": "0",
}


def vllm_bench(url: str, folder: Path) -> list[str]:
    return [
        *("vllm/bin/vllm", "bench", "serve", "--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions"),
        *("--model", MODEL, "--tokenizer", str(TOKENIZER_OF_IDS), "--dataset-name", "random"),
        *("--random-input-len", str(PROMPT_TOKENS), "--random-output-len", str(OUTPUT_TOKENS), "--ignore-eos"),
        *(
            "--num-prompts",
            str(REQUESTS),
            "--max-concurrency",
            str(USERS),
            "--percentile-metrics",
            "ttft,tpot,itl,e2el",
        ),
        *("--metric-percentiles", "50,90,99", "--save-result", "--result-dir", str(folder)),
        *("--result-filename", "vllm.json"),
    ]


def guidellm(url: str, folder: Path) -> list[str]:
    return [
        *("guidellm/bin/guidellm", "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={url},model={MODEL},request_format=/v1/completions"),
        *("--profile", f"kind=concurrent,streams={USERS}", "--constraint", f"kind=max_requests,count={REQUESTS}"),
        *("--data", f"kind=synthetic_text,prompt_tokens={PROMPT_TOKENS},output_tokens={OUTPUT_TOKENS}"),
        *("--tokenizer", f"kind=huggingface_auto,model={TOKENIZER}"),
        *("--output", f"kind=json,path={folder / 'benchmarks.json'}"),
    ]


def aiperf(url: str, folder: Path) -> list[str]:
    return [
        *("aiperf/bin/aiperf", "profile", "--model", MODEL, "--url", url, "--endpoint-type", "completions"),
        *("--streaming", "--concurrency", str(USERS), "--request-count", str(REQUESTS), "--tokenizer", str(TOKENIZER)),
        *("--isl", str(PROMPT_TOKENS), "--isl-stddev", "0", "--osl", str(OUTPUT_TOKENS), "--osl-stddev", "0"),
        *("--workers-max", "1", "--record-processors", "1", "--no-server-metrics", "--no-gpu-telemetry"),
        *("--extra-inputs", "ignore_eos:true", "--artifact-dir", str(folder), "--ui", "none"),
    ]


def sglang(url: str, folder: Path) -> list[str]:
    return [
        *(
            "sglang/bin/python",
            "-m",
            "sglang.benchmark.serving",
            "--backend",
            "vllm",
            "--base-url",
            url,
            "--model",
            MODEL,
        ),
        *("--tokenizer", str(TOKENIZER_OF_IDS), "--dataset-name", "random-ids", "--random-range-ratio", "1"),
        *("--random-input-len", str(PROMPT_TOKENS), "--random-output-len", str(OUTPUT_TOKENS)),
        *("--num-prompts", str(REQUESTS), "--max-concurrency", str(USERS), "--disable-tqdm", "--output-details"),
        *("--output-file", str(folder / "sglang.jsonl")),
    ]


TOOLS: dict[str, tuple[Callable[[str, Path], list[str]], str]] = {
    "vllm": (vllm_bench, "vllm.json"),
    "guidellm": (guidellm, "benchmarks.json"),
    "aiperf": (aiperf, "profile_export_aiperf.json"),
    "sglang": (sglang, "sglang.jsonl"),
}
"""How each is called, and the file that it writes its result into."""


@pytest.mark.parametrize("tool", list(TOOLS))
def test_a_tool_and_vramp_agree_about_one_cell(world: World, tool: str) -> None:
    results = world.root / "results"
    results.mkdir()
    served = world.root / "tested.toml"
    served.write_text(SERVER)
    with simulated(world, profile=served) as server:
        profile = world.root / "beside.toml"
        profile.write_text(PROFILE.format(url=server.url))
        ours = world.run("run", str(profile), "--json", "--quiet", timeout_s=120)
        assert ours.returncode == 0, ours.stderr
        arguments_of, file = TOOLS[tool]
        program, *arguments = arguments_of(server.url, results)
        done = subprocess.run(
            [str(ENVIRONMENT / program), *arguments],
            env=world.env | ({} if tool == "aiperf" else OFFLINE),
            cwd=results,
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    told = world.run("compare", "latest", str(results / file), "--format", "json")
    if keep := os.environ.get("VRAMP_TEST_TOOLS_KEEP"):
        shutil.copytree(results, Path(keep) / tool, dirs_exist_ok=True)
        (Path(keep) / f"{tool}-beside-vramp.json").write_text(told.stdout)
    assert told.returncode == 0, told.stderr
    (there,) = json.loads(told.stdout)["comparisons"]
    (cell,) = there["cells"]
    assert (cell["users"], cell["base_outcome"], cell["other_outcome"]) == (USERS, "ok", "ok")
    (theirs,) = read_side(str(results / file)).cells
    assert (theirs.requests_ok, theirs.requests_failed) == (REQUESTS, 0)
    ratios = {each["figure"]: each["ratio"] for each in cell["figures"]}
    apart = {name: ratios[name] for name, share in WITHIN.items() if abs(ratios[name] - 1) > share}
    assert not apart, (apart, ratios)
