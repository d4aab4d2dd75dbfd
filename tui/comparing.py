"""`vramp compare`: reads what is named, prints the comparison, and says which gates fail.

stdout is data (the comparison), stderr is narration (the gates).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tui.core.errors import ExitCode, SessionError, UsageError
from tui.core.files import atomic_file
from tui.core.nearest import did_you_mean
from tui.core.printing import ProgressLine, complain, narrate, tell, tell_painted
from tui.metrics.cell_figures import COMPARED
from tui.metrics.comparison import Comparison, compare
from tui.metrics.gate import Gate, failures, parse_gate
from tui.report.comparison_page import comparison_page
from tui.session.comparison_data import as_csv, as_json, as_toml
from tui.session.comparison_text import lines, markdown
from tui.session.sides import MOST_SIDES, read_file, read_sides

FORMATS = ("toml", "csv", "md", "html", "json")


def run(
    wanted: Sequence[str],
    *,
    form: str | None = None,
    figures: Sequence[str] = (),
    gates: Sequence[str] = (),
    out_file: Path | None = None,
) -> ExitCode:
    """Compare the first of what is named with each of the others; return GATE where a gate fails.

    Raises UsageError (a gate or a figure that is none, fewer than two names), SessionError (what cannot be read).
    """
    parsed = [_gate(text) for text in gates]
    drawn = [_figure(name) for name in figures]
    bar = ProgressLine()
    try:
        comparison = compare(read_sides(wanted, lambda name: bar.draw(f"reading {name}")))
        failed = [said for gate in parsed for said in failures(gate, comparison)]
        bar.draw("comparing")
        text = None
        if form is not None or out_file is not None:
            text = _rendered(comparison, form or _form_of(out_file), drawn, failed)
    finally:
        bar.draw("")
    if out_file is not None and text is not None:
        with atomic_file(out_file) as file:
            file.write(text)
        narrate(f"written: {out_file}")
    elif text is not None:
        tell(text.removesuffix("\n"))
    else:
        tell_painted(lines(comparison, drawn))
    return _judged(parsed, failed)


def _judged(gates: Sequence[Gate], failed: Sequence[str]) -> ExitCode:
    """Say which gates fail; return GATE where one does."""
    for said in failed:
        complain(said)
    if failed:
        return ExitCode.GATE
    for gate in gates:
        narrate(f"passed: {gate} holds in no cell")
    return ExitCode.OK


def conclude(session_files: Sequence[Path]) -> None:
    """Print how the sessions of one run compare, the first being the base; those without any cell are left out."""
    sides = []
    for path in session_files:
        try:
            side = read_file(path)
        except SessionError as error:
            complain(error)
            continue
        if side.cells:
            sides.append(side)
    if len(sides) > 1:
        tell("")
        tell_painted(lines(compare(sides[:MOST_SIDES])))


def _rendered(comparison: Comparison, form: str, figures: Sequence[str], failed: Sequence[str]) -> str:
    render: dict[str, Callable[[], str]] = {
        "toml": lambda: as_toml(comparison),
        "csv": lambda: as_csv(comparison),
        "json": lambda: as_json(comparison) + "\n",
        "md": lambda: markdown(comparison, figures),
        "html": lambda: comparison_page(comparison, figures, failed),
    }
    return render[form]()


def _form_of(path: Path | None) -> str:
    form = "" if path is None else path.suffix.removeprefix(".").lower()
    if form not in FORMATS:
        raise UsageError(f"--out: found {path}, expected a name that ends in one of {', '.join(FORMATS)}, or --format")
    return form


def _gate(text: str) -> Gate:
    try:
        return parse_gate(text)
    except ValueError as error:
        raise UsageError(f"--fail-if: {error}") from None


def _figure(name: str) -> str:
    names = [figure.field for figure in COMPARED]
    if name not in names:
        hint = did_you_mean(name, names, otherwise=f"; the figures are {', '.join(names)}")
        raise UsageError(f"--figure: found {name}, which is none{hint}")
    return name
