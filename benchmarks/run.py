"""Holds vramp's load engine against a C client and against its peers: `make bench`.

    python benchmarks/run.py [--repeats 5] [--peer-repeats 1] [--clients vramp,c,vllm,...] [--write]

Every client makes the same load (closed loop, 100 tokens a request, all users at once) on the same paced C server, one
after the other in rounds, so that all see the machine in the same state. All are measured from outside, alike: user +
system time of the client's whole tree of processes, over the tokens that the server's own log says were sent, from one
second after all streams were up to the last request; the largest sum of the tree's proportional memory; and the
distance of each token gap in the client's own records from that gap in the server's log. --write puts the table into
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import clients
import psutil
from clients import Client, Load
from ground import (
    HERE,
    Cost,
    compiled,
    machine,
    paced_server,
    quantile,
    run_watched,
    sends,
    withheld_shares,
    write_table,
)
from tabulate import tabulate

TOKENS = 100
LOADS = [Load(512, 20, TOKENS, 12), Load(1000, 20, TOKENS, 12)]
# How much one process can take: only the two that are not at their end at 20,000 events/s.
STEEPER = [Load(2000, 20, TOKENS, 12), Load(3000, 20, TOKENS, 12)]
OWN = frozenset({"vramp", "plain", "four", "hosts"})
"""The rows that are vramp's own."""
SETTLE_NS = 1_000_000_000
SHORTEST_NS = 2_000_000_000
KEPT_UP = 0.97
TIMEOUT_S = 180
WITHHELD_S = 4.0


@dataclass(frozen=True)
class Result:
    us_per_event: float
    events_per_s: float
    gap_p99_ms: float | None
    pss_bytes: int
    processes: int
    waited_share: float
    load_average: float


def window_of(sent: dict[int, list[int]], users: int) -> tuple[int, int]:
    """Return the span in which all streams ran. Raises RuntimeError when there was none."""
    edges = sorted([(at[0], 1) for at in sent.values()] + [(at[-1], -1) for at in sent.values()])
    active, full_ns = 0, None
    for at_ns, step in edges:
        active += step
        if active >= 0.95 * users:
            full_ns = at_ns
            break
    if full_ns is None:  # it never had so many at once: what it did have
        full_ns = edges[0][0]
    start_ns, end_ns = full_ns + SETTLE_NS, max(at[0] for at in sent.values())
    if end_ns - start_ns < SHORTEST_NS:
        raise RuntimeError(f"its streams ran together for {(end_ns - start_ns) / 1e9:.1f} s only")
    return start_ns, end_ns


def gap_errors_ms(client: Client, folder: Path, sent: dict[int, list[int]]) -> list[float]:
    assert client.gaps is not None
    errors = []
    for serial, gaps_us in client.gaps(folder, sent):
        truth = sent.get(serial, [])[1:]
        if len(gaps_us) != len(truth) - 1:
            continue  # another count of events than were sent: nothing to lay side by side
        errors += [abs(gap * 1000 - (truth[n + 1] - truth[n])) / 1e6 for n, gap in enumerate(gaps_us)]
    return errors


