"""Finished requests: the failed ones first, with what was said, then the latest."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.snapshot import RequestRow, ServerDeath, Snapshot
from tui.view import formatting
from tui.view.panes.pane import Pane
from tui.view.widgets.lines import Ink, Line, Span, cut, plain, spread, width_of
from tui.view.widgets.table import Column, heading, row

_COLUMNS = [
    Column("#", 6, right=True),
    Column("outcome", 12),
    Column("users", 5, right=True),
    Column("tok", 5, right=True),
    Column("TTFT s", 6, right=True),
    Column("E2E s", 6, right=True),
    Column("tok/s", 6, right=True),
    Column("", 0),
]


AFTER = "after: "
_WELL = (Outcome.OK, Outcome.CANCELLED)
_LOST = (Outcome.ENGINE_DEAD, Outcome.DISCONNECTED, Outcome.HTTP_ERROR)
_BEFORE_SEEN_S, _AFTER_SEEN_S = 20, 10
"""A death is seen some seconds after the requests that it ends, which are asked again until it is."""


class RequestsPane(Pane):
    """A third of the room at least for failures, the rest for the latest that went well; arrows scroll those."""

    KEY: ClassVar[str] = "5"
    NAME: ClassVar[str] = "requests"
    HELP: ClassVar[str] = "Finished requests, latest first, the failed ones above and kept longer."

    def __init__(self) -> None:
        super().__init__()
        self._skipped = 0

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the table."""
        latest = [request for request in snapshot.requests if request.outcome in _WELL]
        failed = folded(snapshot)[: max(1, (height - 1) // 3, height - 1 - len(latest))]
        self._skipped = min(self._skipped, max(0, len(latest) - 1))
        rows = [*failed, *latest[self._skipped :]][: max(0, height - 1)]
        if not rows:
            return [[("no request has finished yet", Ink.DIM)]]
        names, totals = heading(_COLUMNS, width), _totals(snapshot)
        fits = width_of(heading(_COLUMNS[:-1], width)) + width_of(totals) <= width
        head = [spread(names, totals, width)] if fits else [totals, names]
        return [*head, *(_request_line(request, width) for request in rows)]

    def move(self, columns: int, rows: int) -> None:
        """Scroll the latest requests."""
        self._skipped = max(0, self._skipped + rows)
        self.redraw()


def folded(snapshot: Snapshot) -> list[RequestRow]:
    """Return the failed requests, latest first: those that failed alike as one row, and all that a server's death has
    ended as one, with its cause."""
    rows: list[RequestRow] = []
    of_death: int | None = None
    for request in snapshot.requests_failed:
        death = next((one for one in reversed(snapshot.deaths) if _is_of(request, one)), None)
        if death is None:
            rows.append(request)
        elif rows and of_death == death.at_ns:
            rows[-1] = msgspec.structs.replace(rows[-1], times=rows[-1].times + request.times)
        else:
            error = f"{AFTER}{death.cause}"
            rows.append(msgspec.structs.replace(request, outcome=Outcome.ENGINE_DEAD, error=error, ttft_s=None))
        of_death = death.at_ns if death is not None else None
    return rows


def _is_of(request: RequestRow, death: ServerDeath) -> bool:
    before_ns, after_ns = _BEFORE_SEEN_S * NS_PER_S, _AFTER_SEEN_S * NS_PER_S
    return request.outcome in _LOST and death.at_ns - before_ns <= request.at_ns <= death.at_ns + after_ns


def _in_words(request: RequestRow) -> str:
    link = " " if request.error.startswith(AFTER) else ": "
    return plain(f"{request.outcome.value}{link if request.error else ''}{request.error}")


def _totals(snapshot: Snapshot) -> Line:
    """Return both totals; in the title they would repaint the whole pane at every refresh."""
    figures = snapshot.figures
    return [
        (formatting.count(figures.requests_ok_total), Ink.PLAIN),
        (" ok  ", Ink.DIM),
        (formatting.count(figures.requests_failed_total), Ink.FAILURE if figures.requests_failed_total else Ink.PLAIN),
        (" failed", Ink.DIM),
    ]


def _request_line(request: RequestRow, width: int) -> Line:
    ok = request.outcome in _WELL
    if request.times > 1:
        return cut([(f"{request.times} × ", Ink.STRONG), (_in_words(request), Ink.FAILURE)], width)
    if request.ttft_s is None and request.error:
        head = row(_COLUMNS[:4], _head(request, Ink.DIM, Ink.FAILURE), width)
        return cut([*head, (plain(request.error, max(1, width - width_of(head))), Ink.FAILURE)], width)
    ink = Ink.PLAIN if ok else Ink.DIM
    return row(
        _COLUMNS,
        [
            *_head(request, ink, Ink.DIM if ok else Ink.FAILURE),
            (formatting.significant(request.ttft_s, 6), ink),
            (formatting.significant(request.e2e_s, 6), ink),
            (formatting.per_second(request.tokens_per_s, 6), ink),
            (request.error, Ink.FAILURE),
        ],
        width,
    )


def _head(request: RequestRow, ink: Ink, outcome_ink: Ink) -> list[Span]:
    return [
        (str(request.request_id), Ink.DIM),
        (request.outcome.value, outcome_ink),
        (formatting.fixed(request.users, 5), ink),
        (formatting.fixed(request.prompt_tokens, 5), ink),
    ]
