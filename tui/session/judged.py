"""What a session's cells come to: the best by its profile's SLO, their costs, and how they are to what lies beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from tui.core.outcome import Outcome
from tui.metrics.best import best_in_words
from tui.metrics.cell import CellResult, cells_in_words
from tui.metrics.offers import Comparison, compare, comparison_lines
from tui.metrics.reference import Reference, parts_from, ratio
from tui.metrics.terms import Terms
from tui.session.kept_profile import profile_of
from tui.session.meta import SessionMeta
from tui.session.references import Beside, beside_of

_MOST_PLACES = 12


def session_beside(meta: SessionMeta) -> Beside:
    """Return what the session's cells are judged by and laid beside; reads files."""
    return beside_of(profile_of(meta), meta.gpu_summary)


def verdict_lines(meta: SessionMeta, cells: Sequence[CellResult], beside: Beside) -> list[str]:
    """Return the best cell, the costs where the profile has a price, and the reference, as plain text."""
    terms, reference = beside
    best = best_in_words(cells, terms)
    lines = [_capital(best)] if best else []
    if terms.price_per_hour is not None:
        lines += comparison_lines(costs(meta, cells, terms), simulated=meta.simulated)
    return [*lines, *([] if reference is None else reference_lines(cells, reference))]


def costs(meta: SessionMeta, cells: Sequence[CellResult], terms: Terms) -> Comparison:
    """Return one's own server beside closed APIs."""
    return compare(cells, terms, f"{meta.profile_name} (own)")


def reference_lines(cells: Sequence[CellResult], reference: Reference) -> list[str]:
    """Return how many times as long the answers took as in the reference, and where cells ended otherwise."""
    if reference.problem:
        return [_capital(reference.problem)]
    there = {(cell.users, cell.prompt_tokens): cell for cell in reference.cells}
    times = sorted(
        times
        for cell in cells
        if cell.outcome is Outcome.OK and (other := there.get((cell.users, cell.prompt_tokens))) is not None
        if (times := ratio(cell.time_to_resolve_s, other.time_to_resolve_s)) is not None
    )
    said = f"Beside {reference.words}: "
    if times:
        said += f"{median(times):.2f} times as long to resolve in the median of {cells_in_words(len(times))}"
        said += f" ({times[0]:.2f} to {times[-1]:.2f})"
    else:
        said += "no cell was answered both here and there"
    differs = [f"Conditions differ: {'; '.join(reference.differs)}"] if reference.differs else []
    return [said, *differs, *_parted(cells, reference)]


def _parted(cells: Sequence[CellResult], reference: Reference) -> Iterator[str]:
    there = {(cell.users, cell.prompt_tokens): cell for cell in reference.cells}
    for how, words in (("failed", "Failed here, measured there"), ("measured", "Measured here, failed there")):
        places = [
            f"{cell.users} × {cell.prompt_tokens}"
            for cell in cells
            if parts_from(cell, there.get((cell.users, cell.prompt_tokens))) == how
        ]
        if places:
            more = f" and {len(places) - _MOST_PLACES} more" if len(places) > _MOST_PLACES else ""
            yield f"{words}: {', '.join(places[:_MOST_PLACES])}{more}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