def measure(client: Client, load: Load, build: Path) -> Result:
    """Run one client once. Raises RuntimeError when it fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with paced_server(build, round(1e6 / load.per_second), "own", shape=client.shape) as (port, log):
            command = client.command(port, load, folder)
            cost: Cost = asyncio.run(
                run_watched(command, folder / "client.log", load.seconds + TIMEOUT_S, client.env(load, folder))
            )
        sent = sends(log)
        # Probes of the server (a client that asks whether it is there) are no load.
        sent = {serial: at for serial, at in sent.items() if len(at) > 1}
        if not sent:
            raise RuntimeError("it asked for nothing")
        start_ns, end_ns = window_of(sent, load.users)
        events = sum(start_ns < at_ns <= end_ns for at in sent.values() for at_ns in at[1:])
        errors = gap_errors_ms(client, folder, sent) if client.gaps else []
    return Result(
        us_per_event=cost.between(start_ns, end_ns, cost.cpu_s) / events * 1e6,
        events_per_s=events / (end_ns - start_ns) * 1e9,
        gap_p99_ms=quantile(errors, 0.99) if errors else None,
        pss_bytes=cost.pss_bytes_max,
        processes=cost.processes_max,
        waited_share=cost.between(start_ns, end_ns, cost.waited_s) / (end_ns - start_ns) * 1e9,
        load_average=psutil.getloadavg()[0],
    )


Results = dict[str, dict[Load, list[Result]]]


def run_all(chosen: dict[str, tuple[Client, int]], build: Path) -> tuple[Results, list[str]]:
    results: Results = {key: {} for key in chosen}
    problems = []
    plan = [(load, number) for load in LOADS for number in range(max(n for _, n in chosen.values()))]
    plan += [(load, 0) for load in STEEPER]
    for load, number in plan:
        for key, (client, repeats) in chosen.items():
            if number >= repeats or (load in STEEPER and key not in ("vramp", "c")):
                continue
            try:
                result = measure(client, load, build)
            except RuntimeError as error:
                problems.append(f"{client.name} at {load}: {error}")
                print(f"{load}  {client.name}: {error}", flush=True)
                continue
            results[key].setdefault(load, []).append(result)
            gap = "-" if result.gap_p99_ms is None else f"{result.gap_p99_ms:.3f} ms"
            print(
                f"{load}  {client.name}: {result.us_per_event:.1f} us/event, {result.events_per_s:.0f} events/s, "
                f"gap error p99 {gap}, {result.pss_bytes / 1e6:.0f} MB in {result.processes}, "
                f"without a core {result.waited_share:.0%}, load average {result.load_average:.1f}",
                flush=True,
            )
    return results, problems


def _middle(runs: list[Result] | None, of: str) -> float | None:
    values = [getattr(run, of) for run in runs or [] if getattr(run, of) is not None]
    return statistics.median(values) if values else None


def _spread(runs: list[Result] | None, of: str, form: str) -> str:
    values = [getattr(run, of) for run in runs or [] if getattr(run, of) is not None]
    if not values:
        return "–"
    middle = format(statistics.median(values), form)
    return middle if len(values) == 1 else f"{middle} ({min(values):{form}}–{max(values):{form}})"


def sustained(runs: dict[Load, list[Result]]) -> str:
    kept_up = [
        rate
        for load, each in runs.items()
        if (rate := _middle(each, "events_per_s") or 0) >= KEPT_UP * load.events_per_s
    ]
    best = max((_middle(each, "events_per_s") or 0 for each in runs.values()), default=0)
    fell_behind = len(kept_up) < len(runs)
    if kept_up:
        return f"{'' if fell_behind else '≥ '}{max(kept_up):,.0f}"
    return f"{best:,.0f} (behind at once)"


def tables(chosen: dict[str, tuple[Client, int]], results: Results) -> list[str]:
    rows = []
    for key, (client, _) in chosen.items():
        runs = results[key]
        if not runs:
            continue
        row = {"client": f"{client.name}{f' ({client.note})' if client.note else ''}", "version": client.version()}
        for load in LOADS:
            row[f"µs/event, {load}"] = _spread(runs.get(load), "us_per_event", ".1f")
        row["sustained, events/s"] = sustained(runs)
        for load in LOADS:
            row[f"gap error p99, ms, {load}"] = _spread(runs.get(load), "gap_p99_ms", ".3f")
        memory = max((each.pss_bytes for some in runs.values() for each in some), default=0)
        processes = max((each.processes for some in runs.values() for each in some), default=0)
        row["peak memory"] = f"{memory / 1e6:.1f} MB in {processes}"
        row["without a core"] = " / ".join(_spread(runs.get(load), "waited_share", ".0%") for load in LOADS)
        row["runs"] = "/".join(str(len(runs.get(load, []))) for load in LOADS)
        rows.append(row)
    lines = [tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True), ""]
    ours = results.get("vramp", {})
    for load in LOADS:
        mine = _middle(ours.get(load), "us_per_event")
        others = [
            (client.name, theirs)
            for key, (client, _) in chosen.items()
            if key not in OWN and (theirs := _middle(results[key].get(load), "us_per_event"))
        ]
        if mine and others:
            ratios = ", ".join(f"{mine / theirs:.2f} of {name}" for name, theirs in others)
            lines.append(f"- vramp's cost at {load}: {ratios}.")
    steep = [
        f"{load}: {run.events_per_s:,.0f} events/s at {run.us_per_event:.1f} µs, gap error p99 "
        f"{run.gap_p99_ms or 0:.3f} ms"
        for load in STEEPER
        for run in ours.get(load, [])
    ]
    if steep:
        lines.append(f"- vramp with one worker process further up: {'; '.join(steep)}.")
    return lines


def heading(results: Results, withheld: list[float]) -> list[str]:
    loads = [run.load_average for of in results.values() for runs in of.values() for run in runs]
    return [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}; load average during the runs "
        f"{min(loads):.1f} to {max(loads):.1f}, server and client included{_priority()}. Before and after them "
        f"the idle machine's host withheld {min(withheld):.1%} to {max(withheld):.1%} of a core.",
        "",
    ]


def _priority() -> str:
    nice = os.nice(0)
    return f"; server and clients ran at nice {nice}" if nice else ""


def choose(options: argparse.Namespace, build: Path) -> tuple[dict[str, tuple[Client, int]], list[str]]:
    """Return the clients there are, each with its number of runs, and why the others are missing."""
    wanted = options.clients.split(",")
    chosen: dict[str, tuple[Client, int]] = {}
    missing = []
    tokenizer = build / "tokenizer"
    subprocess.run([sys.executable, str(HERE / "drivers" / "tiny_tokenizer.py"), str(tokenizer)], check=True)
    if "vramp" in wanted:
        chosen["vramp"] = (clients.vramp(), options.repeats)
    if "plain" in wanted:
        chosen["plain"] = (clients.vramp(shape="plain"), options.peer_repeats)
    if "four" in wanted:
        chosen["four"] = (clients.vramp(workers=4), options.peer_repeats)
        chosen["hosts"] = (clients.vramp(hosts=4), options.peer_repeats)
    if "c" in wanted:
        chosen["c"] = (clients.c_client(build), options.repeats)
    if "vllm-rs" in wanted:
        try:
            program = options.vllm_rs or clients.vllm_rs_program()
            chosen["vllm-rs"] = (clients.vllm_rs(program, tokenizer), options.repeats)
        except (RuntimeError, OSError) as error:
            missing.append(f"vllm-rs: not measured: {error}")
    peers = {
        "vllm": (options.vllm_python, ["vllm"], clients.vllm_bench),
        "locust": (None, ["locust"], clients.locust),
        # It imports torch and jinja2, which it does not ask for.
        "guidellm": (None, ["guidellm", "torch", "jinja2"], clients.guidellm),
        "aiperf": (None, ["aiperf"], lambda python: clients.aiperf(python, tokenizer)),
    }
    for key in wanted:
        if key not in peers:
            continue
        python, packages, make = peers[key]
        try:
            chosen[key] = (make(python or clients.environment(key, packages)), options.peer_repeats)
        except (RuntimeError, OSError) as error:
            missing.append(f"{key}: not measured: {error}")
    return chosen, missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="runs of vramp, vllm-rs and the C client at each load")
    parser.add_argument("--peer-repeats", type=int, default=1)
    parser.add_argument("--clients", default="vramp,vllm-rs,c,plain,four,vllm,locust,guidellm,aiperf")
    parser.add_argument("--vllm-python", type=Path, help="the Python of a vLLM that is installed already")
    parser.add_argument("--vllm-rs", type=Path, help="vLLM's own client in Rust, where it is there already")
    parser.add_argument("--nice", type=int, default=0, help="for server and clients alike; below 0 needs root")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    os.nice(options.nice)
    with tempfile.TemporaryDirectory() as name:
        build = Path(name)
        compiled("paced_server", build)
        chosen, missing = choose(options, build)
        withheld = withheld_shares(WITHHELD_S)
        results, problems = run_all(chosen, build)
        withheld += withheld_shares(WITHHELD_S)
        lines = heading(results, withheld) + tables(chosen, results) + [f"- {line}" for line in missing + problems]
    print("\n" + "\n".join(lines))
    if options.write:
        write_table("make bench", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
