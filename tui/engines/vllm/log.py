"""vLLM's log: what its lines tell of a start. Made from logs of 0.32.0 (CPU) and 0.26.0 (GPU) and from public issues.

Line form: `(PROC pid=N) LEVEL MM-DD HH:MM:SS [file.py:LINE] message`; releases before V1 lack the first part. Lines
of uvicorn, progress bars, warnings of Python and tracebacks have no such prefix.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

from tui.engines.base import PROCESS_UP, LogFact
from tui.engines.base import READY as READY_STAGE
from tui.engines.vllm.told_arguments import arguments_in


class Stage(StrEnum):
    """The stages of vLLM's start, in their order."""

    PROCESS_UP = PROCESS_UP
    CONFIG = "config"
    LOADING_WEIGHTS = "loading weights"
    MEMORY_PROFILING = "memory profiling"
    KV_CACHE = "KV cache"
    COMPILE = "compile and CUDA graphs"
    READY = READY_STAGE


PREFIX = re.compile(
    r"^(?:\([^()]*pid=\d+[^()]*\)\s+)*(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL)\s+"
    r"\d\d-\d\d[ T][\d:.]+\s+\[[^\]]*\] ?"
)
# Before the lines of Ray's workers: "(EngineCore pid=7) (RayWorkerProc pid=9, ip=10.0.0.2) (Worker_PP1 pid=9) ...".
_OF_RAY = re.compile(
    r"(?:\(EngineCore\w* pid=\d+\) )?\(RayWorker\w+ pid=\d+(?:, ip=(?P<ip>[\w.:]{1,64}))?\) (?P<rest>.*)", re.DOTALL
)
# What most lines begin with: "(APIServer pid=7) INFO 11-20 20:42:18 [loggers.py:259] ...".
_HEAD = re.compile(
    r"(?:\((?P<process>\w+) pid=\d+\) )?"
    r"(?:(?P<level>[A-Z]+) \d\d-\d\d \d\d:\d\d:\d\d \[[^\]\s]{1,60}\] ?|(?=\S))"
)
_USUAL = ("APIServer", "INFO", None)
STARTED = "Application startup complete"
_PROCESS_ONLY = re.compile(r"^(?:\([^()]*pid=\d+[^()]*\)\s?)+")


def without_head(line: str) -> str:
    """Return a line without process, level, time and place; an unusual process or level stays, and on which node it was
    written."""
    of_ray = _OF_RAY.match(line)
    if of_ray is not None:
        shown = without_head(of_ray["rest"])
        return f"{of_ray['ip']}: {shown}" if of_ray["ip"] else shown
    found = _HEAD.match(line)
    if found is None or found.end() == len(line):
        return line
    return " ".join([part for part in found.groups() if part not in _USUAL] + [line[found.end() :]])


def message_of(line: str) -> tuple[str, str]:
    """Return a line's level ("" where it has none) and its message."""
    found = PREFIX.match(line)
    if found:
        return found["level"], line[found.end() :]
    return "", _PROCESS_ONLY.sub("", line, count=1)


def writer_of(line: str) -> str:
    """Return which of vLLM's processes wrote a line, as the line says; empty where it says nothing."""
    found = _PROCESS_ONLY.match(line)
    return found[0].strip() if found else ""


def read_log_line(line: str) -> LogFact | None:
    """Return what a line tells, or None. One line may tell the size of the KV cache and the concurrency both."""
    level, message = message_of(line)
    if level in ("ERROR", "CRITICAL"):
        return None
    for marker, pattern, fact_of in _TABLE:
        # A substring is looked for first, since nearly all lines of a busy server match nothing.
        if marker in message and (found := pattern.search(message)):
            return fact_of(found)
    return None


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def _begins(stage: Stage) -> Callable[[re.Match[str]], LogFact]:
    return lambda _found: LogFact(stage=stage)


def _percent(stage: Stage) -> Callable[[re.Match[str]], LogFact]:
    return lambda found: LogFact(stage=stage, progress=min(int(found[1]) / 100, 1.0))


def _kv_cache(found: re.Match[str]) -> LogFact:
    # One line since 0.2x, two before.
    concurrency = _CONCURRENCY.search(found.string)
    return LogFact(
        stage=Stage.KV_CACHE,
        kv_cache_tokens=_number(found[1]),
        max_concurrency=float(concurrency[1]) if concurrency else None,
    )


