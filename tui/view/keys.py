"""The ids by which the settings can give other keys to what the app does."""

from __future__ import annotations

from textual.binding import Binding
from textual.dom import DOMNode


def binding_ids(*owners: type[DOMNode]) -> set[str]:
    """Return the ids of all bindings of these classes and of their bases."""
    found = set()
    for owner in owners:
        for base in owner.__mro__:
            for binding in base.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id:
                    found.add(binding.id)
    return found
