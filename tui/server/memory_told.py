"""What a server's log says of the memory that it takes of each GPU."""

from __future__ import annotations

from collections.abc import Iterable

from tui.engines.base import LogFact

_ALIKE = 0.02


class MemoryTold:
    """Weights and KV cache of one GPU, bytes; None where it is not told, or told differently by several workers.

    Workers of tensor parallelism take the same of each GPU, and most logs have the line of one of them on each node;
    with pipeline parallelism they do not, and nothing says which line is of which GPU of a node.
    """

    def __init__(self) -> None:
        self._weights: list[tuple[str, int]] = []
        self._kv_caches: list[tuple[str, int]] = []

    def note(self, fact: LogFact) -> None:
        """Take what a log line tells."""
        if fact.weights_bytes is not None:
            self._weights.append((fact.address, fact.weights_bytes))
        if fact.kv_cache_bytes is not None:
            self._kv_caches.append((fact.address, fact.kv_cache_bytes))

    @property
    def weights_bytes(self) -> int | None:
        """Return what the weights take of each GPU."""
        return _agreed([told for _, told in self._weights])

    @property
    def kv_cache_bytes(self) -> int | None:
        """Return what the KV cache takes of each GPU."""
        return _agreed([told for _, told in self._kv_caches])

    def at(self, addresses: Iterable[str]) -> tuple[int | None, int | None]:
        """Return weights and KV cache of each GPU of one machine by what its own workers say; "" = this machine."""
        here = frozenset(addresses)
        weights = _agreed([told for address, told in self._weights if address in here])
        return weights, _agreed([told for address, told in self._kv_caches if address in here])


def _agreed(told: list[int]) -> int | None:
    return told[-1] if told and max(told) - min(told) <= _ALIKE * max(told) else None
