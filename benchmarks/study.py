"""Makes the published tables again, whole, by vramp itself on their simulated twins, and writes docs/study.md.

    python benchmarks/study.py                     measure all twins, keep what was measured, write page and figures
    python benchmarks/study.py TABLE...            measure these again, and write page and figures
    python benchmarks/study.py --again TABLE...    ask again only for what this machine disturbed
    python benchmarks/study.py --page              write page and figures of what is kept
    python benchmarks/study.py --time-scale 4      modelled time runs so many times faster (default 8; some 12 minutes)

Every cell is a burst through the real load engine against a real HTTP server (`vramp run sim-TABLE`). What this machine
disturbed is asked for again, up to three times, each time at half the scale. The figures need matplotlib, which vramp
itself does not.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tabulate import tabulate  # noqa: E402

from tui.profile.catalogue import PublishedTable, find, published_table, reference_names  # noqa: E402
from tui.simulator.burst import burst  # noqa: E402

PAGE = ROOT / "docs" / "study.md"
RESULTS = ROOT / "docs" / "study"
FIGURES = {"figure-1.svg": "users", "figure-2.svg": "prompt_tokens"}
BEGIN, END = "<!-- begin: benchmarks/study.py -->", "<!-- end: benchmarks/study.py -->"
H200 = "h200-mistral-7b"
"""Our own table, whose steps of 5 ms are played in real time."""
FIGURE_PROMPTS, FIGURE_USERS = 296, 32
"""Figure 1 goes over users at about this prompt size, figure 2 over prompt sizes at these users."""
COLUMNS = ("users", "prompt_tokens", "seconds", "outcome", "time_scale", "asked")
MOST_AGAIN = 3
DISTURBED = 1.1

Place = tuple[int, int]


@dataclass(frozen=True)
class Cell:
    """One cell as vramp measured it on the twin."""

    seconds: float | None
    outcome: str
    time_scale: float
    asked: int = 1
    """How often it was measured."""

    @property
    def ok(self) -> bool:
        """Say whether it was answered."""
        return self.outcome == "ok"


Table = dict[Place, Cell]


def tables() -> list[str]:
    """Return the names of all tables: the seven of the study in their order, then our own."""
    published = [name for name in reference_names() if name != H200]
    return [*sorted(published, key=lambda name: _number(name)), H200]


def _number(name: str) -> int:
    path = ROOT / "profiles" / "references" / f"{name}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return int(next(csv.DictReader(file))["table"])


# -- measuring -------------------------------------------------------------------------------------------------------


def measure(name: str, scale: float) -> Table:
    """Return the whole table as vramp measures it on the twin."""
    scale = 1.0 if name == H200 else scale
    return settled(name, run(name, scale, []), scale)


def settled(name: str, table: Table, scale: float) -> Table:
    """Ask again, more slowly, for what this machine disturbed: its client was the limit, or a cell took more than a
    tenth longer than the model. A busy machine only ever adds time, so the least of all times is the truest."""
    scale = 1.0 if name == H200 else scale
    modelled = model_of(name)
    for _ in range(MOST_AGAIN):
        disturbed = [place for place, cell in table.items() if is_disturbed(cell, modelled.get(place))]
        scale = max(1.0, scale / 2)
        for prompt in sorted({place[1] for place in disturbed}):
            column = [place for place in disturbed if place[1] == prompt]
            again = run(name, scale, column)
            table = table | {place: better(table[place], again[place]) for place in column if place in again}
    return table


def is_disturbed(cell: Cell, modelled_s: float | None) -> bool:
    """Say whether a cell tells of this machine rather than of vramp and the twin."""
    if cell.outcome == "client-limit":
        return True
    return cell.ok and cell.seconds is not None and modelled_s is not None and cell.seconds > DISTURBED * modelled_s


def better(cell: Cell, again: Cell) -> Cell:
    """Return the truer of two measurements: an answered one, the shorter of two."""
    asked = cell.asked + 1
    if not again.ok or (cell.ok and (cell.seconds or 0.0) <= (again.seconds or 0.0)):
        return replace(cell, asked=asked)
    return replace(again, asked=asked)


def model_of(name: str) -> dict[Place, float | None]:
    """Return what the bare model of a twin says of every cell; None where it fails."""
    profile = find(f"sim-{name}").profile
    assert profile is not None and profile.simulator is not None
    table, tokens = profile.simulator, profile.load.output_tokens
    return {place: burst(table, *place, tokens).seconds for place in published_table(name).cells}


def run(name: str, scale: float, places: list[Place]) -> Table:
    """Run the sweep of the twin, or of the rows and columns of these places alone."""
    with tempfile.TemporaryDirectory(prefix="vramp-study-") as folder:
        homes = {f"XDG_{kind}_HOME": f"{folder}/{kind.lower()}" for kind in ("DATA", "CONFIG", "STATE", "CACHE")}
        command = [sys.executable, "-m", "tui", "run", f"sim-{name}", "--time-scale", f"{scale:g}", "--json", "--quiet"]
        for option, axis in (("--users", 0), ("--prompt-tokens", 1)):
            if places:
                command += [option, ",".join(str(value) for value in sorted({place[axis] for place in places}))]
        done = subprocess.run(command, cwd=ROOT, env=os.environ | homes, capture_output=True, text=True)
    if done.returncode not in (0, 5):
        raise SystemExit(f"{name}: vramp run ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return {
        (cell["users"], cell["prompt_tokens"]): Cell(cell["time_to_resolve_s"], cell["outcome"], scale)
        for cell in json.loads(done.stdout)["cells"]
    }


def keep(name: str, table: Table) -> None:
    """Write what was measured."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (users, prompt), cell in sorted(table.items()):
            seconds = "" if cell.seconds is None else f"{cell.seconds:.4f}"
            writer.writerow([users, prompt, seconds, cell.outcome, f"{cell.time_scale:g}", cell.asked])


