"""No number of a profile is without bounds: what is beyond all sense is a mistake, not a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tui.core.errors import ProfileError
from tui.profile.loader import parse_profile
from tui.profile.schema import Profile

_LOWER, _UPPER = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
_FREE = ("server.args", "load.body")
"""Tables whose keys are another program's."""


def numbers(schema: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each number that a schema allows, with its place."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if path in _FREE:
        return
    if schema.get("type") in ("integer", "number"):
        yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from numbers(inner, root, f"{path}.{name}".lstrip("."))
    for inner in schema.get("anyOf", []):
        yield from numbers(inner, root, path)
    if isinstance(schema.get("items"), dict):
        yield from numbers(schema["items"], root, f"{path}[]")


SCHEMA = Profile.model_json_schema()
NUMBERS = dict(numbers(SCHEMA, SCHEMA))


def test_the_walk_finds_them() -> None:
    assert {"load.output_tokens", "load.users[]", "server.port", "simulator.step_base_s", "slo.ttft_s"} <= set(NUMBERS)


@pytest.mark.parametrize("place", NUMBERS)
def test_every_number_has_a_least_and_a_greatest(place: str) -> None:
    assert _LOWER & set(NUMBERS[place]), place
    assert _UPPER & set(NUMBERS[place]), place


@pytest.mark.parametrize("value", [str(10**30), "1e30", "-" + str(10**30), str(10**400), "1" + "0" * 5000])
@pytest.mark.parametrize(
    ("table", "key"), [("load", "output_tokens"), ("load", "duration_s"), ("server", "port"), ("load", "seed")]
)
def test_what_is_beyond_all_sense_is_a_mistake_with_its_place(table: str, key: str, value: str) -> None:
    server = '[server]\nmodel = "m"\n'
    text = (
        f'name = "p"\nengine = "vllm"\n{server}' + (f"[{table}]\n" if table != "server" else "") + f"{key} = {value}\n"
    )
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "p.toml")
    assert len(caught.value.problems) == 1
    assert len(caught.value.problems[0]) < 300
