"""Every recorded log, and lines from vLLM's source and public issues for what a CPU cannot provoke."""

# ruff: noqa: E501 - log lines stand as they were written

from __future__ import annotations

from pathlib import Path

import pytest

from tui.engines.base import FailureClass as F
from tui.engines.vllm.diagnosis import diagnose
from tui.engines.vllm.log import message_of
from tui.engines.vllm.rules import CONSEQUENCES, SPECIFIC, TELLING

LOGS = Path(__file__).parents[2] / "corpus" / "vllm" / "logs"

# Log → exit code, class, a part of the line, a part of the advice.
CORPUS: dict[str, tuple[int | None, F | None, str, str]] = {
    "fail-api-killed-midload.log": (-9, F.OOM_KV, "max seq len (2048)", "from 2048 to 896"),
    "fail-killed-midload.log": (
        1,
        F.CRASH,
        "WorkerProc initialization failed",
        "no error of its own, so it was most likely killed",
    ),
    "fail-kv-huge.log": (1, F.OOM_KV, "requested memory for kv (100.0 GiB)", "kv-cache-memory-bytes"),
    "fail-kv-too-small.log": (1, F.OOM_KV, "max seq len (8192)", "from 8192 to 1920"),
    "fail-maxlen-gt-model.log": (1, F.BAD_VALUE, "max_model_len (100000)", "from 100000 to 8192"),
    "fail-memutil-tiny.log": (1, F.OOM_WEIGHTS, "Available memory on node 0", "--gpu-memory-utilization"),
    "fail-model-hub-offline.log": (1, F.MODEL_MISSING, "LocalEntryNotFoundError", "HF_HUB_OFFLINE"),
    "fail-model-path.log": (1, F.MODEL_MISSING, "Repo id must be", "no folder /srv/models/nonexist"),
    "fail-no-weights.log": (1, F.MODEL_MISSING, "Cannot find any model weights", "Download"),
    "fail-port-in-use.log": (1, F.PORT, "[Errno 98]", "port = 0"),
    "fail-quant-unknown.log": (1, F.QUANTIZATION, "nosuchquant", "instead of nosuchquant,"),
    "fail-quant-unsupported.log": (1, F.QUANTIZATION, "bitsandbytes", "instead of bitsandbytes,"),
    "fail-sigterm-midload.log": (-9, F.OOM_KV, "max seq len (2048)", "from 2048 to 896"),
    "fail-tp2.log": (1, F.BAD_VALUE, "validation errors for SchedulerConfig", "max_num_batched_tokens"),
    "fail-unknown-flag.log": (2, F.BAD_FLAG, "--no-such-flag 5", "--no-such-flag 5"),
    "good-eager.log": (None, None, "", ""),
    "good.log": (None, None, "", ""),
    "h200-engine-killed.log": (None, F.CRASH, "EngineDeadError", "killed (dmesg)"),
    "h200-good.log": (None, None, "", ""),
    "h200-kv-too-small.log": (
        1,
        F.OOM_KV,
        "max seq len (32768)",
        "from 32768 to 8192, or raise --kv-cache-memory-bytes",
    ),
    "h200-no-kv.log": (1, F.OOM_KV, "No available memory for the cache blocks", "alone take 3.41 GiB more"),
    "h200-oom-runtime.log": (0, F.OOM_RUNTIME, "Tried to allocate 814.00 MiB", "Lower --kv-cache-memory-bytes, "),
    "h200-other-program.log": (0, F.OOM_RUNTIME, "Tried to allocate 120.00 MiB", "29.95 GiB by process 5327"),
    "h200-others-hold-memory.log": (1, F.OOM_WEIGHTS, "103.77/139.8 GiB", "0.74 would be granted now"),
    "h200-weights-too-large.log": (1, F.OOM_WEIGHTS, "Failed to load model", "--tensor-parallel-size"),
    "report-capture-oom.log": (1, F.OOM_KV, "Tried to allocate 130.00 MiB", "--gpu-memory-utilization"),
    "report-flashinfer-ninja.log": (1, F.DRIVER, "nvcc fatal", "install a newer CUDA toolkit (nvcc, ninja)"),
    "report-mamba-blocks.log": (
        1,
        F.OOM_KV,
        "ValueError: max_num_seqs (1024)",
        "Lower --max-num-seqs from 1024 to 969",
    ),
    "report-trust-remote.log": (1, F.BAD_VALUE, "ValueError: The repository acme/odd-8b", "--trust-remote-code"),
    "report-unsupported-arch.log": (1, F.BAD_VALUE, "model type `newarch`", "newer vLLM, or a newer Transformers"),
    "sigINT-midload.log": (-2, F.CRASH, "KeyboardInterrupt", "signal"),
    "sigKILL-midload.log": (-9, F.CRASH, "", "signal"),
    "sigTERM-midload.log": (None, None, "", ""),
}


