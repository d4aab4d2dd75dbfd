"""What the scheduler and the measuring ask of the server under test and the load on it; `Testbed` is one.

Whatever decides what to measure is written against this, so that it can be tried without processes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from tui.bench.clock import SessionClock
from tui.bench.grid import Cell
from tui.engines.base import ServerMetrics
from tui.load.wire import LoadProgress
from tui.metrics.cell import CellResult
from tui.metrics.conditions import Conditions
from tui.metrics.reading import GpuReading
from tui.metrics.record import RequestRecord
from tui.metrics.snapshot import FailureReport, ServerStatus
from tui.metrics.summary import CellSummary
from tui.profile.schema import Arrivals, Profile


class LoadGenerator(Protocol):
    """What puts requests on a server. One kind of load at a time; times are real seconds."""

    @property
    def workers_lost(self) -> int:
        """How many of its workers have died by themselves."""

    async def set_users(self, users: int, *, cut: bool = False) -> None:
        """Have so many closed-loop users; those who leave finish their request, or are cut."""

    async def burst(self, users: int) -> int:
        """Send so many requests at once; return how many were sent, when all are over."""

    async def open_loop(self, rate_per_s: float, arrivals: Arrivals, seed: int, duration_s: float) -> int:
        """Send requests by a plan, whether earlier ones were answered or not; return how many could not be sent."""

    async def cut(self) -> None:
        """End all that is under way; it has its records when this returns."""

    async def settled(self, users: int, prompt_tokens: int) -> None:
        """Return once what is under way is no more than so many requests, all with prompts of this size."""

    async def peek(self) -> list[RequestRecord]:
        """Return what is under way, each as a record that ends now."""


class SystemUnderTest(Protocol):
    """A server with its load. Session time throughout."""

    @property
    def profile(self) -> Profile:
        """What is asked for."""

    @property
    def clock(self) -> SessionClock:
        """The time axis."""

    @property
    def status(self) -> ServerStatus:
        """How the server is."""

    @property
    def simulated(self) -> bool:
        """Whether a model of a server answers: one that the profile launches, or an attached one that says so."""

    @property
    def ready(self) -> bool:
        """Whether the server takes requests."""

    @property
    def failure(self) -> asyncio.Future[FailureReport] | None:
        """Resolves when the server dies by itself; a new one for every launch."""

    @property
    def silent_s(self) -> float | None:
        """For how long no token has come, session s, once that is too long; None while all is well."""

    @property
    def pool(self) -> LoadGenerator | None:
        """The load; None before the first launch."""

    @property
    def metrics(self) -> ServerMetrics | None:
        """The server's own figures, as last read."""

    @property
    def progress(self) -> LoadProgress | None:
        """What the load workers last reported."""

    @property
    def own_gpus(self) -> Sequence[GpuReading]:
        """The last readings of the server's GPUs."""

    @property
    def conditions(self) -> Conditions:
        """Under what conditions a cell is measured that begins now; without what is seen of the cards meanwhile."""

    @property
    def references(self) -> dict[Cell, float]:
        """Published seconds by cell."""

    @property
    def output_forced(self) -> bool | None:
        """Whether requests make the server give exactly as many tokens as they ask for; None before the first shape."""

    async def engine_is_dead(self) -> bool:
        """Say whether the server gives no token any more, after requests failed; `failure` then resolves."""

    async def relaunch(self) -> None:
        """Launch the server again after it died. Raises LaunchError."""

    def override(self, arguments: Mapping[str, str]) -> None:
        """Launch the server with these arguments in place of the profile's from now on, by flags without dashes."""

    async def configure(self, prompt_tokens: int) -> int:
        """Make requests that start from now on ask for this prompt size; return their tag."""

    def ask_by_hand(self, question: str) -> None:
        """Ask the model what a person wants to know, beside the load and in no figure; returns at once.

        Raises VrampError."""

    async def end_by_hand(self) -> None:
        """End a question by hand, and show it no more."""

    def asked_by_hand_since(self, at_ns: int) -> bool:
        """Say whether a question by hand was under way at that session time, or later."""

    def collect(self, summary: CellSummary) -> None:
        """Add every record to a summary from now on, until `release`."""

    def release(self, summary: CellSummary) -> None:
        """Stop adding to a summary."""

    async def scrape(self) -> ServerMetrics | None:
        """Read the server's own figures now."""

    async def tokens_per_event(self) -> float | None:
        """Return how many tokens an event bears by the server's tokenizer; None where that cannot be known."""

    def announce_sweep(self, cells: Sequence[Cell]) -> None:
        """Say what room measuring these cells will take, and whether it is there."""

    def keep_cell(self, result: CellResult) -> None:
        """Keep the result of a cell."""

    def say(self, source: str, text: str, level: str = "info") -> None:
        """Tell the operator something, now."""

    def show_users_wanted(self, users: int) -> None:
        """Show from now on that so many users are wanted."""

    def show_notice(self, text: str) -> None:
        """Show a line of news until there is another."""
