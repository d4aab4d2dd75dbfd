"""No secret is written: values of secret-looking keys in a profile are taken out of all that a session keeps. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from tui.session.meta import SessionMeta

REDACTED = "(not kept)"

_SECRET_KEY = re.compile(r"(token|key|secret|passw|credential|auth)s?$|passw|secret|api[-_]?key", re.IGNORECASE)
# `api_key_env` names a variable, and token counts are no secrets.
_PUBLIC_KEY = re.compile(r"_env$|(prompt|output|max|batched|num)[-_a-z]*tokens?$", re.IGNORECASE)
_URL_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def without_secrets(meta: SessionMeta) -> SessionMeta:
    """Return `meta` with the secrets of its profile replaced, in every text that may repeat them."""
    try:
        profile = json.loads(meta.profile_json or "{}")
    except ValueError:
        profile = {}
    secrets = sorted({*_secrets(profile)}, key=len, reverse=True)

    def cleaned(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, REDACTED)
        return _URL_USER.sub(REDACTED, text)

    return msgspec.structs.replace(
        meta,
        profile_toml=cleaned(meta.profile_toml),
        profile_json=json.dumps(_mapped(profile, cleaned)) if profile else "",
        command_line=cleaned(meta.command_line),
        environment={
            name: REDACTED if _is_secret(name) else cleaned(value) for name, value in meta.environment.items()
        },
    )


def _is_secret(key: str) -> bool:
    return bool(_SECRET_KEY.search(key)) and not _PUBLIC_KEY.search(key)


def _secrets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str) and inner and _is_secret(key):
                yield inner
            yield from _secrets(inner)
    elif isinstance(value, list):
        for earlier, later in zip(["", *value], value, strict=False):
            yield from _secrets(later)
            if isinstance(later, str):
                yield from _secret_of_argument(earlier, later)


def _secret_of_argument(earlier: object, argument: str) -> Iterator[str]:
    """Both spellings of a command line: `--api-key X` and `--api-key=X`."""
    name, equals, value = argument.partition("=")
    if equals and name.startswith("-") and _is_secret(name) and value:
        yield value
    elif isinstance(earlier, str) and earlier.startswith("--") and "=" not in earlier and _is_secret(earlier):
        yield argument


def _mapped(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return change(value) if isinstance(value, str) else value
