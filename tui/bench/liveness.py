"""Whether a server that is asked still gives tokens: minded by how long none came, and found out by asking for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tui.bench import silence
from tui.bench.sign_of_life import wait_for_token, why_no_token
from tui.bench.silence import SilenceWatch, has_worked
from tui.core.tasks import background, end_task
from tui.engines.base import FailureClass, RequestShape, ServerMetrics
from tui.load.wire import PromptSource
from tui.metrics.cell import requests_in_words
from tui.metrics.snapshot import FailureReport
from tui.server.client import NoAnswer
from tui.server.supervisor import Supervisor

SILENCE_PERIOD_S = 0.5
SHARE_OF_TIMEOUT = 0.45
"""A silence is judged when it has lasted twice its limit, and before all requests are given up, which would end it."""
NO_ANSWER = "no answer"


class Liveness:
    """Of the present server, whom it declares dead. Times are session seconds; runs in the bench's event loop."""

    def __init__(
        self,
        supervisor: Supervisor,
        say: Callable[[str, str], None],
        one_token: Callable[[], tuple[RequestShape, PromptSource] | None],
        *,
        time_scale: float,
        request_timeout_s: float,
    ) -> None:
        """`say` tells the operator a text and its level; `one_token` is a request for a single token, None before the
        server could be asked."""
        self._supervisor = supervisor
        self._say = say
        self._one_token = one_token
        self.watch = SilenceWatch(least_s=silence.LEAST_S * time_scale, most_s=SHARE_OF_TIMEOUT * request_timeout_s)
        self._told = False
        self._known: ServerMetrics | None = None
        """The server's own figures when its silence was last looked into."""
        self._minding: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Mind a server that takes requests from now on."""
        self.watch.begin_anew()
        self._minding = background(self._mind(), name="mind-silence")

    async def end(self) -> None:
        """Mind nothing any more."""
        if self._minding is not None:
            await end_task(self._minding)
        self._minding, self._told = None, False

    @property
    def silent_s(self) -> float | None:
        """Return for how long no token has come, once that is too long; None while all is well."""
        return self.watch.silent_s if self._told else None

    async def wait_for_token(self) -> None:
        """Wait until a token is given again. Raises LaunchError when that takes too long."""
        await wait_for_token(self.why_no_token, lambda text: self._say(text, "warning"))

    async def why_no_token(self) -> str:
        """Return why no token is given when one is asked for; "" where it is, `NO_ANSWER` where none comes in time."""
        asked = self._one_token()
        if asked is None:
            return ""
        try:
            return await why_no_token(*asked, self._supervisor.whole_answer)
        except (NoAnswer, ValueError):
            return NO_ANSWER

    async def check(self, failure: asyncio.Future[FailureReport]) -> bool:
        """Say whether no token is given any more, after requests failed; `failure`, the server's, then resolves.

        Its health is not believed, and one that hangs is not judged here: that is for how long it is silent.
        """
        if failure.done():
            return True
        why = await self.why_no_token()
        if failure.done():
            return True
        if why in ("", NO_ANSWER):
            told = "it gives one, so it goes on" if not why else "no answer yet, so its silence will tell"
            if not why:
                self._supervisor.outlive_log()
            self._say(f"requests failed, and it was asked for one token: {told}", "warning")
            return False
        healthy = await self._supervisor.is_healthy()
        self._supervisor.declare_dead(
            self._supervisor.told_by_log()
            or FailureReport(
                failure=FailureClass.CRASH.value,
                summary="Its engine is dead" + (", though its health check answers" if healthy else ""),
                line=why,
                advice="The server's log may say what it died of.",
            )
        )
        return True

    async def _mind(self) -> None:
        """Tell of a silence that is too long; when it has lasted twice that, find out what it means."""
        while True:
            await asyncio.sleep(SILENCE_PERIOD_S)
            silent_s, limit_s = self.watch.silent_s, self.watch.limit_s
            if silent_s < limit_s:
                if self._told and silent_s < limit_s / 2:
                    self._told = False
                    self._say("tokens come again", "info")
            elif not self._told:
                self._told = True
                self._say(self._in_words(), "warning")
                self._known = await self._supervisor.read_metrics()
            elif silent_s >= 2 * limit_s and await self._is_dead():
                return

    async def _is_dead(self) -> bool:
        """Judge a silent server by its health check and its counters; say so, and return whether it counts as dead."""
        healthy = await self._supervisor.is_healthy()
        before, self._known = self._known, await self._supervisor.read_metrics() if healthy else None
        if has_worked(before, self._known):
            self._say("its own counters of tokens grow, so it is waited for twice as long", "warning")
            self.watch.wait_longer()
            return False
        if self.watch.silent_s < self.watch.limit_s:  # it has spoken meanwhile
            return False
        how = "its health check answers, but nothing else does" if healthy else "its health check does not answer"
        self._supervisor.declare_dead(
            FailureReport(
                failure=(FailureClass.HUNG if healthy else FailureClass.CRASH).value,
                summary=f"{self._in_words()}; {how}",
                line="",
                advice="The end of the server's log may say what it waits for.",
            )
        )
        return True

    def _in_words(self) -> str:
        longest_s = self.watch.longest_s
        before = "none came before" if longest_s is None else f"the longest gap before was {longest_s:.1f} s"
        under_way = requests_in_words(self.watch.in_flight)
        return f"no token for {self.watch.silent_s:.0f} s with {under_way} under way ({before})"
