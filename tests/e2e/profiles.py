"""Small profiles for real runs: whole grids in seconds."""

from __future__ import annotations

from pathlib import Path

SIMULATED = """\
name = "{name}"
title = "A small simulated server"
engine = "simulated"

[server]
model = "vramp/simulated"
gpus = [0]
stop_grace_s = 5.0

[load]
users = {users}
prompt_tokens = {prompt_tokens}
output_tokens = 20
mode = "{mode}"
duration_s = 1.0
warm_up_s = 0.3

[simulator]
max_model_len = 512
kv_cache_tokens = 16384
step_base_s = 0.004
step_per_sequence_s = 0.0001
{more}
"""


def write_simulated(
    folder: Path,
    name: str = "small",
    *,
    users: str = "[1, 2, 4]",
    prompt_tokens: str = "[30, 300, 500]",
    mode: str = "burst",
    more: str = "memory_limit_tokens = 1000",
) -> Path:
    """Write a profile whose grid holds ok, out-of-memory, implied and too-long cells."""
    path = folder / f"{name}.toml"
    path.write_text(SIMULATED.format(name=name, users=users, prompt_tokens=prompt_tokens, mode=mode, more=more))
    return path
