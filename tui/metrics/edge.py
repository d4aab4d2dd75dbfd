"""The edge of a grid: for each prompt size the most users that were served well, and what gave out beyond. Pure.

A cell holds when all its requests were answered and it met the SLO, where the profile has one, and when the server kept
up with what was asked. All measures of a cell count, earlier ones too. What the client could not carry is no answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from tui.core.outcome import Outcome
from tui.core.safe_text import safe_line
from tui.metrics.cell import CellResult, users_in_words
from tui.metrics.edge_search import EdgeSearch, FoundEdge
from tui.metrics.limits import Limit
from tui.profile.schema import MAX_USERS, Mode, Profile, SloTable, SweepTable

_NO_ANSWER = frozenset({Outcome.PENDING, Outcome.RUNNING, Outcome.CANCELLED, Outcome.IMPLIED, Outcome.CLIENT_LIMIT})
_UNASKED = frozenset({Outcome.OOM_LAUNCH, Outcome.OOM_KV, Outcome.OOM_HOST})
_EVIDENCE_LIMIT = 160
CLIENT_TRIES = 2


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What the server carries at one prompt size: where the edge lies."""

    prompt_tokens: int
    users: int
    """The most that held, by the majority of each cell's measures; 0 = none did."""
    users_least: int
    """So many held each time."""
    users_most: int | None = None
    """Nothing beyond held, not once; None = nothing failed."""
    fails_at: int | None = None
    """The fewest users that did not hold."""
    known: bool = False
    """Whether it is known as exactly as was asked; else it is what has been measured so far."""
    measures: int = 0
    """How many times cells of this size were measured."""
    sentence: str = ""
    """All of this in words, with what gives out."""


def holds(cell: CellResult) -> bool | None:
    """Say whether a cell was served well; None where its result says nothing of the server."""
    if cell.outcome in _NO_ANSWER or (cell.outcome in _UNASKED and not cell.measured):
        return None
    kept_up = cell.rate is None or not cell.rate.over_saturated
    return cell.outcome is Outcome.OK and cell.slo_met is not False and kept_up


def searches(
    cells: Iterable[CellResult], prompt_tokens: Sequence[int], sweep: SweepTable, start: int
) -> dict[int, EdgeSearch]:
    """Return how far the search is at each prompt size by all measures of one mode, oldest first.

    What failed with short prompts cannot hold with longer ones.
    """
    by_size: dict[int, list[CellResult]] = {}
    for cell in cells:
        by_size.setdefault(cell.prompt_tokens, []).append(cell)
    found: dict[int, EdgeSearch] = {}
    fails_at: int | None = None
    for size in sorted(prompt_tokens):
        search = EdgeSearch(
            start=start,
            largest=min(MAX_USERS, sweep.edge_users_max),
            precision=sweep.edge_precision,
            repeats=sweep.edge_repeats,
        )
        if fails_at is not None:
            search.imply_failure(fails_at)
        for cell in by_size.get(size, ()):
            held = holds(cell)
            if held is not None:
                search.take(cell.users, held=held, final=cell.outcome.grows_with_load)
        if (limit := _client_limit(by_size.get(size, ()))) is not None:
            search.cap(limit - 1)
        found[size] = search
        fails_at = min((at for at in (fails_at, search.found().fails_at) if at is not None), default=None)
    return found


def edges(cells: Sequence[CellResult], profile: Profile) -> list[Carried]:
    """Return the edge at each prompt size of which some cell was measured in the profile's mode."""
    load = profile.load
    own = [cell for cell in cells if cell.mode == load.mode]
    sizes = sorted({cell.prompt_tokens for cell in own if holds(cell) is not None})
    by_size = searches(own, sizes, profile.sweep, start_of(load.users))
    rate_per_s = load.rate_per_s if load.mode is Mode.RATE else None
    return [_edge(size, by_size[size], own, _Words(profile.slo, rate_per_s)) for size in sizes]


