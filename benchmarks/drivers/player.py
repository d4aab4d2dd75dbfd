"""A load worker that plays: it tells its bench of users who ask and are answered, without a server and without sockets.

    python drivers/player.py RATE FD

It is a load worker but for its users: what it says, how often and how it is packed are the real one's, so that a bench
has the work of many cores' load on a machine that has few. Each user asks for as many tokens as the shape says and gets
RATE of them a second; the users' requests end spread evenly over the time that one takes.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from typing import Any, cast
from unittest.mock import patch

from tui.core.clock import NS_PER_S, now_ns
from tui.core.outcome import Outcome
from tui.load import worker
from tui.load.user import ClosedLoopUser
from tui.load.wire import REPORT_PERIOD_S, StartedRequest
from tui.load.worker_context import WorkerContext
from tui.metrics.record import Gaps, RequestRecord, gaps_between

RATE = float(sys.argv.pop(1))
"""Tokens a second and user."""
KINDS = 32
"""So many different answers there are."""
JITTER = 0.2
PERIOD_NS = round(REPORT_PERIOD_S * NS_PER_S)


class PlayedUser(ClosedLoopUser):
    """A closed-loop user whose answers are made up: nothing is sent, has a deadline, or is to be peeked at."""

    def __init__(self, context: WorkerContext, number: int, on_left: Callable[[ClosedLoopUser], None]) -> None:
        super().__init__(context, number, on_left)
        self.start_ns = 0
        self.request_id = 0

    def begin(self) -> None:
        self.ask(now_ns())

    def leave(self, *, cut: bool) -> None:
        self._leaving = True
        if cut:
            self._forget_request()
            self._go()

    def ask(self, at_ns: int) -> None:
        context = self._context
        assert context.configured is not None
        shape, tag = context.configured.shape, context.configured.tag
        self.start_ns, self.request_id = at_ns, context.next_id()
        context.in_flight += 1
        context.started[self.request_id] = StartedRequest(
            self.request_id, self.number, tag, at_ns, at_ns, shape.prompt_tokens, shape.output_tokens
        )
        self._tag = tag

    def over(self, gaps: Gaps, first_ns: int, last_ns: int, tokens: int) -> None:
        context = self._context
        assert context.configured is not None
        self._forget_request()
        context.records.append(
            RequestRecord(
                request_id=self.request_id,
                worker=context.worker,
                user=self.number,
                tag=self._tag,
                intended_start_ns=self.start_ns,
                start_ns=self.start_ns,
                first_token_ns=first_ns,
                last_token_ns=last_ns,
                end_ns=last_ns,
                prompt_tokens=context.configured.shape.prompt_tokens,
                output_tokens_asked=tokens,
                prompt_tokens_usage=context.configured.shape.prompt_tokens,
                output_tokens=tokens,
                events=tokens,
                event_gaps_us=gaps.event_gaps_us,
                outcome=Outcome.OK,
                http_status=200,
                gaps_histogram=gaps.gaps_histogram,
                gap_max_us=gaps.gap_max_us,
            )
        )
        if self.leaving:
            self._go()
        else:
            self.ask(last_ns)

    def _forget_request(self) -> None:
        self._context.in_flight -= 1
        self._context.started.pop(self.request_id, None)


class Player(worker.Worker):
    """The worker, whose time passes in ticks: in each its users get their tokens, and some their last."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._played: list[tuple[Gaps, int]] = []
        self._tick_number = 0
        self._told_until_ns = now_ns()

    def _tick(self) -> None:
        now = now_ns()
        configured = self._context.configured
        if configured is not None and self._users:
            self._play(now, configured.shape.output_tokens)
        self._told_until_ns = now
        super()._tick()

    def _play(self, now: int, tokens: int) -> None:
        if not self._played:
            dice = random.Random(self._context.worker)
            self._played = [_answer(dice, tokens) for _ in range(KINDS)]
        # As if each event had come by itself, evenly spread.
        events = max(1, round(len(self._users) * RATE * (now - self._told_until_ns) / NS_PER_S))
        step = max(1, (now - self._told_until_ns) // events)
        self._context.tally.arrivals_ns.extend(range(self._told_until_ns, now, step))
        # A tick that comes late ends the requests of those before it as well.
        past = max(1, round((now - self._told_until_ns) / PERIOD_NS))
        ticks = max(1, round(tokens / RATE / REPORT_PERIOD_S))
        slots = {(self._tick_number + step) % ticks for step in range(past)}
        self._tick_number += past
        spread = max(1, (max(self._users) + 1) // len(self._users))  # of the numbers, which go round by workers
        users = cast("dict[int, PlayedUser]", self._users)
        for user in [user for number, user in users.items() if number // spread % ticks in slots]:
            gaps, lasting_ns = self._played[(user.request_id + user.number) % KINDS]
            last_ns = now - user.number % 997 * (PERIOD_NS // 1000)
            first_ns = last_ns - lasting_ns
            if first_ns > user.start_ns:
                user.over(gaps, first_ns, last_ns, tokens)


def _answer(dice: random.Random, tokens: int) -> tuple[Gaps, int]:
    gap_ns = NS_PER_S / RATE * 0.95
    stamps_ns = [0]
    for _ in range(tokens - 1):
        stamps_ns.append(stamps_ns[-1] + round(gap_ns * dice.uniform(1 - JITTER, 1 + JITTER)))
    return gaps_between(stamps_ns), stamps_ns[-1]


if __name__ == "__main__":
    with patch.multiple(worker, Worker=Player, ClosedLoopUser=PlayedUser):
        worker.main()
