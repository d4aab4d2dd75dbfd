"""A burst of simultaneous requests through the model, without a clock: what the published tables measured."""

from __future__ import annotations

from dataclasses import dataclass

from tui.profile.simulator_table import SimulatorTable
from tui.simulator.model import Engine, OutOfMemory, Sequence


@dataclass(frozen=True, slots=True)
class BurstResult:
    """How a burst ended."""

    seconds: float | None
    """Mean time from the burst to each request's last token; None when the engine died."""
    steps: int
    preemptions: int


def burst(table: SimulatorTable, users: int, prompt_tokens: int, output_tokens: int) -> BurstResult:
    """Ask `users` different prompts at once. Raises ValueError when prompt and answer exceed `max_model_len`."""
    engine = Engine(table)
    for _ in range(users):
        engine.add(Sequence(prompt_tokens, output_tokens))
    now_s = table.request_overhead_s
    total_s = 0.0
    steps = 0
    while engine.has_work:
        try:
            step = engine.begin_step()
        except OutOfMemory:
            return BurstResult(None, steps, engine.preemptions_total)
        now_s += step.duration_s
        steps += 1
        total_s += now_s * sum(sequence.finished for sequence in engine.finish_step(step))
    return BurstResult(total_s / users, steps, engine.preemptions_total)
