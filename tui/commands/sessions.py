"""`vramp sessions` and `vramp export`: what is kept."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from tui.core.errors import UsageError
from tui.core.printing import ProgressLine, narrate, tell
from tui.core.safe_text import safe_line


@click.group(invoke_without_command=True)
@click.pass_context
def sessions(context: click.Context) -> None:
    """What is kept: list, show, note, rename, pack, rm."""
    if context.invoked_subcommand is None:
        context.invoke(list_sessions)


@sessions.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--profile", default="", help="Those of this profile.")
@click.option("--since", default="", metavar="DATE|AGE", help="Those begun since: 2026-11-20, or 12h, 30d, 2w ago.")
@click.option("--outcome", default="", help="ended, killed, failed, or how a cell ended: oom-kv, timeout, ...")
@click.option("--text", default="", help="Those that say this in their name, note, profile or end.")
def list_sessions(as_json: bool = False, profile: str = "", since: str = "", outcome: str = "", text: str = "") -> None:
    """List the sessions, latest first; of several conditions all must hold."""
    from tui.session import history, shelf

    begun = history.moment_of(since, datetime.now(UTC)) if since else None
    known = shelf.list_sessions()
    found = history.matching(known, history.Wanted(profile, begun, outcome, text))
    if as_json:
        tell(shelf.as_json(found))
    else:
        tell(shelf.as_table(found) if found or not known else f"none of the {len(known)} sessions is as asked")


@sessions.command(name="show")
@click.argument("session")
def show_session(session: str) -> None:
    """Show the grid of a SESSION."""
    from tui.session import shelf
    from tui.session.grid_table import grid_table
    from tui.session.judged import session_beside
    from tui.session.kept_profile import cells_of_sweep
    from tui.session.reader import SessionReader

    with SessionReader(shelf.find(session)) as reader:
        tell(grid_table(reader.meta, cells_of_sweep(reader), session_beside(reader.meta)))


@sessions.command(name="rm")
@click.argument("session_ids", metavar="[SESSION]...", nargs=-1)
@click.option("--older-than", metavar="AGE", help="All that were written last before so long: 30d, 2w, 12h.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove_sessions(session_ids: tuple[str, ...], older_than: str | None, yes: bool) -> None:
    """Remove sessions with their logs; a running one is refused."""
    from tui.session import history, shelf

    if bool(session_ids) == (older_than is not None):
        raise UsageError("name either sessions or --older-than")
    if older_than is None:
        for session in session_ids:
            narrate(f"removed {shelf.remove(shelf.find(session))}")
        return
    old = history.older_than(history.age_of(older_than), datetime.now(UTC))
    if not old:
        narrate(f"no session is older than {older_than}")
        return
    if not yes:
        _ask_to_remove(old)
    for path in old:
        narrate(f"removed {shelf.remove(path)}")


def _ask_to_remove(old: Sequence[Path]) -> None:
    """Go on only where somebody at a terminal says so."""
    for path in old:
        narrate(path.stem)
    many = "1 session" if len(old) == 1 else f"{len(old)} sessions"
    if not sys.stdin.isatty():
        raise UsageError(f"{many} would be removed; --yes does it without being asked")
    click.confirm(f"remove {many} with all logs", default=False, err=True, abort=True)


@sessions.command(name="note")
@click.argument("session")
@click.argument("text", nargs=-1)
def note_session(session: str, text: tuple[str, ...]) -> None:
    """Write TEXT into a SESSION as its note, which lists and reports show; without TEXT, take it away."""
    from tui.session import history, shelf

    path = shelf.find(session)
    kept = history.note(path, " ".join(text))
    narrate(f"{path.stem}: {kept or 'no note'}")


@sessions.command(name="rename")
@click.argument("session")
@click.argument("name")
def rename_session(session: str, name: str) -> None:
    """Give a SESSION, with its logs, another NAME."""
    from tui.session import history, shelf

    tell(history.rename(shelf.find(session), name))


@sessions.command(name="pack")
@click.argument("session")
@click.option(
    "--out", "-o", "out", type=click.Path(path_type=Path, dir_okay=False), help="Default: the session's name, .zip."
)
@click.option("--without-requests", is_flag=True, help="Leave out the file that lists each request.")
def pack_session(session: str, out: Path | None, without_requests: bool) -> None:
    """Make one archive of a SESSION to send to somebody: export, report and logs, secrets made unreadable."""
    from tui.report.pack import default_name, pack
    from tui.session import shelf

    path = shelf.find(session)
    bar = ProgressLine()
    try:
        packed = pack(path, out or default_name(path), bar.draw, requests=not without_requests)
    finally:
        bar.draw("")
    if packed.hidden:
        narrate(f"made unreadable at {packed.hidden} places: what looks like a secret")
    tell(packed.path)


@click.command()
@click.argument("session")
@click.option(
    "--format",
    "form",
    type=click.Choice(["toml", "csv", "md", "html", "parquet", "vllm", "llm-d"]),
    multiple=True,
    help="Default: toml and csv.",
)
@click.option("--out", "out_dir", type=click.Path(path_type=Path, file_okay=False), help="Default: the session's name.")
@click.option("--damaged", is_flag=True, help="Even where the file was altered since it was closed.")
def export(session: str, form: tuple[str, ...], out_dir: Path | None, damaged: bool) -> None:
    """Export a SESSION (or its file): TOML, CSV, Parquet, the grid as Markdown or HTML, cells as other tools' files."""
    from tui.session import shelf
    from tui.session.export import export_folder, export_session

    path = shelf.find(session)
    folder = out_dir or Path(export_folder(path))
    bar = ProgressLine()
    written = export_session(
        path,
        folder,
        formats=form or ("toml", "csv"),
        damaged=damaged,
        on_progress=lambda share: bar.draw(f"[{'#' * round(20 * share):.<20}] {share:.0%} of the requests"),
    )
    bar.draw("")
    for file in written:
        tell(safe_line(str(file)))
