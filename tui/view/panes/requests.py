"""Finished requests: the failed ones first, with what was said, then the latest."""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import RequestRow, ServerDeath, Snapshot
from tui.view import formatting
from tui.view.panes.list_pane import ListPane, Row
from tui.view.widgets.lines import Ink, Line, Span, plain, spread, width_of
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
_TABLE = sum(column.width + 1 for column in _COLUMNS)
_FEW_LINES = 6
_CAUSE_LINES, _CAUSE_INDENT = 2, 7
"""What ended a request goes on in a second line, where the others leave it room."""
_WIDEST = 1000
"""Cells: as far as an error is read; the pane cuts at its own width."""
_NUMBERS = re.compile(r"\d+(?:[.:,]\d+)*")

AFTER = "after: "
_WELL = (Outcome.OK, Outcome.CANCELLED)
_LOST = (Outcome.ENGINE_DEAD, Outcome.DISCONNECTED, Outcome.HTTP_ERROR)
_BEFORE_SEEN_S, _AFTER_SEEN_S = 20, 10
"""A death is seen some seconds after the requests that it ends, which are asked again until it is."""


class RequestsPane(ListPane):
    """A third of the room at least for failures, the rest for the latest that went well; arrows scroll those."""

    KEY: ClassVar[str] = "5"
    NAME: ClassVar[str] = "requests"
    HELP: ClassVar[str] = (
        "Finished requests, latest first, the failed ones above and kept longer: those that failed alike are one row, "
        "with what ended them first. f shows the failed ones or the answered ones alone."
    )
    HINT: ClassVar[str] = "The arrow keys go back in it, home follows the newest again, / searches."
    FILTERS = ("failed first", "failed", "answered")
    NEWEST_BELOW = False
    NOTHING = "no request has finished yet"

    def rows(self, snapshot: Snapshot) -> list[Row]:
        """Return the latest that went well, or those that failed."""
        if self.FILTERS[self.chosen] == "failed":
            return [_row(request) for request in folded(snapshot)]
        return [_row(request) for request in snapshot.requests if request.outcome in _WELL]

    def above(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the headings, and those that failed."""
        failed = folded(snapshot) if self.chosen == 0 else []
        if not (failed or snapshot.requests):
            return []
        head = _headings(_totals(snapshot), width, height)
        latest = sum(request.outcome in _WELL for request in snapshot.requests)
        room = height - len(head)
        most = max(1, room // 3, room - latest)
        lines = [self._shown(_row(request), width, _CAUSE_LINES) for request in failed[:most]]
        whole = sum(map(len, lines)) <= max(most, _CAUSE_LINES)
        return [*head, *(line for block in lines for line in (block if whole else block[:1]))]

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return the table; where all that there is stands above, no word that there is nothing."""
        lines = super().lines(snapshot, width, height)
        only_failed = self.chosen == 0 and snapshot.requests_failed and not self.rows(snapshot)
        return lines[:-1] if only_failed and len(lines) > 1 and lines[-1] == [(self.NOTHING, Ink.DIM)] else lines


def folded(snapshot: Snapshot) -> list[RequestRow]:
    """Return the failed requests, latest first: those that failed alike as one row, and all that a server's death has
    ended as one, with its cause."""
    rows: dict[object, RequestRow] = {}
    for request in snapshot.requests_failed:
        death = next((one for one in reversed(snapshot.deaths) if _is_of(request, one)), None)
        if death is None:
            alike: object = (request.outcome, request.users, request.prompt_tokens, _NUMBERS.sub("0", request.error))
        else:
            alike = death.at_ns
        if alike in rows:
            rows[alike] = msgspec.structs.replace(rows[alike], times=rows[alike].times + request.times)
        elif death is None:
            rows[alike] = request
        else:
            error = f"{AFTER}{death.cause}"
            rows[alike] = msgspec.structs.replace(request, outcome=Outcome.ENGINE_DEAD, error=error, ttft_s=None)
    return list(rows.values())


def _is_of(request: RequestRow, death: ServerDeath) -> bool:
    before_ns, after_ns = _BEFORE_SEEN_S * NS_PER_S, _AFTER_SEEN_S * NS_PER_S
    return request.outcome in _LOST and death.at_ns - before_ns <= request.at_ns <= death.at_ns + after_ns


def _headings(totals: Line, width: int, height: int) -> list[Line]:
    """Return the columns' names with the totals: right of them, above them, or left of them where lines are few."""
    names = heading(_COLUMNS, width)
    if width_of(heading(_COLUMNS[:-1], width)) + width_of(totals) <= width:
        return [spread(names, totals, width)]
    left = sum(column.width + 1 for column in _COLUMNS[:2])
    short = next((line for line in (totals, totals[2:]) if width_of(line) < left), None)
    if height > _FEW_LINES or short is None:
        return [totals, names]
    return [[*spread(short, [], left), *heading(_COLUMNS[2:], width - left)]]


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


def _row(request: RequestRow) -> Row:
    failed = request.outcome not in _WELL
    return Row((request.at_ns, request.request_id), _request_line(request), indent=_CAUSE_INDENT if failed else 0)


def _request_line(request: RequestRow) -> Line:
    """Return a request as wide as it is; what failed says what ended it."""
    ok = request.outcome in _WELL
    if request.times > 1:
        cell = f"  {users_in_words(request.users)} × {formatting.count(request.prompt_tokens)} tok, latest "
        latest: Line = [(f"{cell}#{request.request_id}", Ink.DIM)]
        return [(f"{request.times} × ", Ink.STRONG), (_in_words(request), Ink.FAILURE), *latest]
    if request.ttft_s is None and request.error:
        head = row(_COLUMNS[:4], _head(request, Ink.DIM, Ink.FAILURE), _WIDEST)
        return [*head, (plain(request.error), Ink.FAILURE)]
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
        _WIDEST if request.error else _TABLE,
    )


def _head(request: RequestRow, ink: Ink, outcome_ink: Ink) -> list[Span]:
    return [
        (str(request.request_id), Ink.DIM),
        (request.outcome.value, outcome_ink),
        (formatting.fixed(request.users, 5), ink),
        (formatting.fixed(request.prompt_tokens, 5), ink),
    ]