def _gib(text: str) -> int:
    return round(float(text) * 2**30)


_CONCURRENCY = re.compile(r"Maximum concurrency for [\d,]+ tokens per request: (\d+(?:\.\d+)?)x")
_TABLE: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str]], LogFact]], ...] = tuple(
    (marker, re.compile(pattern), fact_of)
    for marker, pattern, fact_of in (
        # The banner alone: FlashAttention and NCCL tell versions of their own.
        ("  version ", r"[█▄▀]  version (\d\S*)", lambda found: LogFact(stage=Stage.CONFIG, version=found[1])),
        ("API server version", r"API server version (\d\S*)", lambda f: LogFact(stage=Stage.CONFIG, version=f[1])),
        (
            "non-default args",
            r"non-default args: \{(.*)",
            lambda found: LogFact(stage=Stage.CONFIG, arguments=arguments_in(found[1])),
        ),
        ("Resolved architecture", r"Resolved architecture: \S", _begins(Stage.CONFIG)),
        (
            "Using max model len",
            r"Using max model len ([\d,]{1,15})",
            lambda found: LogFact(stage=Stage.CONFIG, max_model_len=_number(found[1])),
        ),
        ("LLM engine (v", r"Initializing an? (?:V\d )?LLM engine \(v([^)\s]+)\)", lambda f: LogFact(version=f[1])),
        ("Starting to load model", r"Starting to load model ", _begins(Stage.LOADING_WEIGHTS)),
        ("Loading model from scratch", r"", _begins(Stage.LOADING_WEIGHTS)),
        ("Loading ", r"Loading .*checkpoint shards:\s+(\d{1,3})% Completed", _percent(Stage.LOADING_WEIGHTS)),
        (
            "Loading weights took",
            r"Loading weights took [\d.]+ seconds",
            lambda _found: LogFact(stage=Stage.LOADING_WEIGHTS, progress=1.0),
        ),
        (
            "Model loading took",
            r"Model loading took (\d{1,6}(?:\.\d{1,6})?) G",
            lambda found: LogFact(stage=Stage.MEMORY_PROFILING, weights_bytes=_gib(found[1])),
        ),
        ("Loading model weights took", r"Loading model weights took [\d.]+ G", _begins(Stage.MEMORY_PROFILING)),
        ("Warming up model for the compilation", r"", _begins(Stage.COMPILE)),
        ("bytecode transform time", r"bytecode transform time:", _begins(Stage.COMPILE)),
        ("Compiling a graph", r"Compiling a graph for ", _begins(Stage.COMPILE)),
        ("Directly load the compiled graph", r"", _begins(Stage.COMPILE)),
        ("torch.compile took", r"torch\.compile took [\d.]+ s in total", _begins(Stage.MEMORY_PROFILING)),
        (
            "Available KV cache memory",
            r"Available KV cache memory: (-?)(\d{1,6}(?:\.\d{1,6})?) G",
            lambda found: LogFact(stage=Stage.KV_CACHE, kv_cache_bytes=None if found[1] else _gib(found[2])),
        ),
        (
            "memory for KV Cache as specified",
            r"reserved (\d{1,6}(?:\.\d{1,6})?) GiB memory for KV Cache as specified by kv_cache_memory_bytes",
            lambda found: LogFact(stage=Stage.KV_CACHE, kv_cache_bytes=_gib(found[1])),
        ),
        (" for KV cache on node ", r"(?:Explicitly|Auto) set \(", _begins(Stage.KV_CACHE)),
        ("KV cache size", r"KV cache size: ([\d,]{1,20}) tokens", _kv_cache),
        (
            "Maximum concurrency",
            _CONCURRENCY.pattern,
            lambda found: LogFact(stage=Stage.KV_CACHE, max_concurrency=float(found[1])),
        ),
        ("Capturing ", r"Capturing CUDA graphs?\b.*?:\s+(\d{1,3})%", _percent(Stage.COMPILE)),
        (
            "Graph capturing finished",
            r"",
            lambda _found: LogFact(stage=Stage.COMPILE, progress=1.0),
        ),
        ("init engine (", r"init engine \(.*\) took [\d.]+ s", _begins(Stage.READY)),
        ("Starting vLLM ", r"Starting vLLM (?:API )?server", _begins(Stage.READY)),
        (STARTED, r"", lambda _found: LogFact(stage=Stage.READY, progress=1.0)),
    )
)
