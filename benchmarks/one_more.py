"""Whether one user more holds up the tokens of the others: it should touch the count and nothing else.

    python benchmarks/one_more.py [--users 1000] [--per-second 20] [--seconds 8] [--repeats 3] [--write]

By turns: the users stand; and each half second another cell begins with one user more, as the key for one more does.
Against the paced C server's own log of its sends. --write puts the table into docs/benchmarks.md. Linux, a C compiler.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil
from ground import compiled, gap_errors_ms, machine, paced_server, quantile, write_table
from load_engine import Run, Settings
from tabulate import tabulate

STEP_S = 0.5


def measured(options: argparse.Namespace, step_s: float, build: Path) -> dict[str, str]:
    """Run once. Raises RuntimeError when a request fails."""
    settings = Settings(
        users=options.users,
        per_second=options.per_second,
        mode="own",
        seconds=options.seconds,
        workers=1,
        tokens=100,
        prompt_tokens=50,
        burst=False,
        spread_s=1.0,
        tls=False,
        one_more_s=step_s,
    )
    with paced_server(build, round(1e6 / options.per_second), "own") as (port, log):
        run = Run(settings, port)
        asyncio.run(run.measure())
    if failed := [record for record in run.records if not record.ok]:
        raise RuntimeError(f"{len(failed)} of {len(run.records)} requests failed: {failed[0].error}")
    gap_ms = [error for record, sent in run.beside_sends(log) for error in gap_errors_ms(record, sent)]
    mean = statistics.fmean(run.tenths)
    return {
        "users": f"one more each {step_s:g} s" if step_s else "stand",
        "gap error, ms, p50": f"{quantile(gap_ms, 0.5):.3f}",
        "p99": f"{quantile(gap_ms, 0.99):.3f}",
        "tokens in a tenth of a second, of their mean": f"{min(run.tenths) / mean:.2f}–{max(run.tenths) / mean:.2f}",
        "without a core": f"{run.waited:.0%}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--per-second", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    loads, rows = [psutil.getloadavg()[0]], []
    with tempfile.TemporaryDirectory() as name:
        build = Path(name)
        compiled("paced_server", build)
        for _ in range(options.repeats):
            for step_s in (0.0, STEP_S):
                rows.append(measured(options, step_s, build))
                print(rows[-1], flush=True)
            loads.append(psutil.getloadavg()[0])
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} on {machine()}; load average {min(loads):.1f} to {max(loads):.1f}, "
        f"server and load included; {options.users} x {options.per_second:g}/s, one run a row, by turns.",
        "",
        tabulate(rows, headers="keys", tablefmt="github", disable_numparse=True),
    ]
    print("\n" + "\n".join(lines))
    if options.write:
        write_table("one more", lines)
    return 0


if __name__ == "__main__":
    sys.exit(main())
