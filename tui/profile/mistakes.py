"""Turns what pydantic found wrong in a profile into "KEY: found X, expected Y; did you mean Z?". Pure."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from tui.core.nearest import did_you_mean
from tui.core.safe_text import safe_line
from tui.core.secrets import mentions_secret, secrets_in_document, secrets_in_text
from tui.profile.schema import Profile

NOT_HERE = "found a secret, expected it in vramp's own environment"
_VALUE_LIMIT = 60
_KEYS_LIMIT = 240
# `server.args` is a table of free keys: pydantic adds the tried type to the place of a mistake there.
_FREE_TABLE = ("server", "args")
_EXPECTED_BY_TYPE = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "a text",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "greater_than_equal": "{ge} or more",
    "greater_than": "more than {gt}",
    "less_than_equal": "{le} or less",
    "less_than": "less than {lt}",
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} characters",
    "too_short": "at least {min_length} value",
    "too_long": "at most {max_length} values",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "enum": "{expected}",
    "literal_error": "{expected}",
}


def describe(mistake: ErrorDetails, document: dict[str, Any]) -> str:
    """Return one line for one of pydantic's mistakes in `document`."""
    place = mistake["loc"]
    if place[:2] == _FREE_TABLE and len(place) > 3:
        place = place[:3]
    if not place:
        return f"{_tables(document)}, {_reason(mistake)}"
    key = key_path(place)
    if mistake["type"] == "extra_forbidden":
        return f"{key}: found an unknown key, expected {_known_keys(place)}{_nearest_key(place)}"
    if mistake["type"] == "missing":
        return f"{key}: found nothing, expected {_words_for(_field(place))}"
    line = f"{key}: found {_shown(place, mistake['input'])}, {_reason(mistake)}"
    if place[:2] == _FREE_TABLE:
        return f"{key}: found {_shown(place, mistake['input'])}, expected a text, a number, true or false"
    if mistake["type"] == "enum":
        line += _nearest(str(mistake["input"]), [str(m) for m in _enum_members(place)], quote='"')
    return line


def one_server_mistake(document: dict[str, Any]) -> list[str]:
    """Return the mistake of having both or none of the tables [server] and [attach], if it is made."""
    if ("server" in document) != ("attach" in document):
        return []
    return [f"{_tables(document)}, expected one of the tables [server] and [attach]"]


def secret_mistakes(document: dict[str, Any]) -> list[str]:
    """Return a line for each secret in a profile: it is kept in every session, so it must hold none."""
    places = dict.fromkeys(key_path(found.place) for found in secrets_in_document(document))
    return [f"{place}: {NOT_HERE}, since a profile is kept in every session" for place in places]


def nul_mistakes(document: dict[str, Any]) -> list[str]:
    """Return a line for each text with a NUL: no command line, environment or path of a file can hold one."""
    places = dict.fromkeys(key_path(place) for place in _places_of_nul(document, ()))
    return [f"{place}: found a NUL character, expected text without" for place in places]


def _places_of_nul(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, str) and "\0" in value:
        yield place
    elif isinstance(value, dict):
        for key, inner in value.items():
            if "\0" in key:
                yield (*place, key)
            yield from _places_of_nul(inner, (*place, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _places_of_nul(inner, (*place, number))


def key_path(place: tuple[str | int, ...]) -> str:
    """Return a place as a profile's reader writes it, e.g. load.users[2]."""
    path = ""
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return safe_line(path, limit=100)


def _tables(document: dict[str, Any]) -> str:
    present = [f"[{name}]" for name in ("server", "attach", "simulator") if name in document]
    engine = document.get("engine")
    if isinstance(engine, str):
        present.append(f'engine = "{safe_line(engine, limit=20)}"')
    return f"profile: found {' and '.join(present) or 'none'}"


def _reason(mistake: ErrorDetails) -> str:
    limits = mistake.get("ctx", {})
    if mistake["type"] == "value_error":
        return str(limits.get("error", mistake["msg"]))
    words = _EXPECTED_BY_TYPE.get(mistake["type"])
    return f"expected {words.format_map(limits)}" if words else f"expected it valid: {mistake['msg']}"


def _shown(place: tuple[int | str, ...], value: object) -> str:
    names = [part for part in place if isinstance(part, str)]
    if any(mentions_secret(name) for name in names) and isinstance(value, str):
        return "a value that is not shown here"
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            if secrets_in_text(value):
                return "a value that is not shown here"
            return f'"{safe_line(value[:1000], limit=_VALUE_LIMIT)}"'
        case list():
            return f"a list of {len(value)}" if value else "an empty list"
        case dict():
            return "a table"
        case int() if abs(value) >= 10**30:  # may be beyond all floats
            return f"a whole number of some {value.bit_length() * 3 // 10 + 1} digits"
        case int() | float():
            return safe_line(str(value) if abs(value) < 1e30 else f"{value:.3e}", limit=_VALUE_LIMIT)
        case _:
            return f"a {type(value).__name__}"


def _model_of(field: FieldInfo | None) -> type[BaseModel] | None:
    if field is None:
        return None
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _field(place: tuple[int | str, ...]) -> FieldInfo | None:
    model: type[BaseModel] | None = Profile
    field = None
    for part in place:
        if model is None:
            return field
        field = model.model_fields.get(str(part))
        model = _model_of(field)
    return field


def _table_keys(place: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the table around `place` may have."""
    model = _model_of(_field(place[:-1])) if len(place) > 1 else Profile
    return list(model.model_fields) if model else []


def _known_keys(place: tuple[int | str, ...]) -> str:
    keys = _table_keys(place)
    return f"one of {safe_line(', '.join(keys), limit=_KEYS_LIMIT)}" if keys else "no such key"


def _all_keys() -> dict[str, list[str]]:
    """Return the paths of all keys of a profile by their last name."""
    paths: dict[str, list[str]] = {}
    for name, field in Profile.model_fields.items():
        paths.setdefault(name, []).append(name)
        for inner in getattr(_model_of(field), "model_fields", ()):
            paths.setdefault(inner, []).append(f"{name}.{inner}")
    return paths


def _nearest_key(place: tuple[int | str, ...]) -> str:
    *table, last = place
    here = _nearest(str(last), _table_keys(place), prefix=key_path(tuple(table)) + "." if table else "")
    if here:
        return here
    paths = _all_keys()
    return did_you_mean(str(last).replace("-", "_"), paths, cutoff=0.75, shown=lambda key: paths[key][0])


def _nearest(word: str, known: list[str], *, prefix: str = "", quote: str = "") -> str:
    return did_you_mean(word, known, cutoff=0.55, shown=lambda each: f"{prefix}{quote}{each}{quote}")


def _enum_members(place: tuple[int | str, ...]) -> list[StrEnum]:
    field = _field(place)
    annotation = field.annotation if field else None
    return list(annotation) if isinstance(annotation, type) and issubclass(annotation, StrEnum) else []


def _words_for(field: FieldInfo | None) -> str:
    annotation = field.annotation if field else None
    if isinstance(annotation, type):
        if issubclass(annotation, StrEnum):
            return "one of " + ", ".join(f'"{member}"' for member in annotation)
        if issubclass(annotation, str):
            return "a text"
        if issubclass(annotation, float | int):
            return "a number"
    return "a value"
