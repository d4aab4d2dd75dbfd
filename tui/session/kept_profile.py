"""The profile that a session was made by, read back. Apart from the reader, since lists of sessions need no profile."""

from __future__ import annotations

from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried, edges
from tui.profile.schema import Profile
from tui.session.meta import SessionMeta
from tui.session.reader import ALWAYS_NS, SessionReader, latest_cells


def profile_of(meta: SessionMeta) -> Profile | None:
    """Return the profile with all overrides; None when the file holds none that this vramp understands."""
    try:
        return Profile.model_validate_json(meta.profile_json)
    except ValueError:
        return None


def edges_of(reader: SessionReader, until_ns: int = ALWAYS_NS) -> list[Carried]:
    """Return the most users that were served well at each prompt size, by all measures known at a moment.

    None without a profile.
    """
    profile = profile_of(reader.meta)
    return [] if profile is None else edges(reader.cells(until_ns), profile)


def cells_of_sweep(reader: SessionReader) -> list[CellResult]:
    """Return the latest result of each cell of the profile's mode, in the order of the axes."""
    profile = profile_of(reader.meta)
    return latest_cells(reader.cells(), None if profile is None else profile.load.mode)