def start_of(users: Sequence[int]) -> int:
    """Return with how many users a search begins: the middle of the axis, which is cheap and tells much."""
    return sorted(users)[(len(users) - 1) // 2]


@dataclass(frozen=True, slots=True)
class _Words:
    """How numbers of users are told: in mode rate they are rates."""

    slo: SloTable | None
    rate_per_s: float | None

    def number(self, users: int) -> str:
        return f"{users}" if self.rate_per_s is None else f"{users * self.rate_per_s:g}"

    def many(self, users: int) -> str:
        return users_in_words(users) if self.rate_per_s is None else f"{users * self.rate_per_s:g} requests/s"


def _unfit(size: int, cells: Sequence[CellResult]) -> str:
    """Return why prompts of a size cannot be asked at all; "" where they can."""
    return next((c.evidence for c in cells if c.prompt_tokens == size and c.outcome is Outcome.TOO_LONG), "")


def _edge(size: int, search: EdgeSearch, cells: Sequence[CellResult], words: _Words) -> Carried:
    found = search.found()
    own = [cell for cell in cells if cell.prompt_tokens == size and holds(cell) is not None]
    if why := _unfit(size, cells):
        sentence = f"none at {size} tokens: {safe_line(why, limit=_EVIDENCE_LIMIT)}"
        return Carried(prompt_tokens=size, users=0, users_least=0, users_most=0, known=True, sentence=sentence)
    known = search.next is None
    return Carried(
        prompt_tokens=size,
        users=found.users,
        users_least=found.least,
        users_most=found.most,
        fails_at=found.fails_at,
        known=known,
        measures=len(own),
        sentence=_sentence(size, found, cells, words, known=known),
    )


def _sentence(size: int, found: FoundEdge, cells: Sequence[CellResult], words: _Words, *, known: bool) -> str:
    slo, many_of = words.slo, words.many
    what = "" if known else "so far: "
    if found.fails_at is None:
        limit = _client_limit([cell for cell in cells if cell.prompt_tokens == size])
        why = (
            "nothing failed up to there"
            if limit is None
            else f"with {many_of(limit)} this machine's client is the limit"
        )
        return f"{what}at least {many_of(found.users)} at {size} tokens: {why}"
    fails = _failed(size, found.fails_at, cells)
    gives_out = what_gives_out(fails, slo) if fails is not None else "it fails"
    if not found.users:
        many = "a single user" if found.fails_at == 1 and words.rate_per_s is None else many_of(found.fails_at)
        if slo is not None and fails is not None and fails.outcome is Outcome.OK and found.fails_at == 1:
            nothing = "no number of users" if words.rate_per_s is None else "no rate"
            return f"{what}{nothing} meets the SLO at {size} tokens: with {many} {gives_out}"
        return f"{what}fewer than {many_of(found.fails_at)} at {size} tokens: with {many} {gives_out}"
    most = found.users if found.most is None else max(found.most, found.users)
    around = (
        f" ({words.number(found.least)}-{words.number(most)})"
        if (found.least, most) != (found.users, found.users)
        else ""
    )
    return f"{what}{many_of(found.users)} at {size} tokens{around}, then {gives_out}"


def _client_limit(cells: Sequence[CellResult]) -> int | None:
    """Return the fewest users that this machine's client cannot carry, by two measures, as one may be a busy moment's;
    None where it carried as many."""
    late = Counter(cell.users for cell in cells if cell.outcome is Outcome.CLIENT_LIMIT)
    carried = max((cell.users for cell in cells if holds(cell) is not None), default=0)
    return min((users for users, times in late.items() if times >= CLIENT_TRIES and users > carried), default=None)


def _failed(size: int, users: int, cells: Sequence[CellResult]) -> CellResult | None:
    """Return the measure that shows why so many users are too many; of this size, else of shorter prompts."""
    failed = [cell for cell in cells if cell.users == users and cell.prompt_tokens <= size and holds(cell) is False]
    return max(failed, key=lambda cell: cell.prompt_tokens, default=None)


def what_gives_out(cell: CellResult, slo: SloTable | None) -> str:
    """Return what a cell that does not hold shows: the limit of the SLO that it misses by most, or how it ended."""
    if cell.outcome is not Outcome.OK:
        evidence = safe_line(cell.evidence, limit=_EVIDENCE_LIMIT)
        return f"{cell.outcome}" + (f": {evidence}" if evidence else "")
    if cell.rate is not None and cell.rate.over_saturated:
        return cell.rate.what
    missed = [found for found in _missed(cell, slo) if found[0] > 1.0] if slo is not None else []
    what = max(missed)[1] if missed else "more than 1 % of the requests miss the SLO"
    limit = cell.verdict.limit if cell.verdict is not None else Limit.NOT_KNOWN
    return what if limit in (Limit.NONE, Limit.NOT_KNOWN) else f"{what}: {limit}"


def _missed(cell: CellResult, slo: SloTable) -> list[tuple[float, str]]:
    """Return, for each limit, by how much it is passed and in which words: by the lowest percentile that passes it."""
    found = []
    for name, limit_s in (("ttft", slo.ttft_s), ("tpot", slo.tpot_s), ("e2e", slo.e2e_s)):
        if limit_s is None:
            continue
        for q in (50, 90, 99):
            value_s: float | None = getattr(cell, f"{name}_p{q}_s")
            if value_s is not None and value_s > limit_s:
                found.append((value_s / limit_s, f"{name.upper()} p{q} passes {limit_s:g} s ({value_s:.3g} s)"))
                break
    return found
