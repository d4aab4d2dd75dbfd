"""From a server's failure to a cell's outcome."""

from __future__ import annotations

from tui.core.outcome import Outcome
from tui.engines.base import FailureClass
from tui.metrics.snapshot import FailureReport

_OUTCOME_OF = {
    FailureClass.OOM_WEIGHTS: Outcome.OOM_LAUNCH,
    FailureClass.OOM_KV: Outcome.OOM_KV,
    FailureClass.OOM_RUNTIME: Outcome.OOM_RUNTIME,
    FailureClass.OOM_HOST: Outcome.OOM_HOST,
    FailureClass.HUNG: Outcome.TIMEOUT,
}


def outcome_of(failure: FailureReport) -> Outcome:
    """Return what a cell ends with when the server failed this way while it was measured."""
    try:
        return _OUTCOME_OF.get(FailureClass(failure.failure), Outcome.ENGINE_DEAD)
    except ValueError:
        return Outcome.ENGINE_DEAD


def evidence_of(failure: FailureReport) -> str:
    """Return the decisive line and how the process ended, as one line; without a line, the summary says it all."""
    if not failure.line:
        return failure.summary
    parts = [failure.line]
    if failure.exit_code is not None:
        how = f"signal {-failure.exit_code}" if failure.exit_code < 0 else f"exit code {failure.exit_code}"
        parts.append(f"({how})")
    return " ".join(part for part in parts if part)
