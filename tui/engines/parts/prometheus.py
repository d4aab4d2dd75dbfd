"""Prometheus text, read for the few families that are wanted."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

Samples = Sequence[tuple[Mapping[str, str], float]]
"""(labels, value) of one family."""


def samples_of(text: str, wanted: Collection[str]) -> dict[str, list[tuple[Mapping[str, str], float]]]:
    """Return the finite samples of the wanted names; what cannot be read is left out. Never raises."""
    # The load workers import the modules of engines for their dialects, and have no use for this.
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for line in text.splitlines():
        # Nine lines in ten are buckets that nobody asked for; parsing those as well would cost ten times as much.
        if line.partition("{")[0].partition(" ")[0] not in wanted:
            continue
        try:
            for family in text_string_to_metric_families(line):
                for sample in family.samples:
                    if math.isfinite(sample.value):
                        samples.setdefault(sample.name, []).append((sample.labels, sample.value))
        except Exception:  # noqa: S112 - the parser raises whatever its string operations do
            continue
    return samples


def total(samples: Mapping[str, Samples], names: Sequence[str]) -> float | None:
    """Return the sum over all labels of the first of `names` that there is; None where there is none."""
    for name in names:
        values = [value for _labels, value in samples.get(name, ())]
        if values:
            return math.fsum(values)
    return None
