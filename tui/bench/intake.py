"""What comes of the load: mapped to session time once, kept in the session, shown, and summed up."""

from __future__ import annotations

import msgspec

from tui.bench.clock import SessionClock
from tui.bench.silence import SilenceWatch
from tui.bench.snapshot_builder import SnapshotBuilder
from tui.core.outcome import Outcome
from tui.load.ceiling import CeilingGauge
from tui.load.wire import LoadProgress
from tui.metrics.record import RequestRecord
from tui.metrics.summary import CellSummary
from tui.session.store import SessionWriter

_ENDED_BY_US = frozenset({Outcome.TIMEOUT, Outcome.CANCELLED, Outcome.CLIENT_LIMIT})
"""Requests that end so are given up: no word of the server's."""


class Intake:
    """Takes what a pool tells. Runs in the bench's event loop."""

    def __init__(
        self,
        clock: SessionClock,
        writer: SessionWriter,
        snapshot_builder: SnapshotBuilder,
        watch: SilenceWatch,
        *,
        keeps_gaps: bool = False,
    ) -> None:
        """`keeps_gaps`: each gap between tokens goes to the session, not only how often it was how long."""
        self._clock = clock
        self._writer = writer
        self._snapshot_builder = snapshot_builder
        self._watch = watch
        self._keeps_gaps = keeps_gaps
        self._summaries: list[CellSummary] = []
        self.gauge = CeilingGauge()
        self.progress: LoadProgress | None = None
        """The last."""
        self.next_request_id = 1

    def collect(self, summary: CellSummary) -> None:
        """Add every record to a summary from now on, until `release`."""
        self._summaries.append(summary)

    def release(self, summary: CellSummary) -> None:
        """Stop adding to a summary."""
        self._summaries.remove(summary)

    def take_records(self, records: list[RequestRecord]) -> None:
        """Take requests that ended, one at least."""
        mapped = [self._clock.record(record) for record in records]
        self.next_request_id = max(self.next_request_id, *(record.request_id + 1 for record in records))
        self._writer.add_requests(mapped if self._keeps_gaps else [record.without_gaps() for record in mapped])
        self._snapshot_builder.add_records(mapped)
        if any(record.outcome not in _ENDED_BY_US for record in mapped):
            self._watch.heard()
        for summary in self._summaries:
            for record in mapped:
                summary.add(record)

    def take_progress(self, progress: LoadProgress) -> None:
        """Take how the load is, and what tokens came since the last time."""
        self.gauge.take(progress)
        self.progress = msgspec.structs.replace(
            progress,
            at_ns=self._clock.at(progress.at_ns),
            tokens=[(self._clock.at(start_ns), tokens) for start_ns, tokens in progress.tokens],
            stamps=progress.stamps or (self.progress.stamps if self.progress is not None else ""),
        )
        self._watch.take(self.progress)
        self._snapshot_builder.add_progress(self.progress)
        for summary in self._summaries:
            summary.add_tokens(self.progress.tokens)
