"""Which names and values are secrets: they are neither echoed in messages nor accepted in a profile.

A profile is kept in every session and every export, so a key belongs in the environment and only its variable's
name in the profile.
"""

from __future__ import annotations

import re
from typing import Any

_SECRET_WORDS = frozenset(
    {"token", "key", "apikey", "password", "passwd", "passphrase", "secret", "credential", "credentials", "auth"}
)
_SECRET_VALUE = re.compile(r"^(sk-|hf_|gh[pousr]_|glpat-|xox[abpr]-|AKIA|Bearer\s)|://[^/\s@]+@")
_EXPECTED = "expected it in vramp's own environment, since a profile is kept in every session"


def is_secret_name(name: str) -> bool:
    """Say whether a key of this name holds a secret, e.g. "api-key", "HF_TOKEN"; "prompt_tokens" does not."""
    return not _SECRET_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def is_secret_value(value: str) -> bool:
    """Say whether a text looks like a key of a well-known form, or is a URL that bears a password."""
    return _SECRET_VALUE.search(value) is not None


def secrets_in(document: dict[str, Any]) -> list[str]:
    """Return a line "KEY: found ..., expected ..." for each secret that a profile's document holds."""
    problems: list[str] = []
    attach = document.get("attach")
    if isinstance(attach, dict):
        # A key that was pasted where the name of its variable belongs may look like a name.
        pasted = [name for name, value in attach.items() if isinstance(value, str) and is_secret_value(value)]
        problems += [f"attach.{name}: found a secret, {_EXPECTED}" for name in pasted]
    server = document.get("server")
    if not isinstance(server, dict):
        return problems
    for table in ("args", "env"):
        values = server.get(table)
        if not isinstance(values, dict):
            continue
        for name, value in values.items():
            if isinstance(value, str) and value and (is_secret_name(name) or is_secret_value(value)):
                problems.append(f"server.{table}.{name}: found a secret, {_EXPECTED}")
    for table in ("extra_args", "executable"):
        words = server.get(table)
        if isinstance(words, list):
            problems += [f"server.{table}[{at}]: found a secret, {_EXPECTED}" for at in _secret_arguments(words)]
    return problems


def _secret_arguments(words: list[Any]) -> list[int]:
    """Return where a command line holds a secret: after a flag such as --api-key, or joined to it by "="."""
    places: list[int] = []
    after_secret_flag = False
    for at, word in enumerate(words):
        if not isinstance(word, str):
            after_secret_flag = False
            continue
        flag, joined, value = word.partition("=")
        is_flag = word.startswith("-")
        if (
            (after_secret_flag and not is_flag)
            or is_secret_value(word)
            or (is_flag and joined and value and is_secret_name(flag))
        ):
            places.append(at)
        after_secret_flag = is_flag and not joined and is_secret_name(flag)
    return places
