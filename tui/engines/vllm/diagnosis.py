"""Why a vLLM failed to start or died, told by its log.

Judged are lines of level ERROR and lines without a level (tracebacks, argparse): every log of vLLM, good ones
included, holds a WARNING with the words "Too many open files". When its engine dies, vLLM first logs the specific
error, then, up to 40 s later, generic ones; so specific rules come first and the generic ones are a last resort.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from itertools import pairwise

from tui.engines.base import Diagnosis, FailureClass
from tui.engines.parts.diagnosis_rules import FROM_OUTSIDE, Rule, first_match, signal_in_words
from tui.engines.parts.tracebacks import root_exception
from tui.engines.vllm.log import STARTED, message_of, writer_of
from tui.engines.vllm.memory import memory_advice
from tui.engines.vllm.rules import (
    CONSEQUENCES,
    CUDA_OUT_OF_MEMORY,
    MEMORY_AT_START,
    MEMORY_WHILE_RUNNING,
    REFUSED_VALUE,
    SPECIFIC,
    TELLING,
)

_OTHER_PREFIX = re.compile(r"^(?:\[?[WI]\d{4} |(?:INFO|WARNING|DEBUG):|\S+:\d+: \w*Warning: )")
# Source lines of a traceback quote messages of errors that did not happen.
_SOURCE_LINE = re.compile(r"^(?: {4}|  File \")")
_KV_CACHE_SIZE = re.compile(r"KV cache size: [\d,]+ tokens|# (?:GPU|CPU) blocks: \d+")
_OUR_OWN_STOP = re.compile(r"\[shutdown\] API server: shutdown triggered|Shutting down FastAPI HTTP server")
_ERROR_LINE = re.compile(r"^\s{0,2}(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b(?::|$)|error: ")

# Exceptions by which one of vLLM's processes tells that another has failed, and those by which a program ends itself.
_CONSEQUENCE = re.compile(
    r"root cause|stack trace|[Ee]ngine ?[Cc]ore|EngineDead|WorkerProc|[Ww]orker failed|^SystemExit|^KeyboardInterrupt"
    r"|CancelledError|^(?:\w+\.)*(?:BrokenPipeError|ConnectionResetError|EOFError|ProcessRaisedException)"
)
_FIELD = re.compile(r"^[a-z_][a-z0-9_.]{0,80}$")
_WHY = re.compile(r"^ {2}\S.* \[type=\w+")
_REFUSED_LINES = 30


def diagnose(lines: Sequence[str], *, started: bool, exit_code: int | None) -> Diagnosis | None:
    """Return why it failed; None for a log that shows no failure and an exit code that means none."""
    lines = _until_own_stop(lines)
    if found := first_match(lines, SPECIFIC, _judged):
        return _specific(*found, lines=lines, started=started)
    if found := first_match(lines, TELLING, _judged):
        return found[0].applied_to(found[2])
    if _may_be_blamed_on_a_traceback(lines, started=started, exit_code=exit_code) and (
        raised := root_exception(lines, _unindented, _is_consequence)
    ):
        return Diagnosis(
            FailureClass.CRASH,
            raised.text,
            "No failure that vramp knows: this is the exception at the root of the last traceback. Read what the log"
            " says around it.",
            "vLLM failed by an error of its own",
        )
    if found := first_match(lines, CONSEQUENCES, _judged):
        return found[0].applied_to(found[2])
    return _by_exit_code(lines, exit_code)


def _may_be_blamed_on_a_traceback(lines: Sequence[str], *, started: bool, exit_code: int | None) -> bool:
    """Say whether the last traceback is why it ended: a server that takes requests logs those of single ones."""
    if exit_code is not None:
        return exit_code > 0
    return not started and not any(STARTED in line for line in lines)


def _unindented(line: str) -> tuple[str, str] | None:
    level, message = message_of(line)
    if level in ("DEBUG", "INFO", "WARNING") or (not level and _OTHER_PREFIX.match(message)):
        return None
    return writer_of(line), message


def _is_consequence(text: str) -> bool:
    return _CONSEQUENCE.search(text) is not None


def _judged(line: str) -> str | None:
    level, message = message_of(line)
    if level in ("DEBUG", "INFO", "WARNING") or _SOURCE_LINE.match(message):
        return None
    return None if not level and _OTHER_PREFIX.match(message) else message


def _until_own_stop(lines: Sequence[str]) -> Sequence[str]:
    """Leave out what follows an orderly stop: an idle engine then logs EngineDeadError, which means nothing."""
    for at, line in enumerate(lines):
        if _OUR_OWN_STOP.search(line):
            return lines[:at]
    return lines


def _specific(matched: Rule, at: int, match: re.Match[str], *, lines: Sequence[str], started: bool) -> Diagnosis:
    if matched is REFUSED_VALUE and (refused := _refused_values(lines[at + 1 : at + 1 + _REFUSED_LINES])):
        advice = f"Correct in [server.args]: {refused}."
        return dataclasses.replace(matched.applied_to(match), advice=advice)
    before = lines[:at]
    if matched is CUDA_OUT_OF_MEMORY:
        if started or any(STARTED in line for line in before):
            matched = MEMORY_WHILE_RUNNING
        elif any(_KV_CACHE_SIZE.search(line) for line in before):
            matched = MEMORY_AT_START
    return memory_advice(matched, match, before)


def _refused_values(lines: Sequence[str]) -> str:
    """Return what pydantic says below its headline: a field's name, and in the next line what it expects."""
    return ", ".join(
        f"{name} ({why.strip().split(' [')[0]})"
        for name, why in pairwise(lines)
        if _FIELD.match(name) and _WHY.match(why)
    )


def _by_exit_code(lines: Sequence[str], exit_code: int | None) -> Diagnosis | None:
    if exit_code is None or exit_code == 0:
        return None
    judged = [message for line in lines if (message := _judged(line)) and _ERROR_LINE.search(message)]
    last_line = judged[-1].strip() if judged else next((line.strip() for line in reversed(lines) if line.strip()), "")
    if exit_code < 0:
        return Diagnosis(
            FailureClass.CRASH,
            last_line if judged and -exit_code not in FROM_OUTSIDE else "",
            "Look for who sent the signal: an operator, a job scheduler, or the kernel for lack of memory (dmesg).",
            f"The server was ended by {signal_in_words(exit_code)}",
        )
    return Diagnosis(
        FailureClass.CRASH,
        last_line,
        "Read the log around this line; the first error in it is most often the cause.",
        f"The server ended with exit code {exit_code}",
    )
