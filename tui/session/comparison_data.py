"""A comparison for programs: JSON, TOML, CSV. Pure."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import tomli_w

from tui.metrics.cell_figures import COMPARED
from tui.metrics.comparison import Comparison, FigureChange
from tui.metrics.estimate import Estimate
from tui.session.export_csv import field
from tui.session.export_toml import without_missing

FORMAT_VERSION = 1
COLUMNS = (
    "base",
    "other",
    "simulated_base",
    "simulated_other",
    "users",
    "prompt_tokens",
    "output_tokens",
    "outcome_base",
    "outcome_other",
    "figure",
    "unit",
    "base_value",
    "base_low",
    "base_high",
    "base_by",
    "other_value",
    "other_low",
    "other_high",
    "other_by",
    "ratio",
    "ratio_low",
    "ratio_high",
    "change",
)


def as_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain values: sides with their circumstances, what differs, then each pair's cells."""
    sides = [
        {
            "name": side.name,
            "source": side.source,
            "simulated": side.simulated,
            "circumstances": side.circumstances.told,
            "arguments": side.circumstances.arguments,
            "not_told": absent,
            "notes": side.notes,
        }
        for side, absent in zip(comparison.sides, comparison.untold, strict=True)
    ]
    names = [side.name for side in comparison.sides]
    return {
        "format_version": FORMAT_VERSION,
        "base": names[0],
        "sides": sides,
        "differing": [{"name": each.name, "values": each.values} for each in comparison.differing],
        "comparisons": [
            {
                "other": names[pair.other],
                "only_in_base": pair.only_base,
                "only_in_other": pair.only_other,
                "summary": msgspec.to_builtins(pair.summary),
                "cells": msgspec.to_builtins(pair.cells),
            }
            for pair in comparison.pairs
        ],
    }


def as_json(comparison: Comparison) -> str:
    """Return a comparison as one JSON object."""
    return msgspec.json.encode(as_document(comparison)).decode()


def as_toml(comparison: Comparison) -> str:
    """Return a comparison as TOML; what does not exist has no key, what a side does not tell reads "not told"."""
    document = as_document(comparison)
    for each in document["differing"]:
        each["values"] = ["not told" if value is None else value for value in each["values"]]
    return tomli_w.dumps(without_missing(document))


def as_csv(comparison: Comparison) -> str:
    """Return a comparison as CSV: a row for each figure of each cell; one without figures for a cell that failed."""
    units = {figure.field: figure.unit for figure in COMPARED}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    base = comparison.base
    for pair in comparison.pairs:
        other = comparison.sides[pair.other]
        for cell in pair.cells:
            sides = (base.name, other.name, base.simulated, other.simulated)
            outcomes = (str(cell.base_outcome), str(cell.other_outcome))
            head = [field(each) for each in (*sides, cell.users, cell.prompt_tokens, cell.output_tokens, *outcomes)]
            if not cell.figures:
                writer.writerow([*head, *[""] * (len(COLUMNS) - len(head))])
            for change in cell.figures:
                writer.writerow([*head, change.figure, units[change.figure], *_figures(change)])
    return text.getvalue()


def _figures(change: FigureChange) -> list[object]:
    numbers = [*_estimate(change.base), *_estimate(change.other), change.ratio, change.low, change.high]
    return [*("" if value is None else value for value in numbers), str(change.change)]


def _estimate(estimate: Estimate) -> list[object]:
    return [estimate.value, estimate.low, estimate.high, estimate.by]
