"""How often the intervals of a cell hold the truth: the table of docs/precision.md, by simulation.

    python benchmarks/precision_coverage.py [--runs 1000] [--write]

Each run is a cell whose tokens/s and median latency are known beforehand, as `tui.metrics.precision` sees it: tokens in
bins of a tenth of a second, and latencies in the order requests end. Half of what is asked is whether 95 % intervals of
a fixed window hold the truth as often as they say; the other half what becomes of that when measuring stops as soon as
the intervals are narrow enough, for then it stops more often where they are too narrow by luck.

The last column is a bound that no way of measuring can beat: from how far very long windows of the process differ, how
long one must be for its tokens/s and its median to lie within the precision of the truth in 95 of 100 cases.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from statistics import fmean, median, stdev

from tui.bench.pace import LOOK_GROWTH, SURE_LOOKS
from tui.metrics.precision import Precision, mser5, precision_of, slices, thinned
from tui.metrics.steady import is_steady

PAGE = Path(__file__).parents[1] / "docs" / "precision.md"
BEGIN, END = "<!-- coverage -->\n", "<!-- /coverage -->"
BINS_PER_S = 10
PRECISION = 0.05
LONGEST_S = 900
LOOK_S = 1.0
Z_95 = 1.959964


@dataclass(frozen=True)
class Cell:
    """What a run gives: tokens by bin, and (moment of its end in s, latency in s) of each request, in order."""

    tokens: list[float]
    ended: list[tuple[float, float]]


Source = Callable[[random.Random, float], Cell]
"""(random numbers, how long in s) → what was measured."""


def independent(chance: random.Random, lasting_s: float) -> Cell:
    """Tokens and latencies without memory: the easy case."""
    tokens = [max(0.0, chance.gauss(50, 10)) for _ in range(round(lasting_s * BINS_PER_S))]
    ended = [(at / 8, chance.lognormvariate(0.0, 0.3)) for at in range(round(lasting_s * 8))]
    return Cell(tokens, ended)


def autoregressive(memory: float) -> Source:
    """Tokens and latencies that each remember the value before: AR(1)."""

    def source(chance: random.Random, lasting_s: float) -> Cell:
        fresh = math.sqrt(1 - memory * memory)
        deep = chance.gauss(0, 1)
        tokens = []
        for _ in range(round(lasting_s * BINS_PER_S)):
            deep = memory * deep + fresh * chance.gauss(0, 1)
            tokens.append(max(0.0, 50 + 10 * deep))
        ended, late = [], chance.gauss(0, 1)
        for at in range(round(lasting_s * 8)):
            late = memory * late + fresh * chance.gauss(0, 1)
            ended.append((at / 8, math.exp(0.3 * late)))
        return Cell(tokens, ended)

    return source


def closed_loop(users: int) -> Source:
    """Users who ask again when they are answered: 100 tokens each, a batch whose step grows with it, prefill between.

    The server's pace wanders by a tenth with a memory of seconds, as clocks and neighbours make it.
    """

    def source(chance: random.Random, lasting_s: float) -> Cell:
        tokens = [0.0] * round(lasting_s * BINS_PER_S)
        ended: list[tuple[float, float]] = []
        warm_up_s, now, pace = 30.0, 0.0, 0.0
        left = [(chance.randint(1, 100), 0.0) for _ in range(users)]
        while now < lasting_s + warm_up_s:
            pace = 0.99 * pace + 0.014 * chance.gauss(0, 1)
            step_s = (0.02 + 0.0005 * users) * (1 + pace) * chance.uniform(0.9, 1.1)
            now += step_s
            at = int((now - warm_up_s) * BINS_PER_S)
            if 0 <= at < len(tokens):
                tokens[at] += users
            fresh = []
            for tokens_left, began in left:
                if tokens_left > 1:
                    fresh.append((tokens_left - 1, began))
                    continue
                if now >= warm_up_s:
                    ended.append((now - warm_up_s, now - began))
                fresh.append((100, now))
                now += 0.01 * chance.expovariate(1.0)  # prefill of the next prompt
            left = fresh
        return Cell(tokens, [(at, latency) for at, latency in ended if at < lasting_s])

    return source


def open_queue(load: float) -> Source:
    """Requests at random to a server that answers eight at once: M/M/8, latencies with long memory near saturation."""

    def source(chance: random.Random, lasting_s: float) -> Cell:
        tokens = [0.0] * round(lasting_s * BINS_PER_S)
        ended: list[tuple[float, float]] = []
        warm_up_s, now = 120.0, 0.0
        free = [0.0] * 8
        while now < lasting_s + warm_up_s:
            now += chance.expovariate(8 * load)
            begin = max(now, heapq.heappop(free))
            over = begin + chance.expovariate(1.0)
            heapq.heappush(free, over)
            ended.append((over - warm_up_s, over - now))
            first, last = (begin - warm_up_s) * BINS_PER_S, (over - warm_up_s) * BINS_PER_S
            for at in range(max(0, int(first)), min(len(tokens), int(last) + 1)):
                tokens[at] += 10 * (min(last, at + 1) - max(first, at))
        return Cell(tokens, sorted(pair for pair in ended if 0 <= pair[0] < lasting_s))

    return source


SOURCES: dict[str, Source] = {
    "independent": independent,
    "AR(1), 0.5": autoregressive(0.5),
    "AR(1), 0.9": autoregressive(0.9),
    "closed loop, 8 users": closed_loop(8),
    "closed loop, 64 users": closed_loop(64),
    "M/M/8 at 70 %": open_queue(0.7),
}


@dataclass
class Score:
    """How often an interval held the truth, and how wide it was."""

    held: int = 0
    known: int = 0
    error: float = 0.0

    def take(self, estimate: float, half_width: float | None, truth: float) -> None:
        if half_width is not None:
            self.known += 1
            self.held += abs(estimate - truth) <= half_width
            self.error += half_width / estimate

    def words(self, runs: int) -> str:
        """Return the share held, the mean half width, and the share of the runs that had an interval, if not all."""
        if not self.known:
            return "–"
        told = "" if self.known == runs else f" of {self.known / runs:.0%}"
        return f"{self.held / self.known:.0%}{told} (±{self.error / self.known:.1%})"


TRUTH_S, TRUTH_BATCH_S = 60_000.0, 1_000.0
"""How long the truth is measured, and in batches of which length; they are far longer than any process remembers."""


@dataclass(frozen=True)
class Truth:
    """What a very long run says."""

    tokens: float
    """Per bin."""
    median_s: float
    known_after_s: float
    """So long must a window be for both to be within the precision in 95 of 100 cases."""


def truth_of(source: Source) -> Truth:
    cell = source(random.Random(0), TRUTH_S)
    tokens, median_s = fmean(cell.tokens), median(latency for _, latency in cell.ended)
    in_batch = round(TRUTH_BATCH_S * BINS_PER_S)
    means = [fmean(cell.tokens[at : at + in_batch]) for at in range(0, len(cell.tokens), in_batch)]
    latencies: list[list[float]] = [[] for _ in means]
    for at, latency in cell.ended:
        latencies[min(int(at / TRUTH_BATCH_S), len(means) - 1)].append(latency)
    spreads = stdev(means) / tokens, stdev(map(median, latencies)) / median_s
    return Truth(tokens, median_s, TRUTH_BATCH_S * (Z_95 * max(spreads) / PRECISION) ** 2)


def known_at(cell: Cell, at: float, asked: float | None = None) -> Precision:
    series, latencies = part(cell, at)
    latencies = thinned(latencies)
    middle, means = len(latencies) // 2, slices(series)
    steady = is_steady(means, latencies[:middle], latencies[middle:]) if means else None
    return precision_of(series, latencies, asked=asked, steady=steady, lasting_s=at)


def part(cell: Cell, until_s: float) -> tuple[Sequence[float], Sequence[float]]:
    ended = bisect_left(cell.ended, until_s, key=itemgetter(0))
    return cell.tokens[: round(until_s * BINS_PER_S)], [late for _, late in cell.ended[:ended]]


def looks() -> Iterator[float]:
    at = LOOK_S
    while at < LONGEST_S:
        yield at
        at += max(LOOK_S, LOOK_GROWTH * at)


def stopped_at(cell: Cell) -> float | None:
    """Return when measuring would have stopped by itself, s; None where time was up first."""
    sure_looks = 0
    for at in looks():
        sure_looks = sure_looks + 1 if known_at(cell, at, PRECISION).reached else 0
        if sure_looks >= SURE_LOOKS:
            return at
    return None


def row(name: str, source: Source, runs: int) -> list[str]:
    truth = truth_of(source)
    short, long, stopped = (Score(), Score()), (Score(), Score()), (Score(), Score())
    times: list[float] = []
    within = cut = 0
    for run in range(runs):
        cell = source(random.Random(1 + run), float(LONGEST_S))
        when = stopped_at(cell)
        times.append(LONGEST_S if when is None else when)
        cut += mser5(cell.tokens[: 60 * BINS_PER_S]) is not None
        for at, scores in ((30.0, short), (120.0, long), (when, stopped)):
            if at is None:
                continue
            series, latencies = part(cell, at)
            known = known_at(cell, at)
            tokens, middle_s = fmean(series), median(latencies)
            scores[0].take(tokens, known.tokens_per_s_half_width, truth.tokens)
            scores[1].take(middle_s, known.e2e_p50_half_width_s, truth.median_s)
            if scores is stopped:
                apart = max(abs(tokens / truth.tokens - 1), abs(middle_s / truth.median_s - 1))
                within += apart <= PRECISION
    counted = stopped[0].known
    return [
        name,
        *(score.words(runs) for score in (*short, *long)),
        *(score.words(counted) for score in stopped),
        f"{counted / runs:.0%}, {median(times):.0f} s" if counted else f"not reached in {LONGEST_S} s",
        f"{within / counted:.0%}" if counted else "–",
        f"{truth.known_after_s:.0f} s",
        f"{cut / runs:.0%}",
    ]


HEAD = [
    "process",
    "30 s: tokens/s",
    "median",
    "120 s: tokens/s",
    "median",
    "stopped: tokens/s",
    "median",
    "stops, after",
    "both truly within 5 %",
    "cannot be known before",
    "warm-up over by MSER-5",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="put the table into docs/precision.md")
    options = parser.parse_args()
    lines = ["| " + " | ".join(HEAD) + " |", "|" + " --- |" * len(HEAD)]
    for name, source in SOURCES.items():
        lines.append("| " + " | ".join(row(name, source, options.runs)) + " |")
        print(lines[-1], flush=True)
    table = "\n".join(lines) + f"\n\n{options.runs} runs each.\n"
    if options.write:
        text = PAGE.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        PAGE.write_text(before + BEGIN + table + END + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
