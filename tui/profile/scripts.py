"""Scripts for an audience in files of their own: the `[[demo.step]]` of a profile, and a title."""

from __future__ import annotations

from pathlib import Path

from tui.core.errors import ProfileError, UsageError
from tui.core.safe_text import safe_line
from tui.profile.catalogue import shipped_profiles_dir
from tui.profile.demo_table import DemoTable
from tui.profile.loader import parse_profile, parse_toml_of, read_text

_KEYS = ("title", "demo")
# A script is checked as the part of a profile that it is, so that its mistakes are told in the same way.
_AROUND = {"name": "script", "engine": "openai", "attach": {"base_url": "http://127.0.0.1"}}


def shipped_scripts() -> list[str]:
    """Return the names of the scripts that come along."""
    return sorted(path.stem for path in (shipped_profiles_dir() / "scripts").glob("*.toml"))


def is_script(path: Path) -> bool:
    """Say whether a file is a script and no profile. Raises ProfileError for what is no TOML."""
    document = parse_toml_of(read_text(path), str(path))
    return "demo" in document and "engine" not in document


def load_script(named: str) -> DemoTable:
    """Return the script in a file, or the shipped one of that name. Raises UsageError with all mistakes."""
    path = Path(named)
    shipped = shipped_profiles_dir() / "scripts" / f"{named}.toml"
    if not path.suffix and not path.exists():
        if named not in shipped_scripts():
            raise UsageError(
                f"{safe_line(named, limit=80)}: found no such script, expected a file, or one of"
                f" {', '.join(shipped_scripts())}"
            )
        path = shipped
    return check_script(path)


def check_script(path: Path) -> DemoTable:
    """Return the script in `path`. Raises ProfileError with all mistakes, one line each."""
    source, text = str(path), read_text(path, "a script (TOML)")
    document = parse_toml_of(text, source)
    unknown = [key for key in document if key not in _KEYS]
    if unknown or "demo" not in document:
        found = f"{safe_line(unknown[0], limit=60)}: found an unknown key" if unknown else "demo: found nothing"
        raise ProfileError([f"{safe_line(source, limit=200)}: {found}, expected title and [[demo.step]]"])
    table = parse_profile(document | _AROUND, source).demo
    assert table is not None
    return table
