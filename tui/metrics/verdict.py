"""What limited a cell: by a table of rules, the first that applies; "not known" where none does. Pure.

Each rule looks at one place where requests can be held up, from the outside in; a later one may rely on it that the
earlier ones did not apply. Figures that a rule needs and that are missing make it pass, never guess.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tui.core.outcome import Outcome
from tui.metrics.answers import BUFFERED_SHARE
from tui.metrics.case import FEWEST_READINGS, MOST, QUEUE_SHARE, Case
from tui.metrics.cell import CellResult
from tui.metrics.limits import Limit, Verdict
from tui.metrics.occupancy import KV_FULL

NO_QUEUE_SHARE = 0.01
"""Below it nobody would call it waiting."""
APART = 0.1
"""What was asked, delivered and running part when they differ by more than this, for the same reason."""
GROWN = 1.5
"""A gap between tokens that is half as long again as with few users has grown: decoding is what takes the time. In one
step of a batch that is bound by reading the weights, it hardly grows at all."""
PREFILL_SHARE = 0.5
"""From this share of the server's time on, more of it goes into prompts than into answers."""


Rule = Callable[[Case], Verdict | None]


def verdict_of(cell: CellResult, others: Iterable[CellResult] = ()) -> Verdict | None:
    """Return what limited a cell; None for one that was not measured and not known by arithmetic.

    `others`: what is known of the same grid; the cell of fewest users tells what a request takes that has no company.
    """
    if cell.outcome.is_open or cell.outcome is Outcome.IMPLIED:
        return None
    alike = [
        other
        for other in others
        if other.outcome is Outcome.OK
        and (other.mode, other.prompt_tokens, other.output_tokens)
        == (cell.mode, cell.prompt_tokens, cell.output_tokens)
        and other.users * 2 <= cell.users
    ]
    case = Case(cell, min(alike, key=lambda other: other.users, default=None))
    return next(found for rule in RULES if (found := rule(case)) is not None)


def asked_delivered_running(cell: CellResult) -> str:
    """Return what was asked for, what the client had under way, and what the server ran, in words; "" if unknown."""
    seen = cell.occupancy
    if cell.delivered_concurrency is None:
        return ""
    said = [] if cell.mode == "rate" else [f"{cell.users:,} asked"]
    most = "" if cell.delivered_concurrency_max is None else f" ({cell.delivered_concurrency_max:,} at most)"
    said.append(f"{cell.delivered_concurrency:,.1f} delivered{most}")
    if seen is not None and seen.running_mean is not None:
        most = "" if seen.running_max is None else f" ({seen.running_max:,.0f} at most)"
        said.append(f"{seen.running_mean:,.1f} running{most}")
    if seen is not None and seen.waiting_mean:
        said.append(f"{seen.waiting_mean:,.1f} waiting")
    return ", ".join(said)


def where_they_part(cell: CellResult) -> str:
    """Return where fewer requests were than before it, in words: from asked to delivered to running; "" = nowhere."""
    found = []
    if (delivered := _delivered(cell)) is not None and cell.mode != "rate" and delivered < (1 - APART) * cell.users:
        found.append(f"{delivered:,.0f} of {cell.users:,} users had a request under way")
    at_server, under_way = Case(cell).at_server, cell.delivered_concurrency
    if at_server is not None and under_way and _is_less(at_server.running, under_way, at_server.readings):
        found.append(f"the server ran {at_server.running:,.1f} of the {under_way:,.1f} requests under way")
    return "; ".join(found)


def _delivered(cell: CellResult) -> float | None:
    """Return how many users had a request under way; of a burst the most, for its requests end one after another."""
    return cell.delivered_concurrency_max if cell.mode == "burst" else cell.delivered_concurrency


def _is_less(part: float, whole: float, readings: int) -> bool:
    """Say whether a mean is less than another, by more than one reading more or less makes of it; 0 = it is exact."""
    by_chance = max(1.0, whole / readings) if readings else 0.0
    return whole - part >= max(by_chance, APART * whole)


# -- the rules ---------------------------------------------------------------------------------------------------


def _by_outcome(case: Case) -> Verdict | None:
    cell = case.cell
    if cell.outcome is Outcome.TOO_LONG:
        return _verdict(Limit.TOO_LONG, "The prompts do not fit the server", cell.evidence)
    if cell.outcome.is_oom:
        return _verdict(Limit.MEMORY, f"Memory gave out ({cell.outcome})", cell.evidence)
    if cell.outcome is Outcome.CLIENT_LIMIT:
        return _verdict(Limit.CLIENT, "This machine's client was the limit, not the server", cell.evidence)
    if cell.outcome is Outcome.OVERLOADED:
        return _by_refusals(case)
    if cell.outcome not in (Outcome.OK, Outcome.TIMEOUT):
        return _verdict(Limit.NOT_KNOWN, f"It ended with {cell.outcome}, which says nothing of a limit", cell.evidence)
    return None


