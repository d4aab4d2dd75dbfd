"""What is known of a profile's cells, and from where: the kept sessions of it, or its published table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tui.core.errors import SessionError, VrampError
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.cost import throughput
from tui.metrics.interpolation import Estimate, OutsideMeasured, Place, Surface
from tui.profile.catalogue import published_table
from tui.profile.schema import Profile
from tui.session import shelf
from tui.session.kept_profile import profile_of
from tui.session.reader import SessionReader

_GROWING = frozenset(
    {Outcome.OOM_KV, Outcome.OOM_RUNTIME, Outcome.OOM_LAUNCH, Outcome.TOO_LONG, Outcome.TIMEOUT, Outcome.ENGINE_DEAD}
)
"""Outcomes that more users or longer prompts do not mend."""


@dataclass(slots=True)
class KnownCells:
    """Cells of one source. Figures are seconds, and tokens/s processed (prompts and answers)."""

    source: str
    """In words: where they come from."""
    simulated: bool
    figures: dict[str, dict[Place, list[float]]] = field(default_factory=dict)
    """By resolve, ttft, tpot, processed; then by (users, prompt tokens)."""
    failed: dict[Place, str] = field(default_factory=dict)
    """What failed there, in a word."""
    notes: list[str] = field(default_factory=list)
    computed: dict[Place, Estimate] = field(default_factory=dict)
    """Seconds to resolve that a model gave for the very place, with its error."""
    _surfaces: dict[str, Surface] = field(default_factory=dict)

    def add(self, name: str, place: Place, value: float | None) -> None:
        """Take a figure of a cell."""
        if value is not None:
            self.figures.setdefault(name, {}).setdefault(place, []).append(value)

    @property
    def is_empty(self) -> bool:
        """Say whether it knows nothing."""
        return not (self.figures or self.failed or self.computed)

    def why_failing(self, users: int, prompt_tokens: int) -> str:
        """Return which cell of no more users and no longer prompts failed; "" where none did."""
        worse = [place for place in self.failed if place[0] <= users and place[1] <= prompt_tokens]
        if not worse:
            return ""
        nearest = max(worse)
        return f"{users_in_words(nearest[0])} x {nearest[1]} prompt tokens ended as {self.failed[nearest]}"

    def estimate(self, name: str, users: int, prompt_tokens: int) -> Estimate:
        """Return a figure at a place. Raises OutsideMeasured."""
        if name == "resolve" and (users, prompt_tokens) in self.computed:
            return self.computed[users, prompt_tokens]
        if name not in self.figures:
            raise OutsideMeasured(f"{name} is not known from {self.source}")
        if name not in self._surfaces:
            self._surfaces[name] = Surface(self.figures[name])
        return self._surfaces[name].at(users, prompt_tokens)


def cells_of_sessions(profile: Profile) -> KnownCells:
    """Return what the kept sessions of a profile measured, in its mode and with its output tokens."""
    known = KnownCells("no session", profile.simulated)
    names: list[str] = []
    others = 0
    for summary in shelf.list_sessions():
        if summary.profile != profile.name or summary.problem:
            continue
        try:
            cells = _session_cells(Path(summary.file), profile)
        except SessionError:
            continue
        if cells is None:
            others += 1
        elif cells:
            names.append(summary.session_id)
            for cell in cells:
                _take(known, cell)
    if names:
        count = "1 session" if len(names) == 1 else f"{len(names)} sessions"
        known.source = f"{count} of {profile.name} ({names[0]}{', …' if len(names) > 1 else ''})"
    if others:
        left_out = "1 session" if others == 1 else f"{others} sessions"
        known.notes.append(f"{left_out} of {profile.name} left out: another server, mode or length of answers")
    return known


def _session_cells(path: Path, profile: Profile) -> list[CellResult] | None:
    """Return the cells of a session of the very same server; None where it was another."""
    with SessionReader(path) as reader:
        then = profile_of(reader.meta)
        if then is None or (then.engine, then.server, then.attach, then.simulator) != (
            profile.engine,
            profile.server,
            profile.attach,
            profile.simulator,
        ):
            return None
        load = profile.load
        cells = [cell for cell in reader.cells() if cell.mode == load.mode and cell.output_tokens == load.output_tokens]
        return cells or None


def _take(known: KnownCells, cell: CellResult) -> None:
    place = (cell.users, cell.prompt_tokens)
    if cell.outcome in _GROWING and cell.measured:
        known.failed[place] = str(cell.outcome)
    if cell.outcome is not Outcome.OK:
        return
    known.add("resolve", place, cell.time_to_resolve_s)
    known.add("ttft", place, cell.ttft_p90_s if cell.ttft_p90_s is not None else cell.ttft_p50_s)
    known.add("tpot", place, cell.tpot_p90_s if cell.tpot_p90_s is not None else cell.tpot_p50_s)
    answer = cell.output_tokens_mean or float(cell.output_tokens)
    known.add("processed", place, throughput(cell.requests_ok, cell.prompt_tokens + answer, cell.duration_s))


def cells_of_table(profile: Profile) -> KnownCells | None:
    """Return the published table of a profile; None where it names none or its answers were of another length."""
    name = profile.reference.table if profile.reference is not None else None
    if name is None or profile.simulated:
        return None
    try:
        table = published_table(name)
    except VrampError:
        return None
    if table.output_tokens not in (None, profile.load.output_tokens):
        return None
    known = KnownCells(f"the published table {name}, bursts that others measured", simulated=False)
    for (users, prompt), cell in table.cells.items():
        if cell.outcome != "ok":
            known.failed[users, prompt] = "failed"
        elif cell.seconds is not None:
            known.add("resolve", (users, prompt), cell.seconds)
            known.add("processed", (users, prompt), users * (prompt + profile.load.output_tokens) / cell.seconds)
    return known
