"""`vramp compare`: grids beside one another."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("sides", metavar="BASE OTHER...", nargs=-1)
@click.option(
    "--fail-if",
    "gates",
    metavar="GATE",
    multiple=True,
    help='Exit with 6 where it holds of a cell, as "tokens_per_s_total < 0.95"; may be given again.',
)
@click.option(
    "--figure", "figures", metavar="NAME", multiple=True, help="Draw the grid of this figure; again for more."
)
@click.option(
    "--format", "form", type=click.Choice(["toml", "csv", "md", "html", "json"]), help="Default: text for a terminal."
)
@click.option("-o", "--out", "out_file", type=click.Path(path_type=Path, dir_okay=False), help="Write into this file.")
def compare(
    sides: tuple[str, ...], gates: tuple[str, ...], figures: tuple[str, ...], form: str | None, out_file: Path | None
) -> int:
    """Compare, cell by cell, each OTHER with BASE: sessions, exports, published tables.

    What the spread of the measures cannot carry is no difference. Conditions that differ come first.
    """
    from tui import comparing

    return comparing.run(sides, form=form, figures=figures, gates=gates, out_file=out_file)
