"""`vramp plan`: which profile, on how many GPUs, carries so many users, how quickly and for how much.

Answers from what was measured, by interpolation; where nothing was, from the published table or the simulated twin, and
says so. Never an answer without its uncertainty and its source; nothing is extrapolated from measurements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

import msgspec

from tui.core.errors import UsageError, VrampError
from tui.core.safe_text import safe_line
from tui.metrics.cell import users_in_words
from tui.metrics.cost import cost_per_tokens
from tui.metrics.interpolation import Estimate, OutsideMeasured
from tui.metrics.offers import money
from tui.profile.catalogue import ProfileEntry, entries, find, published_table
from tui.profile.schema import Profile
from tui.profile.simulator_table import SimulatorTable
from tui.session import shelf
from tui.session.known_cells import KnownCells, cells_of_sessions, cells_of_table
from tui.simulator.burst import burst

MOST_SERVERS = 64
"""More servers side by side are not thought of."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be carried."""

    users: int
    prompt_tokens: int
    within_s: float | None = None
    """The time to resolve that is still good; None = the profile's `slo.e2e_s`, if it has one."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A figure, from where to where it may be, and by what that was found."""

    value: float
    low: float
    high: float
    uncertainty: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An answer for one profile."""

    profile: str
    users: int
    prompt_tokens: int
    output_tokens: int
    mode: str
    carried: bool
    """Whether it is known to carry them."""
    servers: int | None = None
    """Side by side, each with its share of the users."""
    gpus: int | None = None
    """Of all servers together; None = not known."""
    time_to_resolve_s: Figure | None = None
    ttft_s: Figure | None = None
    """The 90th percentile where the sample carried it, else the 50th."""
    cost_per_hour: float | None = None
    cost_per_1m_tokens: float | None = None
    currency: str = ""
    simulated: bool = False
    source: str = ""
    notes: list[str] = []
    """Why not, and what else must be known."""


def plan(names: Sequence[str], wish: Wish) -> list[Plan]:
    """Return an answer for each profile, the best first; without names, for all that have sessions.

    Raises UsageError for a name that is none, and where no profile has a session.
    """
    if wish.users < 1 or wish.prompt_tokens < 1:
        raise UsageError("--users and --prompt-tokens: expected 1 or more")
    if wish.within_s is not None and not wish.within_s > 0:
        raise UsageError(f"--within: found {wish.within_s:g}, expected more than 0 s")
    plans = [_plan_for(entry, wish) for entry in _chosen(names)]
    return sorted(plans, key=_rank)


def _chosen(names: Sequence[str]) -> list[ProfileEntry]:
    if names:
        return [find(name) for name in names]
    known = {summary.profile for summary in shelf.list_sessions()}
    chosen = [entry for entry in entries() if entry.name in known]
    if not chosen:
        raise UsageError("no profile has a session yet: name one, as in vramp plan sim-mistral-7b")
    return chosen


def _rank(one: Plan) -> tuple[object, ...]:
    """Return what the better of two answers is found by: carried, then measured, then cheap, few GPUs, quick."""
    seconds = one.time_to_resolve_s.value if one.time_to_resolve_s else float("inf")
    cost = float("inf") if one.cost_per_hour is None else one.cost_per_hour
    return not one.carried, one.simulated, cost, float("inf") if one.gpus is None else one.gpus, seconds


def _plan_for(entry: ProfileEntry, wish: Wish) -> Plan:
    if entry.profile is None:
        raise UsageError("; ".join(entry.problems[:3]))
    profile = entry.profile
    notes: list[str] = []
    for known in _sources(profile, wish, notes):
        notes += known.notes
        if (found := _answer(profile, known, wish, notes)) is not None:
            return found
    return _unknown(profile, wish, notes)


def _sources(profile: Profile, wish: Wish, notes: list[str]) -> Iterator[KnownCells]:
    """Yield what is known, the best source first; the next is only looked at where that one cannot tell."""
    sessions = cells_of_sessions(profile)
    if sessions.is_empty:
        notes += [*sessions.notes, f"no session measured {profile.name} so"]
    else:
        yield sessions
    if (table := cells_of_table(profile)) is not None:
        yield table
    if (twin := _Twin.of(profile)) is not None:
        yield twin.cells(wish)


def _answer(profile: Profile, known: KnownCells, wish: Wish, notes: list[str]) -> Plan | None:
    """Return the least number of servers that carries the users; None where this source cannot tell."""
    silent, refused = "", ""
    for servers in range(1, min(MOST_SERVERS, wish.users) + 1):
        users = -(-wish.users // servers)
        if failing := known.why_failing(users, wish.prompt_tokens):
            refused = refused or f"{users_in_words(users)} on one server are too many: {failing} ({known.source})"
            continue
        try:
            seconds = known.estimate("resolve", users, wish.prompt_tokens)
        except OutsideMeasured as error:
            silent = silent or str(error)
            continue
        if late := _late(profile, known, users, wish, seconds):
            refused = refused or f"{users_in_words(users)} on one server: {late} ({known.source})"
            continue
        said = [text for text in (refused, f"{silent} (fewer servers are not known)" if silent else "") if text]
        return _carried(profile, known, wish, servers, users, seconds, notes + said)
    if refused:
        return _plan(profile, wish, known, carried=False, notes=[*notes, refused, *([silent] if silent else [])])
    notes.append(f"{silent} ({known.source})")
    return None


def _late(profile: Profile, known: KnownCells, users: int, wish: Wish, seconds: Estimate) -> str:
    """Return which limit may be passed, its uncertainty counted against it; "" where none is."""
    slo = profile.slo
    limit_s = wish.within_s if wish.within_s is not None else slo.e2e_s if slo is not None else None
    if limit_s is not None and seconds.high > limit_s:
        return f"up to {seconds.high:.3g} s to resolve, more than {limit_s:g} s"
    for name, limit in (("ttft", slo.ttft_s if slo else None), ("tpot", slo.tpot_s if slo else None)):
        if limit is None or name not in known.figures:
            continue
        try:
            found = known.estimate(name, users, wish.prompt_tokens)
        except OutsideMeasured:
            continue
        if found.high > limit:
            return f"{name.upper()} up to {found.high:.3g} s, more than {limit:g} s"
    return ""


def _carried(
    profile: Profile, known: KnownCells, wish: Wish, servers: int, users: int, seconds: Estimate, notes: list[str]
) -> Plan:
    per_1m, price = None, profile.cost.price_per_hour if profile.cost else None
    if price is None:
        notes = [*notes, f"no cost: {profile.name} has no [cost] price_per_hour"]
    else:
        try:
            rate = known.estimate("processed", users, wish.prompt_tokens)
            per_1m = cost_per_tokens(price, rate.value, 1_000_000)
        except OutsideMeasured as error:
            notes = [*notes, f"no cost per token: {error}"]
    try:
        ttft = _figure(known.estimate("ttft", users, wish.prompt_tokens))
    except OutsideMeasured:
        ttft = None
        if profile.slo is not None and profile.slo.ttft_s is not None:
            notes = [*notes, f"whether TTFT stays within {profile.slo.ttft_s:g} s is not known from {known.source}"]
    answer = _plan(profile, wish, known, carried=True, notes=notes)
    return msgspec.structs.replace(
        answer,
        servers=servers,
        gpus=_gpus(profile, servers),
        time_to_resolve_s=_figure(seconds),
        ttft_s=ttft,
        cost_per_hour=None if price is None else price * servers,
        cost_per_1m_tokens=per_1m,
        currency=profile.cost.currency if profile.cost else "",
    )


def _plan(profile: Profile, wish: Wish, known: KnownCells | None, *, carried: bool, notes: list[str]) -> Plan:
    return Plan(
        profile=profile.name,
        users=wish.users,
        prompt_tokens=wish.prompt_tokens,
        output_tokens=profile.load.output_tokens,
        mode=str(profile.load.mode),
        carried=carried,
        simulated=known.simulated if known is not None else profile.simulated,
        source=known.source if known is not None else "",
        notes=[safe_line(note, limit=400) for note in dict.fromkeys(notes)],
    )


def _unknown(profile: Profile, wish: Wish, notes: list[str]) -> Plan:
    return _plan(profile, wish, None, carried=False, notes=notes or ["nothing is known of it"])


def _gpus(profile: Profile, servers: int) -> int | None:
    return servers * max(1, profile.gpu_count) if profile.server is not None else None


def _figure(estimate: Estimate) -> Figure:
    return Figure(value=estimate.value, low=estimate.low, high=estimate.high, uncertainty=estimate.by)


@dataclass(frozen=True, slots=True)
class _Twin:
    """The model behind the simulator, for a profile that has a simulated twin or is one."""

    name: str
    table: SimulatorTable
    output_tokens: int
    published: str | None
    """The table that it was fitted to."""

    @classmethod
    def of(cls, profile: Profile) -> _Twin | None:
        """Return the twin of a profile; None where there is none."""
        named = profile.reference.table if profile.reference is not None else None
        twin: Profile | None = profile
        if not profile.simulated:
            if named is None:
                return None
            try:
                twin = find(f"sim-{named}").profile
            except VrampError:
                return None
        if twin is None or not twin.simulated:
            return None
        published = twin.reference.table if twin.reference is not None else None
        return cls(twin.name, twin.simulator or SimulatorTable(), profile.load.output_tokens, published)

    def cells(self, wish: Wish) -> KnownCells:
        """Return what the model says of a burst of these users, and of their share on several servers.

        Each place is computed, not interpolated; how far the model errs is told by the table that it was fitted to.
        """
        known = KnownCells(f"the model behind the simulator ({self.name}), bursts of all users at once", simulated=True)
        error = self._error()
        for servers in range(1, min(MOST_SERVERS, wish.users) + 1):
            place = (-(-wish.users // servers), wish.prompt_tokens)
            if place in known.computed or place in known.failed:
                continue
            try:
                seconds = burst(self.table, *place, self.output_tokens).seconds
            except ValueError:
                known.failed[place] = "longer than the model's max_model_len"
                break
            if seconds is None:
                known.failed[place] = "out of memory"
                continue
            by = error.words if error.covers(place) else f"{error.words}; EXTRAPOLATED beyond {error.sizes}"
            low, high = seconds / (1 + error.worst), seconds * (1 + error.worst)
            known.computed[place] = Estimate(seconds, low, high, 0, by)
            known.add("processed", place, place[0] * (wish.prompt_tokens + self.output_tokens) / seconds)
        return known

    def _error(self) -> _ModelError:
        """Return how far the model errs; where no table tells, that of its kind errs at least as much as any."""
        return self._own_error() or self._error_of_its_kind()

    def _own_error(self) -> _ModelError | None:
        """Step the model through the whole table that it was fitted to; None where there is none."""
        try:
            cells = published_table(self.published or "").cells
        except VrampError:
            return None
        errors = []
        for place, there in cells.items():
            here = burst(self.table, *place, self.output_tokens).seconds
            if here is not None and there.seconds:
                errors.append(abs(here / there.seconds - 1))
        if not errors:
            return None
        worst = max(errors)
        words = f"the model's worst error against {self.published}, {worst:.0%} (median {median(errors):.0%})"
        return _ModelError(worst, words, [place[0] for place in cells], [place[1] for place in cells])

    def _error_of_its_kind(self) -> _ModelError:
        profiles = [entry.profile for entry in entries() if entry.profile is not None and entry.profile.simulated]
        twins = [twin for profile in profiles if (twin := _Twin.of(profile)) is not None]
        known = [error.worst for twin in twins if (error := twin._own_error()) is not None]
        worst = max(known, default=0.0)
        words = (
            f"{self.name} models no published table; the worst error of the {len(known)} models of its kind that do is "
            f"{worst:.0%}, and its own may be larger"
        )
        return _ModelError(worst, words)


@dataclass(frozen=True, slots=True)
class _ModelError:
    """How far a model errs, and within which sizes that is known."""

    worst: float
    """Relative."""
    words: str
    users: list[int] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)

    def covers(self, place: tuple[int, int]) -> bool:
        """Say whether the model was fitted to such sizes; of one that was fitted to none, nothing is beyond."""
        axes = ((self.users, place[0]), (self.prompts, place[1]))
        return all(not axis or min(axis) <= value <= max(axis) for axis, value in axes)

    @property
    def sizes(self) -> str:
        """The sizes in words."""
        return f"{min(self.users)} to {max(self.users)} users, {min(self.prompts)} to {max(self.prompts)} prompt tokens"


def in_words(plan: Plan) -> str:
    """Return an answer as sentences."""
    mark = "SIMULATED: " if plan.simulated else ""
    asked = f"{users_in_words(plan.users)} with {plan.prompt_tokens:,} prompt and {plan.output_tokens:,} output tokens"
    notes = "".join(f" Note: {note}." for note in plan.notes)
    if not plan.carried or plan.time_to_resolve_s is None:
        what = f"{plan.profile} does not carry" if plan.source else f"it is not known whether {plan.profile} carries"
        return f"{mark}{what} {asked}.{notes}"
    seconds = plan.time_to_resolve_s
    servers = "one server" if plan.servers == 1 else f"{plan.servers} servers side by side"
    gpus = "GPUs not known" if plan.gpus is None else f"{plan.gpus} GPU{'s' if plan.gpus != 1 else ''}"
    parts = [f"{_range(seconds)} s to resolve"]
    if plan.ttft_s is not None:
        parts.append(f"TTFT {_range(plan.ttft_s)} s")
    if plan.cost_per_hour is not None:
        parts.append(f"{money(plan.cost_per_hour, plan.currency)} an hour")
    if plan.cost_per_1m_tokens is not None:
        parts.append(f"{money(plan.cost_per_1m_tokens, plan.currency)} per million tokens")
    by = f"By {plan.source}; uncertainty: {seconds.uncertainty}."
    return f"{mark}{plan.profile} carries {asked} on {servers} ({gpus}): {', '.join(parts)}. {by}{notes}"


def _range(figure: Figure) -> str:
    if figure.low == figure.high:
        return f"{figure.value:.3g}"
    return f"{figure.value:.3g} ({figure.low:.3g} to {figure.high:.3g})"
