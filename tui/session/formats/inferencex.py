"""Rows of InferenceX (once InferenceMAX), as its utils/process_result.py writes them: (conc, isl, osl) is a cell.

Its traps: times are in seconds and their names have no unit; `tput_per_gpu` counts prompts and answers together and is
of one GPU, so that tokens/s is `output_tput_per_gpu` times the GPUs; `*_intvty` is 1000 / TPOT in ms, and its p99 the
best and not the worst. A file of rows may hold several systems, which are not one grid.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.core.errors import SessionError
from tui.metrics.cell import CellResult
from tui.metrics.measured import Measured
from tui.profile.schema import Mode
from tui.session.formats.fields import Fields, cell_of, side_of
from tui.session.formats.vllm_bench import SENT

TOOL = "InferenceX"
_SYSTEM = ("hw", "model", "framework", "precision")
_MOST_NAMED = 4


def recognises(document: Fields) -> bool:
    """Say whether an object is such a row."""
    return document.has("hw", "tput_per_gpu", "conc")


def read(name: str, documents: Sequence[Fields]) -> Measured:
    """Return the rows of one system as a grid. Raises SessionError for rows of several."""
    systems = dict.fromkeys(_system(each) for each in documents)
    if len(systems) > 1:
        named = "; ".join(list(systems)[:_MOST_NAMED])
        raise SessionError(f"expected rows of one system, found {len(systems)} ({named}): keep those of one")
    first = documents[0]
    gpus = _gpus(documents[0])
    told = {
        "model": first.text("model"),
        "GPUs": f"{gpus:g} × {first.text('hw')}" if gpus and gpus > 1 else first.text("hw"),
        "engine": first.text("framework"),
        "precision": first.text("precision"),
        "tensor parallel": f"{first.number('tp'):g}" if first.number("tp") else "",
        "speculative decoding": first.text("mtp") or first.text("spec_decoding"),
    }
    notes = [SENT, "tokens/s is output_tput_per_gpu times the GPUs; tput_per_gpu counts prompts, too"]
    return side_of(name, TOOL, [_cell(each) for each in documents], told, notes, sizes_are_means=True)


def _cell(row: Fields) -> CellResult:
    per_gpu, gpus = row.number("output_tput_per_gpu"), _gpus(row)
    figures: dict[str, float | None] = {}
    for theirs, ours in (("ttft", "ttft"), ("tpot", "tpot"), ("itl", "itl"), ("e2el", "e2e")):
        figures[f"{ours}_p50_s"] = row.number(f"median_{theirs}")
        figures |= {f"{ours}_p{q}_s": row.number(f"p{q}_{theirs}") for q in (90, 99)}
    return cell_of(
        row.number("conc"),
        row.number("isl"),
        row.number("osl"),
        Mode.STEADY,
        ok=None,
        failed=0,
        simulated=False,
        tokens_per_s_total=per_gpu * gpus if per_gpu is not None and gpus else None,
        time_to_resolve_s=row.number("mean_e2el"),
        ttft_mean_s=row.number("mean_ttft"),
        **figures,
    )


def _gpus(row: Fields) -> float | None:
    """Return over how many GPUs a row's throughput was divided: by roles where it is disaggregated, else by TP."""
    parts = [row.number(f"num_{role}_gpu") for role in ("prefill", "decode")]
    if all(parts):
        return sum(part for part in parts if part)
    return row.number("tp")


def _system(row: Fields) -> str:
    names = [row.text(key) for key in _SYSTEM]
    return " ".join(filter(None, [*names, f"tp {row.number('tp'):g}" if row.number("tp") else ""]))
