"""What the command line changes in a profile, checked as strictly as the profile itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from tui.core.errors import ProfileError, UsageError
from tui.core.nearest import did_you_mean
from tui.profile.engine_names import SIMULATED
from tui.profile.mistakes import describe, secret_mistakes
from tui.profile.schema import Endpoint, Mode, Profile, ServerTable
from tui.profile.simulator_table import ServedAs, SimulatorTable


@dataclass(frozen=True, slots=True)
class Overrides:
    """Options that win over the profile; None leaves it as it is."""

    users: list[int] | None = None
    prompt_tokens: list[int] | None = None
    output_tokens: int | None = None
    mode: str | None = None
    rate_per_s: float | None = None
    arrivals: str | None = None
    duration_s: float | None = None
    warm_up_s: float | None = None
    repeats: int | None = None
    precision: float | None = None
    request_timeout_s: float | None = None
    hosts: str | list[str] | None = None
    attach_url: str | None = None
    api_key_env: str | None = None
    model: str | None = None
    reference: dict[str, str] | None = None
    """The `[reference]` table."""


_LOAD_KEYS = (
    "users",
    "prompt_tokens",
    "output_tokens",
    "mode",
    "rate_per_s",
    "arrivals",
    "duration_s",
    "warm_up_s",
    "repeats",
    "precision",
    "request_timeout_s",
    "hosts",
)


_OF_MODES = {
    "rate_per_s": ("--rate", (Mode.RATE,)),
    "arrivals": ("--arrivals", (Mode.RATE,)),
    "duration_s": ("--duration", (Mode.STEADY, Mode.RATE)),
    "warm_up_s": ("--warm-up", (Mode.STEADY, Mode.RATE)),
    "repeats": ("--repeats", (Mode.BURST, Mode.RATE)),
}
"""Options that only some modes heed."""
_NEGATIVE = re.compile(r"-[\d.]")
"""A value, though it begins as a flag does."""


def apply(profile: Profile, overrides: Overrides) -> Profile:
    """Return the profile with the options applied. Raises ProfileError that names every wrong one."""
    document: dict[str, Any] = profile.model_dump(mode="json", exclude_none=True)
    load = document.setdefault("load", {})
    load |= {key: value for key in _LOAD_KEYS if (value := getattr(overrides, key)) is not None}
    if overrides.rate_per_s is not None and overrides.mode is None:
        load["mode"] = "rate"
    if overrides.attach_url is not None:
        _attach(document, overrides.attach_url)
    if overrides.model is not None:
        document["attach" if "attach" in document else "server"]["model"] = overrides.model
    if overrides.api_key_env is not None and "attach" in document:
        document["attach"]["api_key_env"] = overrides.api_key_env
    if overrides.reference is not None:
        document["reference"] = overrides.reference
    mistakes = secret_mistakes(document)
    if load.get("mode") == Mode.RATE and "rate_per_s" not in load:
        mistakes.append('--rate: found nothing, expected a number with mode = "rate" (in the profile: load.rate_per_s)')
        load["rate_per_s"] = 1.0  # so that the rest is looked at as well
    try:
        changed = Profile.model_validate(document)
    except ValidationError as error:
        mistakes = [describe(mistake, document) for mistake in error.errors(include_url=False)] + mistakes
    if mistakes:
        raise ProfileError([f"{profile.name} with the given options: {mistake}" for mistake in mistakes])
    return changed


def without_effect(overrides: Overrides, modes: Collection[Mode]) -> list[str]:
    """Return, in sentences, which options say nothing where cells are measured in these modes."""
    return [
        f"{option} has no effect here: it is for mode {' and '.join(told)}"
        for key, (option, told) in _OF_MODES.items()
        if getattr(overrides, key) is not None and not any(mode in told for mode in modes)
    ]


def with_arguments(profile: Profile, arguments: Mapping[str, str]) -> Profile:
    """Return a launching profile with these arguments of its server in place of its own, by flags without dashes."""
    server = profile.server
    assert server is not None
    wanted = {_flag_name(flag): _value(text) for flag, text in arguments.items()}
    args = {flag: value for flag, value in server.args.items() if _flag_name(flag) not in wanted}
    table = server.model_copy(
        update={"args": {**args, **wanted}, "extra_args": _without(server.extra_args, frozenset(wanted))}
    )
    return profile.model_copy(update={"server": table})


def arguments_in_words(arguments: Mapping[str, str]) -> str:
    """Return arguments as they stand on a command line, by flags without dashes."""
    return " ".join(f"--{flag} {value}".rstrip() for flag, value in arguments.items())


def given_argument(server: ServerTable, flag: str) -> str | None:
    """Return the value that a profile gives an argument, in `args` or `extra_args`; None where it gives none."""
    words = server.extra_args
    for place in reversed(range(len(words))):
        name, equals, value = words[place].partition("=")
        if name.startswith("--") and _flag_name(name) == flag:
            return value if equals else words[place + 1] if place + 1 < len(words) else ""
    return next((str(value) for name, value in server.args.items() if _flag_name(name) == flag), None)


def _flag_name(flag: str) -> str:
    return flag.lstrip("-").replace("_", "-")


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _without(words: Sequence[str], flags: Collection[str]) -> list[str]:
    """Return words of a command line without these flags and their values."""
    kept: list[str] = []
    skipping = False
    for word in words:
        if word.startswith("-") and not _NEGATIVE.match(word):
            skipping = _flag_name(word.partition("=")[0]) in flags
        if not skipping:
            kept.append(word)
    return kept


def served_as(name: str) -> ServedAs:
    """Return the serving system of this name that can be simulated. Raises UsageError with the nearest one."""
    try:
        return ServedAs(name)
    except ValueError:
        there = [each.value for each in ServedAs]
        hint = did_you_mean(name, there, shown=lambda each: f'"{each}"')
        raise UsageError(f'--engine: found "{name[:40]}", expected one of {", ".join(there)}{hint}') from None


def seen_as(profile: Profile, dialect: ServedAs, endpoints: Sequence[str]) -> Profile:
    """Return a simulated profile whose server is seen as another serving system, asked in a way that this has."""
    table = (profile.simulator or SimulatorTable()).model_copy(update={"dialect": dialect})
    load = profile.load
    if load.endpoint not in endpoints:
        load = load.model_copy(update={"endpoint": Endpoint(endpoints[0])})
    title = f"{dialect}: {profile.display_title}"  # the name first: narrow headers cut the end
    return profile.model_copy(update={"simulator": table, "load": load, "title": title})


def spoken_to_as(profile: Profile, engine: str, endpoints: Sequence[str], *, verify: bool) -> Profile:
    """Return an attaching profile for a server of another system, asked in a way that this has.

    `verify`: whether its certificate can be checked.
    """
    load, attach = profile.load, profile.attach
    assert attach is not None
    if load.endpoint not in endpoints:
        load = load.model_copy(update={"endpoint": Endpoint(endpoints[0])})
    attach = attach.model_copy(update={"verify": attach.verify and verify})
    return profile.model_copy(update={"engine": engine, "load": load, "attach": attach})


def _attach(document: dict[str, Any], url: str) -> None:
    """Turn a profile that launches a server into one that loads a running one."""
    document.pop("server", None)
    seen = document.pop("simulator", {}).get("dialect", ServedAs.VLLM.value)
    document["attach"] = {**document.get("attach", {}), "base_url": url}
    if document["engine"] == SIMULATED:
        document["engine"] = seen
