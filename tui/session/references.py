"""Finds what a grid is judged by: its terms, and the published table or earlier session that lies beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tui.core.errors import SessionError, VrampError
from tui.core.safe_text import safe_line
from tui.metrics.circumstances import in_phrases
from tui.metrics.measured import Measured
from tui.metrics.reference import Reference, ReferenceCell, cells_of_session
from tui.metrics.terms import Terms, terms_of
from tui.profile.catalogue import PublishedTable, published_table, reference_names
from tui.profile.prices import read_prices
from tui.profile.schema import Profile, ReferenceTable
from tui.session import shelf
from tui.session.circumstances import of_profile, of_table
from tui.session.database import SUFFIX
from tui.session.kept_profile import profile_of
from tui.session.reader import SessionReader, latest_cells
from tui.session.sides import read_file

Grid = set[tuple[int, int]]


class Beside(NamedTuple):
    """What the cells of a session are laid beside, from its start to its end."""

    terms: Terms = Terms()
    reference: Reference | None = None


NOTHING_BESIDE = Beside()


def beside_of(profile: Profile | None, gpu_summary: str = "") -> Beside:
    """Return what the cells of a profile are laid beside; reads files. Never raises: what is wrong is in the values."""
    if profile is None:
        return NOTHING_BESIDE
    return Beside(terms_of(profile, read_prices()), _reference(profile, gpu_summary))


def beside_session(reader: SessionReader, reference: dict[str, str] | None = None) -> Beside:
    """Return what the cells of a kept session are laid beside: by its profile, or by another `[reference]` table."""
    profile = profile_of(reader.meta)
    if profile is not None and reference is not None:
        profile = profile.model_copy(update={"reference": ReferenceTable.model_validate(reference)})
    return beside_of(profile, reader.meta.gpu_summary)


def key_of(wanted: str) -> dict[str, str]:
    """Return the `[reference]` table for a name that is a published table's or a session's.

    Raises SessionError with the nearest names where it is neither.
    """
    if wanted in reference_names():
        return {"table": wanted}
    try:
        return {"session": str(shelf.find(wanted))}
    except SessionError as error:
        tables = ", ".join(reference_names())
        raise SessionError(f"--reference: {error}; the published tables are {tables}") from None


def _reference(profile: Profile, gpu_summary: str) -> Reference | None:
    wanted = profile.reference
    if wanted is None:
        return None
    try:
        if wanted.table is not None:
            return _of_table(wanted.table, published_table(wanted.table), profile)
        return _of_session(wanted.session or "", profile, gpu_summary)
    except VrampError as error:
        name = safe_line(wanted.table or wanted.session or "", limit=80)
        why = safe_line(str(error), limit=300)
        return Reference(name=name, published=wanted.table is not None, problem=f"nothing is laid beside: {why}")


def _of_table(name: str, table: PublishedTable, profile: Profile) -> Reference:
    cells = [
        ReferenceCell(users=users, prompt_tokens=prompt, ok=cell.outcome == "ok", time_to_resolve_s=cell.seconds)
        for (users, prompt), cell in table.cells.items()
    ]
    differs = [*in_phrases(of_table(table), of_profile(profile)), *_sizes(set(table.cells), profile)]
    if profile.simulated:
        differs.insert(0, "measured there, simulated here")
    elif table.model or table.gpus:
        differs.insert(0, f"there {' on '.join(filter(None, (table.model, table.gpus)))}")
    return Reference(name=name, published=True, differs=differs, cells=cells)


def _of_session(wanted: str, profile: Profile, gpu_summary: str) -> Reference:
    path = shelf.find(wanted)
    if path.suffix != SUFFIX:
        return _of_side(read_file(path), profile, gpu_summary)
    with SessionReader(path) as reader:
        meta, there = reader.meta, profile_of(reader.meta)
        mode = profile.load.mode if there is None else there.load.mode
        cells = latest_cells(reader.cells(), mode)
    differs: list[str] = []
    if meta.simulated != profile.simulated:
        differs.append("simulated there, measured here" if meta.simulated else "measured there, simulated here")
    if there is not None:
        differs += in_phrases(of_profile(there, meta.gpu_summary), of_profile(profile, gpu_summary))
    known = cells_of_session(cells)
    differs += _sizes({(cell.users, cell.prompt_tokens) for cell in known}, profile)
    return Reference(
        name=safe_line(meta.session_id, limit=120),
        simulated=meta.simulated,
        differs=[safe_line(text, limit=160) for text in differs],
        cells=known,
    )


def _of_side(side: Measured, profile: Profile, gpu_summary: str) -> Reference:
    """Return what an export, or the results of another tool, say."""
    differs = in_phrases(side.circumstances, of_profile(profile, gpu_summary))
    if side.simulated != profile.simulated:
        differs.insert(0, "simulated there, measured here" if side.simulated else "measured there, simulated here")
    known = cells_of_session({(cell.users, cell.prompt_tokens): cell for cell in side.cells}.values())
    differs += _sizes({(cell.users, cell.prompt_tokens) for cell in known}, profile)
    return Reference(
        name=side.name,
        source=side.source,
        simulated=side.simulated,
        differs=[safe_line(text, limit=160) for text in [*differs, *side.notes]],
        cells=known,
    )


def _sizes(known: Grid, profile: Profile) -> Iterator[str]:
    asked = {(users, prompt) for users in profile.load.users for prompt in profile.load.prompt_tokens}
    shared = len(asked & known)
    if not shared:
        none = "the one cell here is not" if len(asked) == 1 else f"none of the {len(asked)} cells here are"
        yield f"{none} known there: its sizes are others"
    elif shared < len(asked):
        yield f"{shared} of the {len(asked)} cells here are known there"
