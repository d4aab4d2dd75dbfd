"""Lays our own table of an H200 beside the published ones, for docs/study-h200.md.

    python benchmarks/study_h200.py            print the tables
    python benchmarks/study_h200.py --write    put them into the page

The figures are those of profiles/references/*.csv and, of larger models on the H200, of
docs/study/h200-larger-models.csv: times to resolve 100 output tokens, a burst for each cell.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tabulate import tabulate  # noqa: E402

from tui.profile.catalogue import ReferenceCell, reference_table  # noqa: E402

PAGE = ROOT / "docs" / "study-h200.md"
BEGIN, END = "<!-- begin: benchmarks/study_h200.py -->", "<!-- end: benchmarks/study_h200.py -->"
LIMITS_S = (2.0, 5.0, 10.0)
SAME_MODEL = {"2 x V100": "mistral-7b", "1 x H200": "h200-mistral-7b"}
OTHER_MODELS = {
    "Codestral 22B AWQ, 1 x A100": "codestral-22b-awq",
    "Codestral 22B, 2 x A100": "codestral-22b",
    "Mixtral 8x7B AWQ, 2 x A100": "mixtral-8x7b-awq",
}

LARGER = ROOT / "docs" / "study" / "h200-larger-models.csv"
LARGER_MODELS = {"codestral-22b": "Codestral 22B", "llama-3-70b-awq": "Llama 3 70B AWQ"}

Table = dict[tuple[int, int], ReferenceCell]


def seconds(table: Table, users: int, prompt: int) -> float | None:
    """Return the time to resolve of a cell, None where it failed or has no figure."""
    cell = table[users, prompt]
    return cell.seconds if cell.outcome == "ok" else None


def users_of(table: Table) -> list[int]:
    """Return the users axis."""
    return sorted({users for users, _ in table})


def prompts_of(table: Table) -> list[int]:
    """Return the prompt size axis."""
    return sorted({prompt for _, prompt in table})


def most_users(table: Table, prompt: int, limit_s: float) -> str:
    """Return how many users of the grid are answered within the limit; "≥" where more were not asked."""
    axis = users_of(table)
    fine = [users for users in axis if (found := seconds(table, users, prompt)) is not None and found <= limit_s]
    if not fine:
        return "0"
    return f"≥ {fine[-1]}" if fine[-1] == axis[-1] else str(fine[-1])


def side_by_side() -> str:
    """Return each cell of both tables, and how many times shorter ours is."""
    old, new = (reference_table(name) for name in SAME_MODEL.values())
    rows = []
    for users in users_of(new):
        row = [str(users)]
        for prompt in prompts_of(new):
            before, now = seconds(old, users, prompt), seconds(new, users, prompt)
            assert before is not None and now is not None
            row.append(f"{before:.1f} → {now:.2f} ({before / now:.1f})")
        rows.append(row)
    return _table(rows, ["users", *(f"{prompt} tokens" for prompt in prompts_of(new))])


def larger_models() -> str:
    """Return each cell of the larger models, beside the study's two A100, and how full the KV cache was."""
    with LARGER.open(newline="") as file:
        found = list(csv.DictReader(file))
    rows = []
    for name, words in LARGER_MODELS.items():
        published = reference_table(name)
        for cell in (cell for cell in found if cell["model"] == name):
            place = int(cell["users"]), int(cell["prompt_tokens"])
            before = seconds(published, *place) if place in published else None
            now = float(cell["seconds"])
            blocks = -(-(place[1] + int(cell["output_tokens"])) // int(cell["block_size"]))
            rows.append(
                [
                    *(words, str(place[0]), str(place[1])),
                    f"{before:.1f}" if before is not None else "-",
                    f"{now:.2f}" + (f" ({before / now:.1f})" if before is not None else ""),
                    f"{place[0] * blocks / int(cell['kv_cache_blocks']):.1%}",
                    f"{float(cell['kv_cache_usage_max']):.1%}",
                ]
            )
    headers = ["model", "users", "prompt tokens", "2 x A100, s", "1 x H200, s", "KV cache, predicted", "at most read"]
    return _table(rows, headers)


def users_within(tables: dict[str, str]) -> str:
    """Return how many users each set-up answers within each limit, by prompt size."""
    rows = []
    for limit_s in LIMITS_S:
        for words, name in tables.items():
            table = reference_table(name)
            counts = [most_users(table, prompt, limit_s) for prompt in prompts_of(table)]
            rows.append([f"{limit_s:g} s", words, *counts])
    prompts = prompts_of(reference_table(next(iter(tables.values()))))
    return _table(rows, ["within", "", *(f"{prompt} tokens" for prompt in prompts)])


def blocks() -> str:
    """Return all tables, each with its heading."""
    return "\n\n".join(
        (
            "Time to resolve, s: 2 x V100 → 1 x H200 (how many times shorter).",
            side_by_side(),
            "Users of the grid that are answered within 2, 5 and 10 seconds.",
            users_within(SAME_MODEL),
            "The study's other models on A100, for the years between.",
            users_within(OTHER_MODELS),
            "Two of these models on the H200: time to resolve (how many times shorter), and how full the KV cache was.",
            larger_models(),
        )
    )


def page_with(text: str, tables: str) -> str:
    """Return the page with the tables between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{tables}\n{END}{tail}"


def _table(rows: list[list[str]], headers: list[str]) -> str:
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def main() -> None:
    """Print the tables, or write them."""
    if "--write" in sys.argv:
        PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), blocks()), encoding="utf-8")
    else:
        print(blocks())


if __name__ == "__main__":
    main()