def test_every_log_of_the_corpus_is_judged() -> None:
    assert {path.name for path in LOGS.glob("*.log")} == set(CORPUS)


@pytest.mark.parametrize("log", CORPUS)
def test_corpus(log: str) -> None:
    exit_code, failure, line, advice = CORPUS[log]
    found = diagnose((LOGS / log).read_text(errors="replace").splitlines(), started=False, exit_code=exit_code)
    if failure is None:
        assert found is None
        return
    assert found is not None
    assert found.failure is failure
    assert line in found.line
    assert advice in found.advice
    assert found.summary


@pytest.mark.parametrize("log", [name for name, row in CORPUS.items() if row[1] not in (None, F.CRASH)])
def test_the_decisive_line_tells_before_the_process_ends(log: str) -> None:
    lines = (LOGS / log).read_text(errors="replace").splitlines()
    whole = diagnose(lines, started=False, exit_code=None)
    assert whole is not None
    at = next(at for at, line in enumerate(lines) if message_of(line)[1].strip() == whole.line)
    assert diagnose(lines[: at + 1], started=False, exit_code=None) is not None


OOM = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 50.00 MiB. GPU 0 has a total capacity of 23.56 GiB"
ONE_LINE = [
    ("ValueError: World size (4) is larger than the number of available GPUs (2) in this node.", F.TOO_MANY_GPUS, "2"),
    ("ValueError: Total number of attention heads (32) must be divisible by tensor parallel size (3).", F.BAD_VALUE, "32"),
    ("vllm serve: error: argument --max-num-seqs: invalid int value: 'abc'", F.BAD_VALUE, "--max-num-seqs"),
    ("vllm: error: ambiguous option: --max could match --max-x", F.BAD_FLAG, "--max"),
    (
        "ValueError: Free memory on device cuda:0 (3.21/23.56 GiB) on startup is less than desired GPU memory utilization"
        " (0.92, 21.68 GiB). Decrease GPU memory utilization",
        F.OOM_WEIGHTS,
        "3.21 of 23.56",
    ),
    ("ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`", F.OOM_KV, "Raise"),
    (
        "ValueError: The model's max seq len (32768) is larger than the maximum number of tokens that can be stored in KV"
        " cache (29264).",
        F.OOM_KV,
        "--max-model-len",
    ),
    (OOM, F.OOM_WEIGHTS, "tensor-parallel-size"),
    (
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests.",
        F.OOM_WEIGHTS,
        "below 1024",
    ),
    ("RuntimeError: No CUDA GPUs are available", F.DRIVER, "doctor"),
    (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
        F.DRIVER,
        "11040",
    ),
    ("torch.distributed.DistBackendError: NCCL error in: x.cpp:94, unhandled system error", F.NCCL, "NCCL_DEBUG"),
    ("RuntimeError: NCCL error: unhandled cuda error", F.NCCL, "NCCL_DEBUG"),
    ("huggingface_hub.errors.GatedRepoError: 403 Client Error.", F.MODEL_GATED, "HF_TOKEN"),
    ("OSError: [Errno 28] No space left on device", F.DISK_FULL, "room"),
    ("RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
     " to allocate 268435456 bytes. Error code 12 (Cannot allocate memory)", F.OOM_HOST, "memory"),
    ("ValueError: The quantization method awq_marlin is not supported for the current GPU.", F.QUANTIZATION, "AWQ"),
    ("ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0.", F.BAD_VALUE, "half"),
    ("(Worker_TP1 pid=9) ERROR 11-20 18:06:23 [x.py:1] WorkerProc failed to start.", F.CRASH, "traceback below"),
    ("(Worker_TP1 pid=9) ERROR 11-20 18:06:23 [x.py:1] Worker proc VllmWorker-1 died unexpectedly (exit code: -9), shutting"
     " down executor.", F.CRASH, "-9"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "failure", "advice"), ONE_LINE)
def test_one_line(line: str, failure: F, advice: str) -> None:
    found = diagnose(["INFO 11-20 18:00:00 [x.py:1] hello", line, ""], started=False, exit_code=None)
    assert found is not None
    assert found.failure is failure
    assert found.line == message_of(line)[1]
    assert advice in found.advice
    assert "{" not in found.advice + found.summary


def test_memory_that_gives_out_is_classed_by_when() -> None:
    kv = "INFO 11-20 18:00:00 [kv_cache_utils.py:1] GPU KV cache size: 188,640 tokens"
    up = "INFO:     Application startup complete."

    def failure(*lines: str, started: bool = False) -> F | None:
        found = diagnose(lines, started=started, exit_code=None)
        return found.failure if found else None

    assert failure(OOM) is F.OOM_WEIGHTS
    assert failure(kv, OOM) is F.OOM_KV
    assert failure(kv, up, OOM) is F.OOM_RUNTIME
    assert failure(OOM, started=True) is F.OOM_RUNTIME


