"""From a server's log, exit code and the kernel's counters to a report for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui.core.safe_text import safe_line
from tui.engines.base import READY, Diagnosis, FailureClass, LogFact
from tui.engines.catalogue import launch_for
from tui.engines.container import diagnosis_by_runtime
from tui.engines.engine import Launch
from tui.engines.parts.diagnosis_rules import FROM_OUTSIDE, signal_in_words
from tui.engines.parts.tracebacks import root_exception
from tui.metrics.snapshot import FailureReport
from tui.profile.schema import ServerTable
from tui.server.log_reader import LineSplitter
from tui.server.log_wrappers import decoded
from tui.server.remedy import remedy_of

LINE_CHARS = 2000
ADVICE_CHARS = 600


def diagnose_log(content: bytes, engine: str, exit_code: int | None) -> dict[str, str | None]:
    """Return {"stage", "class", "line", "advice", "summary"} of a whole log; class is None for a good one.

    Raises UsageError for an engine that is not known, or that is never launched.
    """
    known = launch_for(engine)
    splitter = LineSplitter()
    lines = splitter.feed(decoded(content).encode(errors="replace")) + splitter.end()
    facts = [fact for line in lines if (fact := known.read_log_line(line))]
    stages = [fact.stage for fact in facts if fact.stage is not None]
    found = diagnosis_by_runtime(lines) if not facts else None
    found = found or known.diagnose(lines, started=False, exit_code=exit_code)
    if found is None and exit_code is None:
        found = _by_silence(lines, facts)
    report = None if found is None else report_of(found, exit_code)
    return {
        "stage": str(stages[-1]) if stages else None,
        "class": report.failure if report else None,
        "line": report.line if report else None,
        "advice": report.advice if report else None,
        "summary": report.summary if report else None,
    }


def report_of(diagnosis: Diagnosis, exit_code: int | None, server: ServerTable | None = None) -> FailureReport:
    """Return a diagnosis as a report; log lines in it are cleaned and cut. `server`: as what it was launched."""
    return FailureReport(
        failure=diagnosis.failure.value,
        summary=safe_line(diagnosis.summary, limit=ADVICE_CHARS),
        line=safe_line(diagnosis.line, limit=LINE_CHARS),
        advice=safe_line(diagnosis.advice, limit=ADVICE_CHARS),
        exit_code=exit_code,
        remedy=remedy_of(diagnosis, server),
    )


def explain(
    launch: Launch,
    lines: Sequence[str],
    *,
    started: bool,
    exit_code: int | None,
    oom_kills: int,
    server: ServerTable | None = None,
) -> FailureReport:
    """Return why a server ended by itself. `oom_kills`: how often the kernel killed for lack of memory meanwhile."""
    found = launch.diagnose(lines, started=started, exit_code=exit_code)
    if oom_kills > 0 and (found is None or found.failure is FailureClass.CRASH):
        times = "once" if oom_kills == 1 else f"{oom_kills} times"
        line = found.line if found and found.line else f"oom_kill counter of the kernel: +{oom_kills}"
        found = Diagnosis(
            FailureClass.OOM_HOST,
            line,
            "Free main memory, or run where there is more of it; `dmesg` says what was killed.",
            f"The kernel killed {times} for lack of main memory",
        )
    return report_of(found or _by_exit(lines, exit_code), exit_code, server)


def _by_exit(lines: Sequence[str], exit_code: int | None) -> Diagnosis:
    if exit_code is None:
        # What the server said last is no reason.
        return Diagnosis(
            FailureClass.CRASH,
            "",
            "Look for who sent its guardian a signal: an operator, or the kernel for lack of memory (dmesg).",
            "The server's guardian was ended, and the server with it",
        )
    if exit_code < 0:
        how = f"The server was ended by {signal_in_words(exit_code)}"
        if -exit_code in FROM_OUTSIDE:
            who = (
                "Look for who sent the signal: an operator, a job scheduler, or the kernel for lack of memory (dmesg)."
            )
            return Diagnosis(FailureClass.CRASH, "", who, how)
    else:
        how = f"The server ended by itself with exit code {exit_code}"
        if raised := root_exception(lines, lambda line: ("", line), lambda text: False):
            return Diagnosis(FailureClass.CRASH, raised.text, "Read what its log says around it.", how)
    return Diagnosis(FailureClass.CRASH, lines[-1] if lines else "", "Read the end of its log.", how)


def _by_silence(lines: Sequence[str], facts: Sequence[LogFact]) -> Diagnosis | None:
    """Return what a log means that stops in mid start; None for one of a server that got ready, or of no server."""
    if not facts or any(fact.stage == READY and fact.progress == 1.0 for fact in facts):
        return None
    last_line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return Diagnosis(
        FailureClass.CRASH,
        last_line,
        "Unless it is still starting, it was most likely killed from outside: by hand, by a job scheduler, or by the"
        " kernel for lack of memory (dmesg). Its exit code tells more: --exit-code.",
        "The log ends before the server was ready and does not say why",
    )


def oom_kill_count() -> int:
    """Return how many processes the kernel has killed for lack of memory, here (cgroup v2 or v1) or on the machine."""
    return max(_cgroup_kills(), _counter(Path("/proc/vmstat"), "oom_kill"))


def _cgroup_kills() -> int:
    try:
        groups = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return 0
    for group in groups:
        number, controllers, path = group.split(":", 2)
        if number == "0":
            return _counter(Path(f"/sys/fs/cgroup{path}/memory.events"), "oom_kill")
        if "memory" in controllers.split(","):
            return _counter(Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control"), "oom_kill")
    return 0


def _counter(path: Path, name: str) -> int:
    try:
        rows = (line.split() for line in path.read_text().splitlines())
        return next((int(row[1]) for row in rows if len(row) == 2 and row[0] == name), 0)
    except (OSError, ValueError):
        return 0