def _by_refusals(case: Case) -> Verdict:
    refused, evidence = case.seen.refused, case.cell.evidence
    if refused is None:
        return _verdict(Limit.NOT_KNOWN, "Requests were refused, by the server or by what stands before it", evidence)
    if refused:
        return _verdict(
            Limit.SCHEDULER, f"The limit of the server's own queue refused {refused:,.0f} requests", evidence
        )
    return _verdict(Limit.GATEWAY, "Requests were refused before they reached the server, which counts none", evidence)


def _client_late(case: Case) -> Verdict | None:
    cell = case.cell
    total = cell.requests_ok + cell.requests_failed + cell.requests_dropped
    if cell.requests_dropped > APART * total:
        return _verdict(
            Limit.CLIENT, f"The client could not send {cell.requests_dropped:,} of {total:,} planned requests"
        )
    late_s = cell.client_delay_p99_s
    if late_s is not None and cell.e2e_p50_s and late_s >= QUEUE_SHARE * cell.e2e_p50_s:
        return _verdict(Limit.CLIENT, f"The client sent late: {_ms(late_s)} (p99) of {_ms(cell.e2e_p50_s)} are its own")
    return None


def _kv_cache(case: Case) -> Verdict | None:
    cell, seen = case.cell, case.seen
    again = cell.preemptions or 0
    full = seen.waiting_readings and seen.full_readings >= MOST * seen.waiting_readings
    if again:
        tokens = again * (cell.prompt_tokens + cell.output_tokens)
        what = f"The KV cache was full: {again:,.0f} requests were preempted, up to {tokens:,.0f} tokens computed again"
    elif full and case.queued:
        most = cell.kv_cache_usage_max or 0.0
        what = "The KV cache was full" if most >= KV_FULL else "The KV cache had no room for one more such prompt"
        what += " while requests waited for a place in it"
    elif (
        case.queued
        and not seen.waiting_readings
        and _smaller(case.kv_capacity, cell.users, case.conditions.max_num_seqs)
    ):
        what = f"The KV cache holds {case.kv_capacity:,} such requests at once; the others waited"
    else:
        return None
    return _verdict(Limit.KV_CACHE, what, *_queue_figures(case), _kv_figure(case))


def _scheduler(case: Case) -> Verdict | None:
    seen, most = case.seen, case.conditions.max_num_seqs
    if not case.queued:
        return None
    if most is not None and seen.running_max is not None and seen.running_max >= most:
        what = f"The server runs {_requests(most)} at most (max-num-seqs); the others waited"
    elif most is not None and not seen.waiting_readings and _smaller(most, case.cell.users, case.kv_capacity):
        what = f"The server runs {_requests(most)} at most (max-num-seqs), fewer than were asked for"
    elif (
        most is None
        and seen.running_max is not None
        and seen.waiting_readings >= FEWEST_READINGS
        and seen.highest_readings > 0.8 * seen.waiting_readings
    ):
        ran = _requests(seen.running_max)
        what = f"The server ran {ran}, never more, while others waited: most likely its limit (max-num-seqs)"
    else:
        return None
    return _verdict(Limit.SCHEDULER, what, *_queue_figures(case), _kv_figure(case))


def _prefill_queue(case: Case) -> Verdict | None:
    """A queue though KV cache and batch have room: what holds requests up then is the prompts before them."""
    seen, most, users = case.seen, case.conditions.max_num_seqs, case.cell.users
    if not case.queued:
        return None
    if seen.waiting_readings:
        room = seen.full_readings < MOST * seen.waiting_readings and case.cell.kv_cache_usage_max is not None
        below = seen.running_max is not None and most is not None and seen.running_max < most
        moving = most is None and seen.waiting_readings >= FEWEST_READINGS
        known = room and (below or moving)
    else:
        capacity = case.kv_capacity
        known = most is not None and capacity is not None and users <= min(most, capacity)
    if not known:
        return None
    what = "Prompts are computed more slowly than they come: requests wait though KV cache and batch have room"
    return _verdict(Limit.PREFILL, what, *_queue_figures(case), _kv_figure(case), _prefill_figure(case))


def _before_the_server(case: Case) -> Verdict | None:
    """Requests that are under way by the client, and that the server neither runs nor has in its queue.

    Where the server tells when first tokens leave it, they must also come late by a real share of a request's time.
    """
    cell, at_server, delivered, late_s = case.cell, case.at_server, case.cell.delivered_concurrency, case.late_s
    if at_server is None or delivered is None:
        return None
    inside = at_server.running + at_server.waiting
    if not _is_less(inside, delivered, at_server.readings):
        return None
    real_s = QUEUE_SHARE * (cell.time_to_resolve_s or 0.0)
    if late_s is not None and late_s < real_s:
        return None
    late = "" if late_s is None else f"the first token comes {_ms(late_s)} later than the server says"
    figures = (f"{delivered:,.1f} under way, {inside:,.1f} at the server", late)
    usual_s = None if case.fewest is None else Case(case.fewest).late_s
    here = case.conditions.over_loopback
    if late_s is not None and usual_s is not None and late_s >= 2 * max(usual_s, 0.0) + real_s:
        return _verdict(Limit.GATEWAY, "Requests waited before the server, longer the more there were", *figures)
    if late_s is not None and usual_s is not None and not here:
        return _verdict(Limit.NETWORK, "The way to the server takes as long with few users: the network", *figures)
    if late_s is not None and cell.users == 1 and not here:
        return _verdict(Limit.NETWORK, "Most of a lone request's time passes on its way to the server", *figures)
    return _verdict(Limit.NOT_KNOWN, "Requests were held up between client and server, where is not known", *figures)


