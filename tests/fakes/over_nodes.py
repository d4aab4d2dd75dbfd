"""A server over the nodes of a Ray cluster, all of it played: what is asked of Ray, what it has of the server, a log.

Real are its processes, which a raylet of ours has, and what they are to others: numbers in `nvidia-smi`'s sense.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fakes.ray import node

_PYTHON = """\
#!{python}
import json, os, sys
from pathlib import Path
folder = Path({folder!r})
if not sys.argv[1].endswith("ray_program.py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
state = json.loads((folder / "state").read_text())
pid = folder / "pid"
if not (pid.exists() and Path("/proc", pid.read_text()).exists()):
    state |= {{"actors": [], "groups": []}}
with (folder / "asked").open("a") as asked:
    asked.write(sys.argv[2] + "\\n")
print(json.dumps(state))
"""
_SERVER = """\
import os, sys
from pathlib import Path
folder = Path({folder!r})
(folder / "pid").write_text(str(os.getpid()))
for address, weights in {weights!r}.items():
    where = f", ip={{address}}" if address else ""
    head = f"(EngineCore pid=7) (RayWorkerProc pid=9{{where}}) (Worker_PP0 pid=9) INFO 11-20 10:00:00"
    print(head, f"[gpu_model_runner.py:4879] Model loading took {{weights:.2f}} GiB memory and 0.1 seconds")
    print(head, "[gpu_worker.py:456] Available KV cache memory: 15.00 GiB", flush=True)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
where = [word for flag in ("--host", "--port") for word in (flag, sys.argv[sys.argv.index(flag) + 1])]
command = ["-m", "tui", "simulate", str(folder / "simulated.toml"), *where]
os.execv({python!r}, [{python!r}, *command])
"""


def write_cluster(folder: Path, address: str, weights_gib: Mapping[str, float], simulated: str) -> dict[str, Any]:
    """Return the [server] table of a server over a cluster at an address, which is played from `folder`.

    `weights_gib`: what its workers log, by the addresses of their nodes, "" = this machine; `simulated`: the profile of
    what answers requests.
    """
    folder.mkdir()
    (folder / "simulated.toml").write_text(simulated)
    python = folder / "python3"
    python.write_text(_PYTHON.format(python=sys.executable, folder=str(folder)))
    python.chmod(0o755)
    server = folder / "server.py"
    server.write_text(_SERVER.format(python=sys.executable, folder=str(folder), weights=dict(weights_gib)))
    return {
        "model": "vramp/simulated",
        "host": address,
        "executable": [str(python), str(server), "serve"],
        "args": {"tensor-parallel-size": 2},
        "ray": {"address": f"{address}:6379"},
    }


def play(folder: Path, workers: Mapping[str, Sequence[int]]) -> None:
    """Have the cluster of `folder` say that the server, while it runs, has these processes, by their nodes."""
    actors = [
        {"name": "RayWorkerProc", "node": address * 8, "ip": address, "pid": pid, "state": "ALIVE"}
        for address, pids in workers.items()
        for pid in pids
    ]
    groups = [{"group": "g", "gpus": [{"node": actor["node"], "gpus": 1.0} for actor in actors]}]
    nodes = [node(address) for address in workers]
    state = {"address": "head:6379", "nodes": nodes, "jobs": 1, "actors": actors, "groups": groups}
    (folder / "state").write_text(json.dumps(state))
