"""The price list of closed APIs: the shipped one, and the user's own, whose entries hide shipped ones of their name.

A wrong entry is left out and told in a sentence; the others hold. Text from outside: bounded and cleaned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tui.core.errors import ProfileError
from tui.core.paths import user_profiles_dir
from tui.core.safe_text import safe_line
from tui.core.toml_text import TomlError, parse_toml
from tui.profile.catalogue import PRICE_LIST, shipped_profiles_dir
from tui.profile.loader import read_text

MOST_APIS = 50
_LARGEST = 1e6
_KEYS = ("name", "input_per_1m", "output_per_1m", "currency", "as_of")


class ApiPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What an API takes for tokens."""

    name: str
    input_per_1m: float
    """For a million tokens of prompts."""
    output_per_1m: float
    """For a million tokens of answers."""
    currency: str = "USD"
    as_of: str = ""
    """When it was so."""


class PriceList(msgspec.Struct, frozen=True, kw_only=True):
    """All prices that are known, and what was wrong with others."""

    prices: list[ApiPrice] = []
    notes: list[str] = []
    """In sentences."""


def read_prices() -> PriceList:
    """Return the prices of closed APIs. Never raises: what cannot be read is told in `notes`."""
    known: dict[str, ApiPrice] = {}
    notes: list[str] = []
    for folder, needed in ((shipped_profiles_dir(), True), (user_profiles_dir(), False)):
        path = folder / PRICE_LIST
        if needed or _is_there(path):
            found = _read(path)
            known |= {price.name: price for price in found.prices}
            notes += found.notes
    return PriceList(prices=list(known.values())[:MOST_APIS], notes=notes)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False


def _read(path: Path) -> PriceList:
    try:
        document = parse_toml(read_text(path, "a price list (TOML)"))
    except ProfileError as error:
        return PriceList(notes=error.problems)
    except TomlError as error:
        return PriceList(notes=[f"{safe_line(str(path))}: {safe_line(str(error), limit=160)}; no price of it is used"])
    return parsed(document, safe_line(str(path)))


def parsed(document: dict[str, Any], source: str) -> PriceList:
    """Return the entries of a price list, and what is wrong with the others; `source` is what notes call it."""
    entries = document.get("api", [])
    if not isinstance(entries, list) or set(document) - {"api"}:
        return PriceList(notes=[f"{source}: expected tables [[api]] and nothing else; no price of it is used"])
    prices, notes = [], []
    for number, entry in enumerate(entries[:MOST_APIS], start=1):
        name = entry.get("name") if isinstance(entry, dict) else None
        called = safe_line(name, limit=40) if isinstance(name, str) and name.strip() else f"api {number}"
        if problem := _problem(entry):
            notes.append(f"{source}: {called}: {problem}; it is left out")
        else:
            prices.append(_price(entry, called))
    return PriceList(prices=prices, notes=notes)


def _price(entry: dict[str, Any], name: str) -> ApiPrice:
    return ApiPrice(
        name=name,
        input_per_1m=float(entry["input_per_1m"]),
        output_per_1m=float(entry["output_per_1m"]),
        currency=safe_line(entry.get("currency", "USD"), limit=8),
        as_of=safe_line(entry.get("as_of", ""), limit=40),
    )


def _problem(entry: object) -> str:
    """Return what is wrong with an entry; "" where nothing is."""
    if not isinstance(entry, dict):
        return "expected a table"
    if unknown := [key for key in entry if key not in _KEYS]:
        return f"found an unknown key {safe_line(unknown[0], limit=40)}, expected {', '.join(_KEYS)}"
    if not isinstance(entry.get("name"), str) or not entry["name"].strip():
        return "name: expected a text"
    for key in ("input_per_1m", "output_per_1m"):
        value = entry.get(key)
        if value is None:
            return f"{key}: found no price"
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
            return f"{key}: found {safe_line(str(value), limit=40)}, expected a price from 0 to {_LARGEST:,.0f}"
    for key in ("currency", "as_of"):
        if not isinstance(entry.get(key, "-"), str) or not entry.get(key, "-").strip():
            return f"{key}: expected a text"
    return ""
