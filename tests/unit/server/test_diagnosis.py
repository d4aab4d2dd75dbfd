"""Reports for people; what `vramp diagnose` prints."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.core.errors import UsageError
from tui.engines.base import LaunchPlan
from tui.engines.catalogue import launch_for
from tui.engines.engine import Launch
from tui.metrics.failure_outcome import evidence_of
from tui.profile.schema import Profile
from tui.server import diagnosis
from tui.server.diagnosis import diagnose_log, explain

LOGS = Path(__file__).parents[2] / "corpus" / "vllm" / "logs"


def test_failed_log() -> None:
    answer = diagnose_log((LOGS / "fail-kv-too-small.log").read_bytes(), "vllm", 1)
    assert answer["class"] == "oom-kv"
    assert answer["stage"] == "KV cache"
    assert "1920" in (answer["advice"] or "")
    assert (answer["line"] or "").startswith("ValueError: To serve at least one request")


def test_good_log() -> None:
    answer = diagnose_log((LOGS / "good.log").read_bytes(), "vllm", None)
    assert answer == {"stage": "ready", "class": None, "line": None, "advice": None, "summary": None}


@pytest.mark.parametrize(
    ("log", "line", "summary"),
    [
        ("sigKILL-midload.log", "Enabled custom fusions", "ends before the server was ready"),
        ("sigINT-midload.log", "KeyboardInterrupt", "was interrupted"),
        ("fail-killed-midload.log", "WorkerProc initialization failed", "without a word"),
    ],
)
def test_start_that_was_ended_from_outside_is_told_by_the_log_alone(log: str, line: str, summary: str) -> None:
    answer = diagnose_log((LOGS / log).read_bytes(), "vllm", None)
    assert answer["class"] == "crash"
    assert line in (answer["line"] or "")
    assert summary in (answer["summary"] or "")


@pytest.mark.parametrize("log", ["good.log", "good-eager.log", "sigTERM-midload.log"])
def test_log_of_a_server_that_got_ready_is_cut_off_anywhere_without_harm(log: str) -> None:
    lines = (LOGS / log).read_text().splitlines()
    ready = next(at for at, line in enumerate(lines) if "Application startup complete" in line)
    assert diagnose_log("\n".join(lines[: ready + 1]).encode(), "vllm", None)["class"] is None
    before = diagnose_log("\n".join(lines[:ready]).encode(), "vllm", None)
    assert before["class"] == "crash" and "--exit-code" in (before["advice"] or "")


def test_text_that_is_no_log_of_a_server_stays_undecided() -> None:
    assert diagnose_log(b"hello\nworld\n", "vllm", None)["class"] is None


def test_hostile_log() -> None:
    text = "x\udcff\x1b]0;t\x07\nValueError: \x1b[31mNo available memory for the cache blocks [red]\x00" + "y" * 100_000
    line = diagnose_log(text.encode(errors="replace"), "vllm", 1)["line"] or ""
    assert line.startswith("ValueError: No available memory for the cache blocks [red]y")
    assert len(line) <= diagnosis.LINE_CHARS
    assert line.isprintable()


def test_empty_log_and_unknown_engine() -> None:
    assert diagnose_log(b"", "vllm", None)["class"] is None
    assert diagnose_log(b"", "vllm", 1)["class"] == "crash"
    for name in ("nope", "openai"):
        with pytest.raises(UsageError):
            diagnose_log(b"", name, None)


def test_kill_for_want_of_memory_is_told_from_other_kills() -> None:
    vllm = launch_for("vllm")
    killed = ["ERROR", "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down executor."]
    report = explain(vllm, killed, started=True, exit_code=0, oom_kills=1)
    assert report.failure == "oom-host"
    assert "VllmWorker-0" in report.line
    assert explain(vllm, killed, started=True, exit_code=0, oom_kills=0).failure == "crash"
    assert explain(vllm, [], started=False, exit_code=-9, oom_kills=2).failure == "oom-host"
    specific = ["ValueError: No available memory for the cache blocks"]
    assert explain(vllm, specific, started=False, exit_code=1, oom_kills=1).failure == "oom-kv"


class Silent(Launch):
    def plan(self, profile: Profile, port: int, profile_path: Path | None) -> LaunchPlan:
        raise NotImplementedError


def test_guardian_that_is_killed_is_no_fault_of_the_servers_last_line() -> None:
    report = explain(
        launch_for("vllm"), ["INFO:     Application startup complete."], started=True, exit_code=None, oom_kills=0
    )
    assert (report.failure, report.line) == ("crash", "")
    assert evidence_of(report) == "The server's guardian was ended, and the server with it"


def test_evidence_says_once_how_it_ended() -> None:
    killed = explain(launch_for("vllm"), [], started=True, exit_code=-9, oom_kills=0)
    assert evidence_of(killed) == "The server was ended by signal 9 (SIGKILL)"
    last = explain(Silent(), ["bye"], started=True, exit_code=3, oom_kills=0)
    assert evidence_of(last) == "bye (exit code 3)"
    aborted = explain(Silent(), ["GGML_ASSERT(x) failed"], started=True, exit_code=-6, oom_kills=0)
    assert evidence_of(aborted) == "GGML_ASSERT(x) failed (signal 6)"
    shot = explain(Silent(), ["slot release: id 2"], started=True, exit_code=-9, oom_kills=0)
    assert evidence_of(shot) == "The server was ended by signal 9 (SIGKILL)"


def test_server_that_ends_without_a_word() -> None:
    report = explain(Silent(), ["bye"], started=True, exit_code=0, oom_kills=0)
    assert (report.failure, report.line, report.exit_code) == ("crash", "bye", 0)
    assert "exit code 0" in report.summary


def test_kernel_counter(tmp_path: Path) -> None:
    counters = tmp_path / "memory.events"
    counters.write_text("low 0\noom 3\noom_kill 2\n")
    assert diagnosis._counter(counters, "oom_kill") == 2
    assert diagnosis._counter(tmp_path / "absent", "oom_kill") == 0
    assert diagnosis.oom_kill_count() >= 0