def kept(name: str) -> Table:
    """Return what was measured before."""
    with (RESULTS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return {(int(row["users"]), int(row["prompt_tokens"])): _cell(row) for row in csv.DictReader(file)}


def _cell(row: dict[str, str]) -> Cell:
    seconds = float(row["seconds"]) if row["seconds"] else None
    return Cell(seconds, row["outcome"], float(row["time_scale"]), int(row["asked"]))


# -- the report ------------------------------------------------------------------------------------------------------


def errors(measured: Table, published: PublishedTable) -> dict[Place, float]:
    """Return the relative error of each cell that was answered both times."""
    return {
        place: cell.seconds / there.seconds - 1
        for place, cell in measured.items()
        if cell.ok and cell.seconds is not None
        if (there := published.cells.get(place)) is not None and there.outcome == "ok" and there.seconds
    }


def over_model(name: str, measured: Table) -> float:
    """Return by how much the median cell over HTTP differs from the model itself: what the way through vramp adds."""
    pure = model_of(name)
    apart = [
        cell.seconds / model_s - 1
        for place, cell in measured.items()
        if cell.ok and cell.seconds is not None and (model_s := pure.get(place)) is not None
    ]
    return median(apart)


def summary_rows() -> list[list[str]]:
    """Return a row for each table: cells, median and worst error, failed cells."""
    rows = []
    for name in tables():
        measured, published = kept(name), published_table(name)
        found = errors(measured, published)
        worst = max(found, key=lambda place: abs(found[place]))
        failed_there = {place for place, cell in published.cells.items() if cell.outcome != "ok"}
        alike = sum(not measured[place].ok for place in failed_there if place in measured)
        rows.append(
            [
                name,
                f"{len(found)} of {len(published.cells) - len(failed_there)}",
                f"{median(abs(error) for error in found.values()):.1%}",
                f"{found[worst]:+.1%}".replace("-", "−"),
                f"{worst[0]} x {worst[1]}",
                f"{alike} of {len(failed_there)}",
                f"{over_model(name, measured):+.1%}".replace("-", "−"),
            ]
        )
    return rows


def failed_rows() -> list[list[str]]:
    """Return each cell that failed here or there, one by one."""
    rows = []
    for name in tables():
        measured, published = kept(name), published_table(name)
        for place in sorted({*measured, *published.cells}):
            here, there = measured.get(place), published.cells.get(place)
            if here is not None and here.ok and there is not None and there.outcome == "ok":
                continue
            said_there = "not in it" if there is None else f"{there.seconds:g} s" if there.outcome == "ok" else "failed"
            said_here = "not measured" if here is None else f"{here.seconds:.2f} s" if here.ok else here.outcome
            rows.append([name, f"{place[0]} x {place[1]}", said_there, said_here])
    return rows


def table_of(name: str) -> str:
    """Return a table: published → made again, and by how much it differs."""
    measured, published = kept(name), published_table(name)
    users = sorted({place[0] for place in published.cells})
    prompts = sorted({place[1] for place in published.cells})
    rows = [[str(n), *(_both(measured.get((n, p)), published, (n, p)) for p in prompts)] for n in users]
    title = f"{published.model}, {published.gpus}"
    return f"### {name}\n\n{title}.\n\n{_table(rows, ['users', *(f'{prompt} tokens' for prompt in prompts)])}"


def _both(here: Cell | None, published: PublishedTable, place: Place) -> str:
    there = published.cells[place]
    before = f"{there.seconds:g}" if there.outcome == "ok" and there.seconds else "failed"
    now = "–" if here is None else f"{here.seconds:.3g}" if here.ok and here.seconds is not None else here.outcome
    error = errors({place: here}, published).get(place) if here is not None else None
    return f"{before} → {now}" + ("" if error is None else f" ({error:+.0%})".replace("-", "−"))


def blocks() -> str:
    """Return all that the page says of the figures."""
    heads = ["table", "cells", "median error", "worst", "users x tokens", "failed alike", "over the model"]
    cells = [cell for name in tables() for cell in kept(name).values()]
    scales = ", ".join(f"{scale:g}" for scale in sorted({cell.time_scale for cell in cells}))
    again = sum(cell.asked > 1 for cell in cells)
    return "\n\n".join(
        (
            f"Modelled time ran {scales} times as fast as real time. Asked again were {again} of {len(cells)} cells.",
            _table(summary_rows(), heads),
            "## Every cell that failed, here or there",
            _table(failed_rows(), ["table", "users x tokens", "published", "made again"]),
            "## The tables\n\nTime to resolve, s: published → made again (error).",
            *(table_of(name) for name in tables()),
        )
    )


def page_with(text: str, content: str) -> str:
    """Return the page with the content between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{content}\n{END}{tail}"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


# -- the figures -----------------------------------------------------------------------------------------------------


def lines_of(name: str, over: str) -> tuple[list[int], list[float | None], list[float | None]]:
    """Return what a figure shows of a table: its axis, the published seconds, those made again; None where failed."""
    measured, published = kept(name), published_table(name)
    axis_at, fixed_at = (0, 1) if over == "users" else (1, 0)
    wanted = FIGURE_PROMPTS if over == "users" else FIGURE_USERS
    fixed = min({place[fixed_at] for place in published.cells}, key=lambda value: abs(value - wanted))
    places = sorted((place for place in published.cells if place[fixed_at] == fixed), key=lambda place: place[axis_at])
    there = [published.cells[place] for place in places]
    here = [measured.get(place) for place in places]
    return (
        [place[axis_at] for place in places],
        [cell.seconds if cell.outcome == "ok" else None for cell in there],
        [cell.seconds if cell is not None and cell.ok else None for cell in here],
    )


def draw(over: str, path: Path) -> None:
    """Draw the seven tables of the study over one axis: published as points, made again as lines."""
    import matplotlib  # type: ignore[import-not-found,unused-ignore]

    matplotlib.use("svg")
    import matplotlib.pyplot as plt  # type: ignore[import-not-found,unused-ignore]

    matplotlib.rcParams |= {
        "svg.hashsalt": "vramp",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
    }
    figure, axes = plt.subplots(figsize=(8.5, 5.2), layout="constrained")
    for place, name in enumerate(name for name in tables() if name != H200):
        axis, there, here = lines_of(name, over)
        colour = f"C{place}"
        axes.plot(axis, [value or float("nan") for value in here], color=colour, linewidth=1.4, label=name)
        axes.plot(
            axis, [value or float("nan") for value in there], color=colour, linestyle="none", marker="o", markersize=4
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    ticks = lines_of(tables()[0], over)[0]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks([1, 2, 5, 10, 20, 50, 100, 200], ["1", "2", "5", "10", "20", "50", "100", "200"])
    about = f"about {FIGURE_PROMPTS} prompt tokens" if over == "users" else f"{FIGURE_USERS} users"
    axes.set_xlabel("users at once" if over == "users" else "prompt tokens")
    axes.set_ylabel("time to resolve 100 tokens, s")
    axes.set_title(f"{about}: published (points), made again on the simulated twins (lines)", fontsize=10)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Measure, keep, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="which to measure; default: all")
    parser.add_argument("--again", action="store_true", help="keep what was measured, but for what was disturbed")
    parser.add_argument("--page", action="store_true", help="measure nothing")
    parser.add_argument("--time-scale", type=float, default=8.0)
    options = parser.parse_args()
    if unknown := set(options.tables) - set(tables()):
        parser.error(f"no such table: {', '.join(sorted(unknown))}; there are {', '.join(tables())}")
    for name in [] if options.page else options.tables or tables():
        print(name, file=sys.stderr, flush=True)
        scale = options.time_scale
        keep(name, settled(name, kept(name), scale) if options.again else measure(name, scale))
    for name, over in FIGURES.items():
        draw(over, RESULTS / name)
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), blocks()), encoding="utf-8")


if __name__ == "__main__":
    main()