@pytest.mark.parametrize(
    ("log", "flag"), [("h200-kv-too-small.log", "--max-model-len"), ("h200-oom-runtime.log", "--max-num-seqs")]
)
def test_a_kv_cache_given_in_bytes_is_not_advised_by_a_flag_that_counts_for_nothing(log: str, flag: str) -> None:
    # "This does not respect the gpu_memory_utilization config", says vLLM of --kv-cache-memory-bytes.
    lines = (LOGS / log).read_text().splitlines()
    found = diagnose(lines, started=False, exit_code=None)
    assert found is not None
    assert flag in found.advice and "--kv-cache-memory-bytes" in found.advice
    assert "--gpu-memory-utilization" not in found.advice
    by_share = diagnose(
        [line for line in lines if "kv_cache_memory_bytes config" not in line], started=False, exit_code=0
    )
    assert by_share is not None
    assert "--gpu-memory-utilization" in by_share.advice


def test_others_on_the_same_gpu_are_named() -> None:
    line = (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 28.08 GiB. GPU 0 has a total capacity of 139.80 GiB"
        " of which 14.90 GiB is free. Process 1323 has 18.06 GiB memory in use. Process 1358 has 53.16 GiB memory in use."
        " Including non-PyTorch memory, this process has 518.00 MiB memory in use."
    )
    for started in (False, True):
        found = diagnose([line], started=started, exit_code=None)
        assert found is not None
        assert "(18.06 GiB by process 1323, 53.16 GiB by process 1358): end them" in found.advice


def test_numbers_that_are_none_harm_nothing() -> None:
    text = (
        "Free memory on device cuda:0 (0.0/0 GiB) on startup is less than desired GPU memory utilization (0.9, 1 GiB)"
    )
    found = diagnose([text], started=False, exit_code=1)
    assert found is not None and found.failure is F.OOM_WEIGHTS


@pytest.mark.parametrize(
    "line",
    [
        "(APIServer pid=1) WARNING 11-20 18:00:22 [u.py:255] errors like `OSError: [Errno 98] Address already in use`",
        "INFO 11-20 18:00:22 [u.py:255] CUDA out of memory",
        '    raise RuntimeError("Engine core initialization failed.")',
        "INFO:     CUDA out of memory",
        "/x/y.py:138: FutureWarning: CUDA out of memory",
    ],
)
def test_what_did_not_happen_is_no_failure(line: str) -> None:
    assert diagnose([line], started=False, exit_code=None) is None


def test_errors_after_an_orderly_stop_mean_nothing() -> None:
    lines = [
        "(APIServer pid=1) INFO 11-20 18:00:22 [u.py:255] [shutdown] API server: shutdown triggered",
        "(APIServer pid=1) ERROR 11-20 18:00:22 [u.py:255] AsyncLLM output_handler failed.",
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.",
    ]
    assert diagnose(lines, started=True, exit_code=0) is None
    assert diagnose(lines[1:], started=True, exit_code=0) is not None


def test_exit_code_alone() -> None:
    assert diagnose(["hello"], started=False, exit_code=0) is None
    crashed = diagnose(["hello", "KeyError: 'x'", "bye"], started=False, exit_code=1)
    assert crashed is not None
    assert (crashed.failure, crashed.line) == (F.CRASH, "KeyError: 'x'")
    empty = diagnose([], started=False, exit_code=-11)
    assert empty is not None
    assert "SIGSEGV" in empty.summary


def test_every_rule_can_fill_its_advice() -> None:
    for rule in (*SPECIFIC, *TELLING, *CONSEQUENCES):
        groups = dict.fromkeys(rule.pattern.groupindex, "x")
        assert rule.advice.format_map(groups)
        assert rule.summary.format_map(groups)


FRAMES = """Traceback (most recent call last):
  File "/opt/vllm/core.py", line 1299, in run_engine_core
    engine_core = EngineCoreProc(*args, engine_index=dp_rank, **kwargs)
                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
"""
CONSEQUENCE = (
    FRAMES + "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
)
BEFORE = "INFO 11-20 10:00:01 [api_server.py:1977] vLLM API server version 0.31.0\n"


def said_by(process: str, text: str, level: str = "") -> str:
    prefix = f"({process} pid=1) {level} 11-20 10:02:11 [core.py:1330]" if level else f"({process} pid=1)"
    return "".join(f"{prefix} {line}\n" for line in text.splitlines())


