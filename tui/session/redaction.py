"""No secret is written: what the profile holds of them is taken out of all that a session keeps. Pure."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tui.core.known_secrets import hide_known
from tui.core.secrets import (
    NOT_KEPT,
    hide,
    hide_in_document,
    hide_in_text,
    secrets_in_command,
    secrets_in_document,
)
from tui.core.toml_text import parse_toml
from tui.session.meta import SessionMeta


def without_secrets(meta: SessionMeta) -> SessionMeta:
    """Return `meta` with the secrets of its profile replaced, in every text that may repeat them."""
    profile = _document(json.loads, meta.profile_json)
    secrets = set(secrets_in_command(meta.command_line))
    # The profile as it was written may hold more than came of it: a key that the command line overruled.
    for document in (profile, _document(parse_toml, meta.profile_toml)):
        secrets |= {found.secret for found in secrets_in_document(document)}

    def cleaned(text: str) -> str:
        return hide_in_text(hide(hide_known(text, NOT_KEPT), secrets, NOT_KEPT), NOT_KEPT)

    return msgspec.structs.replace(
        meta,
        profile_toml=cleaned(meta.profile_toml),
        profile_json=cleaned(json.dumps(hide_in_document(profile, NOT_KEPT))) if profile else "",
        command_line=cleaned(meta.command_line),
        environment={name: cleaned(value) for name, value in hide_in_document(meta.environment, NOT_KEPT).items()},
    )


def _document(read: Any, text: str) -> dict[str, Any]:
    try:
        document = read(text or "{}") if read is json.loads else read(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
