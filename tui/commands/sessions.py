"""`vramp sessions` and `vramp export`: what is kept."""

from __future__ import annotations

from pathlib import Path

import click

from tui.core.printing import ProgressLine, narrate, tell
from tui.core.safe_text import safe_line


@click.group(invoke_without_command=True)
@click.pass_context
def sessions(context: click.Context) -> None:
    """What is kept: list, show, rm."""
    if context.invoked_subcommand is None:
        context.invoke(list_sessions)


@sessions.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_sessions(as_json: bool = False) -> None:
    """List the sessions, latest first."""
    from tui.session import shelf

    tell(shelf.as_json() if as_json else shelf.as_table())


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
@click.argument("session_ids", metavar="SESSION...", nargs=-1, required=True)
def remove_sessions(session_ids: tuple[str, ...]) -> None:
    """Remove sessions with their logs; a running one is refused."""
    from tui.session import shelf

    for session in session_ids:
        narrate(f"removed {shelf.remove(shelf.find(session))}")


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