UNKNOWN: dict[str, tuple[str, str]] = {
    "a program alone": (
        FRAMES + "PermissionError: [Errno 13] Permission denied: '/x'\n",
        "PermissionError: [Errno 13]",
    ),
    "an engine, then the server that tells of it": (
        said_by("EngineCore_DP0", "EngineCore failed to start.\n" + FRAMES + "KeyError: 'rope'", "ERROR")
        + said_by("APIServer", CONSEQUENCE),
        "KeyError: 'rope'",
    ),
    "one raised from another": (
        FRAMES
        + "ModuleNotFoundError: No module named 'flash_attn'\n\n"
        + "The above exception was the direct cause of the following exception:\n\n"
        + FRAMES
        + "ImportError: the attention backend cannot be loaded\n",
        "ModuleNotFoundError: No module named 'flash_attn'",
    ),
    "one raised from a consequence": (
        FRAMES + "EngineDeadError: the engine core has died\n\n"
        "During handling of the above exception, another exception occurred:\n\n" + FRAMES + "ValueError: odd\n",
        "ValueError: odd",
    ),
    "the last of several": (FRAMES + "OSError: first\n" + BEFORE + FRAMES + "OSError: last\n", "OSError: last"),
    "two processes that write between each other's lines": (
        "".join(
            one + "\n" + other + "\n"
            for one, other in zip(
                said_by("Worker_TP0", FRAMES + "AssertionError: heads", "ERROR").splitlines(),
                said_by("Worker_TP1", FRAMES + "AssertionError: heads", "ERROR").splitlines(),
                strict=True,
            )
        ),
        "AssertionError: heads",
    ),
    "an exception that is named as none": (FRAMES + "vllm.Oddity: no such thing\n", "vllm.Oddity: no such thing"),
    "one without a word": (FRAMES + "AssertionError\n", "AssertionError"),
    "the cause below its announcement": (
        said_by("Worker", "WorkerProc failed to start.\n" + FRAMES + "TypeError: 'x' is no y", "ERROR"),
        "TypeError: 'x' is no y",
    ),
}


@pytest.mark.parametrize("exit_code", [None, 1])
@pytest.mark.parametrize("log", UNKNOWN)
def test_what_no_rule_knows_is_told_by_the_root_of_the_last_traceback(log: str, exit_code: int | None) -> None:
    text, line = UNKNOWN[log]
    found = diagnose((BEFORE + text).splitlines(), started=False, exit_code=exit_code)
    assert found is not None
    assert found.failure is F.CRASH
    assert found.line.startswith(line)
    assert "above" not in found.advice


READY = BEFORE + "INFO:     Application startup complete.\n"


@pytest.mark.parametrize(
    ("text", "started", "exit_code"),
    [
        (READY + FRAMES + "ValueError: a request's own\n", True, None),
        (READY + FRAMES + "ValueError: a request's own\n", False, None),
        (READY + FRAMES + "ValueError: a request's own\n", True, 0),
        (BEFORE + "Traceback (most recent call last):\n" + BEFORE, False, None),
        (BEFORE + said_by("Worker", FRAMES + "ValueError: tried and left", "WARNING"), False, None),
    ],
)
def test_a_traceback_that_ended_nothing_is_not_blamed(text: str, started: bool, exit_code: int | None) -> None:
    assert diagnose(text.splitlines(), started=started, exit_code=exit_code) is None


def test_a_consequence_alone_points_nowhere_that_is_not() -> None:
    found = diagnose(said_by("APIServer", CONSEQUENCE).splitlines(), started=False, exit_code=1)
    assert found is not None
    assert found.summary == "vLLM's engine did not start"
    assert "above" not in found.advice


@pytest.mark.parametrize(
    ("line", "failure", "advice"),
    [
        (
            "RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist",
            F.DRIVER,
            "CUDA_HOME",
        ),
        (
            "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
            F.DRIVER,
            "nvcc",
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'ninja'", F.DRIVER, "ninja"),
        ("RuntimeError: Ninja is required to load C++ extensions", F.DRIVER, "ninja"),
        ("RuntimeError: Ninja build failed. Ninja output:", F.DRIVER, "CUDA toolkit"),
        ("/bin/sh: 1: /usr/local/cuda/bin/nvcc: not found", F.DRIVER, "CUDA toolkit"),
        (
            "ValueError: Model architectures ['NewForCausalLM'] are not supported for now. Supported",
            F.BAD_VALUE,
            "newer",
        ),
        (
            "ValueError: NewForCausalLM has no vLLM implementation and the Transformers implementation is",
            F.BAD_VALUE,
            "newer",
        ),
        (
            "Please pass the argument `trust_remote_code=True` to allow custom code to be run.",
            F.BAD_VALUE,
            "trust-remote",
        ),
    ],
)
def test_reports_of_the_same_kinds(line: str, failure: F, advice: str) -> None:
    found = diagnose([line], started=False, exit_code=None)
    assert found is not None
    assert found.failure is failure
    assert advice in found.advice
