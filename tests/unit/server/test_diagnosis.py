"""Reports for people; what `vramp diagnose` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.engines.catalogue import engine_for
from tui.server import diagnosis
from tui.server.diagnosis import diagnose_log, explain

LOGS = Path(__file__).parents[2] / "corpus" / "vllm" / "logs"


def test_failed_log() -> None:
    answer = diagnose_log((LOGS / "fail-kv-too-small.log").read_text(), "vllm", 1)
    assert answer["class"] == "oom-kv"
    assert answer["stage"] == "KV cache"
    assert "1920" in (answer["advice"] or "")
    assert (answer["line"] or "").startswith("(EngineCore pid=32523) ERROR")


def test_good_log() -> None:
    answer = diagnose_log((LOGS / "good.log").read_text(), "vllm", None)
    assert answer == {"stage": "ready", "class": None, "line": None, "advice": None, "summary": None}


def test_hostile_log() -> None:
    text = "x\udcff\x1b]0;t\x07\nValueError: \x1b[31mNo available memory for the cache blocks [red]\x00" + "y" * 100_000
    line = diagnose_log(text, "vllm", 1)["line"] or ""
    assert line.startswith("ValueError: No available memory for the cache blocks [red]y")
    assert len(line) <= diagnosis.LINE_CHARS
    assert line.isprintable()


def test_empty_log_and_unknown_engine() -> None:
    assert diagnose_log("", "vllm", None)["class"] is None
    assert diagnose_log("", "vllm", 1)["class"] == "crash"
    with pytest.raises(UsageError):
        diagnose_log("", "nope", None)


def test_kill_for_want_of_memory_is_told_from_other_kills() -> None:
    vllm = engine_for("vllm")
    killed = ["ERROR", "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor."]
    report = explain(vllm, killed, started=True, exit_code=0, oom_kills=1)
    assert report.failure == "oom-host"
    assert "VllmWorker-0" in report.line
    assert explain(vllm, killed, started=True, exit_code=0, oom_kills=0).failure == "crash"
    assert explain(vllm, [], started=False, exit_code=-9, oom_kills=2).failure == "oom-host"
    specific = ["ValueError: No available memory for the cache blocks"]
    assert explain(vllm, specific, started=False, exit_code=1, oom_kills=1).failure == "oom-kv"


def test_server_that_ends_without_a_word() -> None:
    report = explain(engine_for("openai"), ["bye"], started=True, exit_code=0, oom_kills=0)
    assert (report.failure, report.line, report.exit_code) == ("crash", "bye", 0)
    assert "exit code 0" in report.summary


def test_kernel_counter(tmp_path: Path) -> None:
    counters = tmp_path / "memory.events"
    counters.write_text("low 0\noom 3\noom_kill 2\n")
    assert diagnosis._counter(counters, "oom_kill") == 2
    assert diagnosis._counter(tmp_path / "absent", "oom_kill") == 0
    assert diagnosis.oom_kill_count() >= 0
