"""A measured cell as `vllm bench serve --save-result --save-detailed` would have written it.

Percentiles are there however few requests there are, as that tool has them; latencies count from when a request was
due. What the format has no key for stands under keys that begin with `vramp_`, as the tool's own `--metadata` would put
it there: they make the file read back as the same cell.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tui.core.clock import NS_PER_S
from tui.metrics.cell import CellResult
from tui.profile.schema import Mode, Profile
from tui.session.formats.cell_requests import CellRequests, Statistic
from tui.session.meta import SessionMeta, wall_time

NAMES = {"ttft": "ttft", "tpot": "tpot", "itl": "itl", "e2el": "e2e"}
"""Of the latencies: theirs and ours."""


def document(
    meta: SessionMeta, profile: Profile | None, model: str, cell: CellResult, requests: CellRequests
) -> dict[str, Any]:
    """Return the object of one cell that was answered."""
    ok, duration_s = len(requests.e2e), cell.duration_s or 0.0
    total_in, total_out = sum(requests.input_lens), sum(requests.output_lens)
    chat = profile is not None and profile.load.endpoint == "chat"
    rate = cell.rate.asked_per_s if cell.rate is not None else None
    told: dict[str, Any] = {
        "date": _date(meta, cell),
        "endpoint_type": "openai-chat" if chat else "openai",
        "backend": "openai-chat" if chat else "openai",
        "label": None,
        "model_id": model,
        "tokenizer_id": model,
        "num_prompts": ok + requests.failed,
        "request_rate": "inf" if rate is None else rate,
        "burstiness": 1.0,
        "max_concurrency": None if cell.mode == Mode.RATE else cell.users,
        "duration": duration_s,
        "completed": ok,
        "failed": requests.failed,
        "total_input_tokens": total_in,
        "total_output_tokens": total_out,
        "request_throughput": _per_s(ok, duration_s),
        "request_goodput": cell.goodput_requests_per_s,
        # Ours counts what arrived within the window, and not what ended in it.
        "output_throughput": cell.tokens_per_s_total or _per_s(total_out, duration_s),
        "total_token_throughput": _per_s(total_in + total_out, duration_s),
        "input_lens": requests.input_lens,
        "output_lens": requests.output_lens,
        "ttfts": requests.ttft,
        "latencies": requests.e2e,
        "start_times": [start_ns / NS_PER_S for start_ns in requests.start_ns],
        "errors": [""] * ok,
    }
    for theirs, ours in NAMES.items():
        found = requests.itl if ours == "itl" else Statistic.of(getattr(requests, ours))
        if found is not None:
            told |= {f"mean_{theirs}_ms": found.mean * 1e3, f"median_{theirs}_ms": found.at[50] * 1e3}
            told |= {f"std_{theirs}_ms": found.std * 1e3}
            told |= {f"p{q}_{theirs}_ms": value * 1e3 for q, value in found.at.items()}
    return told | {
        "vramp_version": meta.vramp_version,
        "vramp_session": meta.session_id,
        "vramp_simulated": meta.simulated,
        "vramp_mode": cell.mode,
        "vramp_users": cell.users,
        "vramp_prompt_tokens": cell.prompt_tokens,
        "vramp_output_tokens": cell.output_tokens,
    }


def _date(meta: SessionMeta, cell: CellResult) -> str:
    try:
        return datetime.fromisoformat(wall_time(meta, cell.started_at_ns)).strftime("%Y%m%d-%H%M%S")
    except ValueError:
        return ""


def _per_s(count: float, duration_s: float) -> float:
    return count / duration_s if duration_s > 0 else 0.0
