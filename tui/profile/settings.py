"""The user's settings file: strict as a profile is, and a missing file means the defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tui.core.errors import UsageError
from tui.core.nearest import did_you_mean
from tui.core.paths import config_dir
from tui.core.safe_text import safe_line
from tui.core.toml_text import TomlError, parse_toml

MAX_SETTINGS_BYTES = 256 * 1024


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class PresentationSettings(_Table):
    """How the presentation speaks to its audience."""

    words: Literal["tokens", "words"] = "tokens"
    words_per_token: Annotated[float, Field(gt=0, le=2)] = 0.75
    """English text's usual ratio; stated wherever words are shown."""


class Settings(_Table):
    """What a user prefers, on every machine the file is copied to."""

    theme: str = "vramp-dark"
    refresh_hz: Annotated[float, Field(gt=0, le=10)] = 2.0
    """How many snapshots a second the view asks of its bench."""
    ascii: bool | None = None
    """Draw without braille and box characters; None = where the locale's characters are not UTF-8."""
    keys: dict[str, str] = {}
    """Binding id -> keys, e.g. "quit" -> "q,f10"."""
    leaving_users: Literal["finish", "cut"] = "finish"
    """Whether a user who is taken away finishes the request under way, or is cut off at once."""
    users_after_relaunch: Literal["wait", "return"] = "wait"
    """Whether the users that asked when a server died wait for a key once it is back, or ask again by themselves."""
    unattended_s: Annotated[float, Field(ge=10)] = 600.0
    """A bench of the app that nobody looks at (a dropped line, a killed app) and in which nothing runs ends after so
    long, with its server. One that was detached on purpose goes on."""
    clipboard: Literal["auto", "terminal", "file"] = "auto"
    """Where a copied pane goes: to the terminal (OSC 52), or to a file; auto = by what is known of the terminal."""
    stage: PresentationSettings = PresentationSettings()


def settings_file() -> Path:
    """Return where the settings are looked for; it may not exist."""
    return config_dir() / "settings.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Return the settings. Raises UsageError with one line per mistake, or when the file cannot be read."""
    path = path or settings_file()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SETTINGS_BYTES + 1)
        if len(content) > MAX_SETTINGS_BYTES:
            raise UsageError(f"{path}: found more than {MAX_SETTINGS_BYTES:,} bytes, expected settings (TOML)")
        text = content.decode("utf-8")
    except FileNotFoundError:
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    try:
        return Settings.model_validate(parse_toml(text))
    except TomlError as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        lines = [f"{path}: {_problem(dict(each))}" for each in error.errors()]
        raise UsageError("\n".join(lines)) from error


def _problem(error: dict[str, Any]) -> str:
    *tables, key = (str(part) for part in error["loc"])
    place = safe_line(".".join([*tables, key]), limit=80)
    if error["type"] == "extra_forbidden":
        known = list((PresentationSettings if tables == ["stage"] else Settings).model_fields)
        hint = did_you_mean(key, known, shown=repr, otherwise=f"; expected one of {', '.join(known)}")
        return f"{place}: unknown key{hint}"
    found = safe_line(repr(error["input"]), limit=60)
    return f"{place}: found {found}; {error['msg'][:1].lower()}{error['msg'][1:]}"