def _buffered(case: Case) -> Verdict | None:
    cell = case.cell
    if not cell.requests_ok or cell.requests_in_one_read <= BUFFERED_SHARE * cell.requests_ok:
        return None
    share = f"{cell.requests_in_one_read:,} of {cell.requests_ok:,} answers came in one read"
    return _verdict(Limit.NETWORK, "What stands before the server holds answers back until they are whole", share)


def _prefill_time(case: Case) -> Verdict | None:
    """No queue, but the server's time goes into prompts."""
    seen, share = case.seen, case.prompts_share
    if seen.prefill_mean_s is not None and seen.decode_mean_s is not None and case.cell.users > 1:
        inside_s = seen.prefill_mean_s + seen.decode_mean_s
        if inside_s and seen.prefill_mean_s >= PREFILL_SHARE * inside_s:
            what = "More than half of a request's time in the batch passes before its first token"
            return _verdict(Limit.PREFILL, what, _prefill_figure(case))
    if share is not None and share >= PREFILL_SHARE:
        what = f"Prompts take {share:.0%} of the server's time"
        return _verdict(Limit.PREFILL, what, _prefill_figure(case), _stall_figure(case))
    return None


def _decode(case: Case) -> Verdict | None:
    now_s, alone_s = case.cell.tpot_p50_s, case.fewest.tpot_p50_s if case.fewest is not None else None
    if now_s is None or not alone_s or now_s < GROWN * alone_s or case.fewest is None:
        return None
    grown = f"{_ms(now_s)} for a token, {_ms(alone_s)} with {case.fewest.users:,}"
    return _verdict(Limit.DECODE, "A step of the batch takes longer the more requests are in it", grown)


def _not_limited(case: Case) -> Verdict | None:
    cell = case.cell
    if case.queue_share is None or case.queued or cell.outcome is not Outcome.OK:
        return None
    if cell.users > 1 and (case.fewest is None or cell.tpot_p50_s is None or case.fewest.tpot_p50_s is None):
        return None
    waited = "no request waited"
    if case.queue_share >= NO_QUEUE_SHARE:
        waited = f"requests waited {case.queue_share:.0%} of their time"
    return _verdict(Limit.NONE, f"Nothing gave out: {waited}, and each went on at its pace", _kv_figure(case))


def _not_known(case: Case) -> Verdict:
    cell = case.cell
    if cell.outcome is not Outcome.OK:
        return _verdict(Limit.NOT_KNOWN, f"It ended with {cell.outcome}, and what the server tells does not say why")
    if case.queue_share is None:
        return _verdict(Limit.NOT_KNOWN, "The server does not tell how many requests run and wait")
    if case.queued:
        return _verdict(
            Limit.NOT_KNOWN, "Requests waited, for what is not told", *_queue_figures(case), _kv_figure(case)
        )
    return _verdict(Limit.NOT_KNOWN, "No queue was seen, and no smaller cell is there to compare the pace with")


RULES: tuple[Rule, ...] = (
    _by_outcome,
    _client_late,
    _kv_cache,
    _scheduler,
    _before_the_server,
    _prefill_queue,
    _buffered,
    _prefill_time,
    _decode,
    _not_limited,
    _not_known,
)


def _verdict(limit: Limit, sentence: str, *evidence: str) -> Verdict:
    return Verdict(limit=limit, sentence=sentence, evidence=[text for text in evidence if text])


def _smaller(limit: int | None, users: int, other: int | None) -> bool:
    """Say whether a limit is below what was asked, and no larger than the other one, where that is known."""
    return limit is not None and limit < users and (other is None or limit <= other)


def _queue_figures(case: Case) -> list[str]:
    cell, seen = case.cell, case.seen
    said = []
    if cell.server_queue_mean_s is not None:
        said.append(f"waited {_ms(cell.server_queue_mean_s)} on average")
    if cell.server_waiting_max:
        said.append(f"up to {cell.server_waiting_max:,.0f} waiting")
    if seen.running_max is not None:
        said.append(f"up to {seen.running_max:,.0f} running")
    return said


def _kv_figure(case: Case) -> str:
    most = case.cell.kv_cache_usage_max
    return "" if most is None else f"KV cache {most:.0%} at most" + (" (full)" if most >= KV_FULL else "")


def _prefill_figure(case: Case) -> str:
    seen = case.seen
    if seen.prefill_mean_s is None or seen.decode_mean_s is None:
        return ""
    return f"{_ms(seen.prefill_mean_s)} to the first token in the batch, {_ms(seen.decode_mean_s)} for the others"


def _stall_figure(case: Case) -> str:
    return "" if case.stalled_s is None else f"{_ms(case.stalled_s)} of those held up by other prompts"


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.0f} ms"


def _requests(number: float) -> str:
    return f"{number:,.0f} request" + ("" if number == 1 else "s")
