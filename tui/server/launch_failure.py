"""Why a launch fails, as a report for people, and what is checked before one is begun."""

from __future__ import annotations

import errno

from tui.core.errors import UsageError
from tui.core.safe_text import safe_line
from tui.core.secret_value import secret_of
from tui.engines.base import FailureClass
from tui.metrics.snapshot import FailureReport
from tui.profile.schema import ServerTable
from tui.server import readiness

_NO_EXECUTABLE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.EISDIR}


class LaunchFailed(Exception):
    """A launch, or an attaching, that came to nothing."""

    def __init__(self, report: FailureReport) -> None:
        super().__init__(report.summary)
        self.report = report


def expect_secret(variable: str) -> None:
    """Raise LaunchFailed where the environment has no such secret."""
    try:
        value = secret_of(variable)
    except UsageError as error:
        advice = "Set it to the key alone, on one line."
        raise LaunchFailed(failure_report(FailureClass.BAD_VALUE, str(error), "", advice)) from None
    if value is None:
        summary = f"The environment variable {variable} is not set"
        raise LaunchFailed(failure_report(FailureClass.BAD_VALUE, summary, "", "Set it to the server's API key."))


def choose_port(server: ServerTable) -> int:
    """Return the port to serve on. Raises LaunchFailed where the wanted one cannot be had."""
    try:
        if server.port == 0:
            return readiness.free_port(server.host)
        problem = readiness.port_problem(server.host, server.port)
    except OSError as error:
        problem = str(error)
    if problem is None:
        return server.port
    advice = "Set port = 0 in [server] for a free one, or end what listens there."
    summary = f"{server.host} port {server.port} cannot be had"
    raise LaunchFailed(failure_report(FailureClass.PORT, summary, problem, advice))


def not_started(executable: str, error: OSError, *, contained: bool) -> FailureReport:
    """Return why an executable could not be started; `contained`: it is a container runtime."""
    reason = error.strerror or str(error)
    if error.errno not in _NO_EXECUTABLE:
        return failure_report(FailureClass.CRASH, f"{executable} was not started", reason, "Launch it again.")
    advice = "Install it, or name it by its full path: executable in [server]."
    if contained:
        advice = "Install it, or use a container runtime that is here: runtime in [server.container]."
    return failure_report(FailureClass.EXECUTABLE, f"{executable} cannot be started", reason, advice)


def failure_report(failure: FailureClass, summary: str, line: str, advice: str = "") -> FailureReport:
    """Return a report, its words cleaned."""
    return FailureReport(failure=failure.value, summary=safe_line(summary), line=safe_line(line), advice=advice)


def failure_in_words(report: FailureReport) -> str:
    """Return a report as one line."""
    return " · ".join(part for part in (report.summary, report.line, report.advice) if part)
