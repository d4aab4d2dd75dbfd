"""Where a server runs with other arguments than its profile gives. Pure.

A server tells its arguments in its own way: an enum's member for its name or its number, a configuration with all its
defaults. Of those only what the profile gives is compared, and what cannot be compared is no difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tui.engines.parts.python_repr import Member, Value, value_of

MOST_SAID = 12
_UNITS = {"k": 1e3, "K": 2**10, "m": 1e6, "M": 2**20, "g": 1e9, "G": 2**30, "t": 1e12, "T": 2**40}
"""As vLLM reads them (vllm/engine/arg_utils.py, human_readable_int)."""
# What the launch chooses by itself, or what says nothing of how it serves.
NOT_COMPARED = frozenset({"host", "port", "model", "model-tag", "served-model-name"})
_LEFT_TO_THE_SERVER = frozenset({"auto"})
_OTHER_NAMES = {"fp8_e4m3": "fp8", "half": "float16"}


def differences(asked: Mapping[str, object], told: Mapping[str, str]) -> list[str]:
    """Return a sentence for each argument that the server runs with another value than the profile gives it.

    Only what both name is compared: most servers tell the arguments that are not their defaults.
    """
    found: list[str] = []
    for name, value in asked.items():
        flag, _, inner = name.lstrip("-").partition(".")
        flag = flag.replace("_", "-")
        given = _given(value)
        if flag not in told and value is True and flag.startswith("no-"):
            flag, given = flag.removeprefix("no-"), "False"
        for key in reversed(inner.split(".") if inner else []):
            given = {key: given}
        if flag in told and flag not in NOT_COMPARED:
            found += _apart(flag, given, value_of(told[flag]))
    return found[:MOST_SAID]


def _given(value: object) -> Value:
    """Return a value of a profile; text that is JSON, as a configuration is given, as what it says."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    if isinstance(value, dict):
        return {str(name): _given(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_given(each) for each in value]
    return None if value is None else str(value)


def _apart(name: str, asked: Value, told: Value) -> list[str]:
    """Return where two values differ, a sentence each; none where they cannot be compared."""
    if isinstance(told, list) and len(told) == 1 and not isinstance(asked, list):
        told = told[0]
    if isinstance(told, Member):
        return _apart_from_member(name, asked, told)
    if isinstance(asked, dict) and isinstance(told, dict):
        known = {key.replace("-", "_"): value for key, value in told.items()}
        keys = [key for key in asked if key.replace("-", "_") in known]
        return [said for key in keys for said in _apart(f"{name}.{key}", asked[key], known[key.replace("-", "_")])]
    if isinstance(asked, list) and isinstance(told, list):
        same = len(asked) == len(told) and all(any(not _apart(name, one, other) for other in told) for one in asked)
    elif isinstance(asked, str) and isinstance(told, str):
        same = asked in _LEFT_TO_THE_SERVER or _same(asked, told)
    else:
        return []
    return [] if same else [f"{name}: the profile says {_short(asked)}, the server runs {_short(told)}"]


def _apart_from_member(name: str, asked: Value, told: Member) -> list[str]:
    """Return where a value differs from an enum's member, which it may give by name or by value."""
    by_name = _apart(name, asked, told.name)
    if not by_name or (isinstance(told.value, str) and not _apart(name, asked, told.value)):
        return []
    comparable = isinstance(told.value, str) or not (isinstance(asked, str) and _is_number(asked))
    return by_name if comparable else []


def _same(one: str, other: str) -> bool:
    if _name(one) == _name(other):
        return True
    return _is_number(one) and _is_number(other) and _number(one) == _number(other)


def _name(text: str) -> str:
    name = text.lower().removeprefix("torch.")
    return _OTHER_NAMES.get(name, name)


def _is_number(text: str) -> bool:
    try:
        _number(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> float:
    """Return a number, one with the unit of a size too. Raises ValueError."""
    unit = _UNITS.get(text[-1:])
    return float(text) if unit is None else float(text[:-1]) * unit


def _short(value: Value) -> str:
    text = f"[{', '.join(map(_short, value))}]" if isinstance(value, list) else _text(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _text(value: Value) -> str:
    return value.name if isinstance(value, Member) else str(value)
