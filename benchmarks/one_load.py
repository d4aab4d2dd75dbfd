"""The same load from one worker here, from four here, and from four hosts (agents on this machine): the same figures?

    python benchmarks/one_load.py [--users 200] [--per-second 20] [--seconds 10] [--rounds 3] [--write]

By turns, against the paced server, which logs its own sends. A row is the middle of the rounds, with the least and the
most; `--write` puts the table into docs/hosts.md.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from ground import HERE, gap_errors_ms, machine, paced_server, quantile, ttft_excess_ms, write_table
from load_engine import Run, Settings
from tabulate import tabulate

from tui.metrics.hosts import clock_error_s

WAYS = {"one worker here": (1, 0), "four workers here": (4, 0), "a worker on each of four hosts": (1, 4)}
TOKENS = 100


@dataclass
class Told:
    """What a way of loading came to, a value a round."""

    figures: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        self.figures.setdefault(name, []).append(value)


def measure(told: Told, workers: int, hosts: int, options: argparse.Namespace) -> None:
    settings = Settings(
        users=options.users,
        per_second=options.per_second,
        mode="own",
        seconds=options.seconds,
        workers=workers,
        tokens=TOKENS,
        prompt_tokens=50,
        burst=False,
        spread_s=2.0,
        tls=False,
        one_more_s=0.0,
        hosts=hosts,
    )
    with tempfile.TemporaryDirectory() as name:
        with paced_server(Path(name), round(1e6 / options.per_second), "own") as (port, log):
            run = Run(settings, port)
            asyncio.run(run.measure())
        pairs = list(run.beside_sends(log))
    assert len(pairs) == len(run.records), "requests failed"
    told.add("tokens/s", statistics.mean(run.tenths) * 10)
    told.add("in a tenth of a second, spread", statistics.stdev(run.tenths))
    told.add("TTFT p50, ms", quantile([(record.ttft_s or 0) * 1e3 for record, _ in pairs], 0.5))
    told.add("E2E p50, ms", quantile([(record.e2e_s or 0) * 1e3 for record, _ in pairs], 0.5))
    told.add("TTFT excess p50, ms", quantile([ttft_excess_ms(record, sent) for record, sent in pairs], 0.5))
    told.add("gap error p99, ms", quantile([each for pair in pairs for each in gap_errors_ms(*pair)], 0.99))
    behind = [abs(record.first_token_ns - sent[1]) / 1e6 for record, sent in pairs if record.first_token_ns]
    told.add("on our axis, first token − its send p50, ms", quantile(behind, 0.5))
    told.add("clock error told, ms", (clock_error_s(run.progress[-1].hosts) or 0) * 1e3)
    told.add("without a core", run.waited)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    told = {way: Told() for way in WAYS}
    for _ in range(options.rounds):
        for way, (workers, hosts) in WAYS.items():
            measure(told[way], workers, hosts, options)
    names = list(next(iter(told.values())).figures)
    rows = [{"figure": name} | {way: _shown(each.figures[name]) for way, each in told.items()} for name in names]
    lines = [
        f"{options.users} users x {options.per_second:g} tokens/s, {options.rounds} rounds by turns, on {machine()}.",
        "",
        tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True),
    ]
    print("\n".join(lines))
    if options.write:
        write_table("one load", lines, HERE.parent / "docs" / "hosts.md")


def _shown(values: list[float]) -> str:
    middle = statistics.median(values)
    form = ",.0f" if middle >= 1000 else ".1f" if middle >= 10 else ".3f"
    return f"{middle:{form}} ({min(values):{form}}–{max(values):{form}})"


if __name__ == "__main__":
    main()
