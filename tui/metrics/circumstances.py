"""How a grid was measured, and in what that differs between grids that lie side by side. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec

NOT_SET = "not set"


class Circumstances(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one grid. What is not told is absent."""

    told: dict[str, str] = {}
    """By name, in the order in which it is to be said."""
    arguments: dict[str, str] | None = None
    """Of the server, by flag, as far as they are not its defaults; None = they are not known."""

    def of(self, name: str) -> str | None:
        """Return what is told of a name, or of an argument; None where it is not known."""
        if name in self.told:
            return self.told[name]
        return None if self.arguments is None else self.arguments.get(name)


class Differing(msgspec.Struct, frozen=True, kw_only=True):
    """A circumstance that is not the same on all sides."""

    name: str
    values: list[str | None]
    """Side by side; None where that side does not tell."""


def differing(sides: Sequence[Circumstances]) -> list[Differing]:
    """Return what some sides tell otherwise than others, arguments last.

    What a side does not tell is no difference by itself (see `untold`); an argument that a side whose arguments are
    known does not have is not set.
    """
    found = [Differing(name=name, values=[side.told.get(name) for side in sides]) for name in _names(sides)]
    flags = dict.fromkeys(chain.from_iterable(side.arguments or () for side in sides))
    for flag in flags:
        values = [None if side.arguments is None else side.arguments.get(flag, NOT_SET) for side in sides]
        found.append(Differing(name=flag, values=values))
    return [each for each in found if len({value for value in each.values if value is not None}) > 1]


def untold(sides: Sequence[Circumstances], place: int) -> list[str]:
    """Return what other sides tell and the one at `place` does not."""
    absent = [name for name in _names(sides) if name not in sides[place].told]
    if sides[place].arguments is None and any(side.arguments for side in sides):
        absent.append("arguments")
    return absent


def in_phrases(there: Circumstances, here: Circumstances) -> list[str]:
    """Return, a phrase each, what is otherwise there than here."""
    return [f"{each.name} {each.values[0]} there, {each.values[1]} here" for each in differing([there, here])]


def _names(sides: Sequence[Circumstances]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(side.told for side in sides)))
