"""`vramp report`: sessions as a page to read and to pass on."""

from __future__ import annotations

from pathlib import Path

import click

from tui.core.printing import ProgressLine, tell


@click.command()
@click.argument("sessions", metavar="SESSION...", nargs=-1, required=True)
@click.option(
    "--out",
    "-o",
    "out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The file to write.",
)
@click.option("--damaged", is_flag=True, help="Even where a file was altered since it was closed.")
def report(sessions: tuple[str, ...], out: Path, damaged: bool) -> None:
    """Write SESSIONs as one HTML page that needs no network: to read on any screen, to print, to pass on."""
    from tui.report.report import write_report
    from tui.session import shelf

    paths = [shelf.find(session) for session in sessions]
    bar = ProgressLine()
    try:
        written = write_report(paths, out, bar.draw, damaged=damaged)
    finally:
        bar.draw("")
    tell(written)
