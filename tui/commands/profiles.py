"""`vramp profiles`: what can be served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.core.errors import ExitCode, ProfileError, UsageError
from tui.core.printing import narrate, tell
from tui.core.safe_text import safe_line

if TYPE_CHECKING:
    from tui.profile.catalogue import ProfileEntry


def known_profile(name: str) -> ProfileEntry:
    """Return a profile of the catalogue, or of a path. Raises ProfileError for one with mistakes."""
    from tui.core.errors import ProfileError
    from tui.profile.catalogue import find

    entry = find(name)
    if entry.profile is None:
        raise ProfileError(entry.problems)
    return entry


@click.group(invoke_without_command=True)
@click.pass_context
def profiles(context: click.Context) -> None:
    """What can be served: list, show, check, new, import."""
    if context.invoked_subcommand is None:
        context.invoke(list_profiles)


@profiles.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_profiles(as_json: bool = False) -> None:
    """List the profiles, your own first."""
    import json

    from tabulate import tabulate

    from tui.profile.catalogue import entries, summary_row

    rows = [summary_row(entry) for entry in entries()]
    tell(json.dumps(rows) if as_json else tabulate(rows, headers="keys", disable_numparse=True))


@profiles.command(name="show")
@click.argument("name")
def show_profile(name: str) -> None:
    """Print a profile as it is written, and the command that it would run."""
    from tui.preflight import preflight
    from tui.profile.catalogue import profile_text

    entry = known_profile(name)
    tell(profile_text(entry))
    assert entry.profile is not None
    answer = preflight(entry.profile, profile_path=entry.path)
    narrate(f"{answer.state}: {answer.command_line}")
    for missing in answer.missing:
        narrate(f"missing: {missing}")


@profiles.command(name="check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def check_profiles(files: tuple[str, ...]) -> int:
    """Tell every mistake of every FILE."""
    from tui.engines.catalogue import mistakes_in
    from tui.profile.catalogue import find
    from tui.profile.scripts import check_script, is_script

    wrong = 0
    for name in files:
        try:
            if Path(name).is_file() and is_script(Path(name)):
                check_script(Path(name))
                tell(f"{name}: fine")
                continue
            entry = find(name)
            own = mistakes_in(entry.profile) if entry.profile is not None else []
            problems = entry.problems + [f"{entry.path}: {mistake}" for mistake in own]
        except ProfileError as error:
            problems = error.problems
        except UsageError as error:  # no such profile: the others are looked at all the same
            problems = [str(error)]
        wrong += bool(problems)
        tell("\n".join(problems) if problems else f"{name}: fine")
    return ExitCode.USAGE if wrong else ExitCode.OK


@profiles.command(name="new")
@click.argument("name")
def new_profile(name: str) -> None:
    """Write a profile to start from into your own folder."""
    from tui.profile.catalogue import new_profile as write_new

    tell(safe_line(str(write_new(name))))


@profiles.command(name="import")
@click.argument("config", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--name", help="Default: the name of the file.")
def import_profile(config: Path, name: str | None) -> None:
    """Make a profile of a FILE as `vllm serve --config` reads it (YAML)."""
    from tui.engines.catalogue import mistakes_in
    from tui.profile.imported_config import import_config

    tell(safe_line(str(import_config(config, name, mistakes_in))))
