"""What the log of a simulated server says: the contract, and what all of them share."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TextIO

MARK = "SIMULATED by vramp: no GPU computes here, all figures come from a model"
GIB = 1024**3


class ServerLog(ABC):
    """Writes the lines of a start, of work and of an end. What a system does not say, it does not."""

    def __init__(self, cards: int) -> None:
        self.cards = cards

    def raw(self, text: str) -> None:
        """Say something as it is, on stderr."""
        write(sys.stderr, text + "\n")

    def port_taken(self, host: str, port: int, why: str) -> None:
        """Say that a port cannot be had."""
        self.raw(f"OSError: [Errno 98] {why}: ('{host}', {port})")

    @abstractmethod
    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is: SIMULATED; and, where it is said, with which arguments it runs, by their names in Python."""

    def config(self, model: str, max_model_len: int) -> None:  # noqa: B027
        """Say that the configuration is read."""

    @abstractmethod
    def loading(self, model: str) -> None:
        """Say that the weights are being read."""

    def shard(self, done: int, shards: int) -> None:  # noqa: B027
        """Say how far the reading is."""

    def loaded(self, weights_bytes: int, took_s: float) -> None:  # noqa: B027
        """Say that the weights are on the cards."""

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:  # noqa: B027
        """Say how large the KV cache is."""

    def graphs(self, took_s: float) -> None:  # noqa: B027
        """Say that CUDA graphs were captured."""

    @abstractmethod
    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers; `paths` with their methods."""

    def throughput(  # noqa: B027
        self, prompt_per_s: float, output_per_s: float, running: int, waiting: int, kv: float, hits: float
    ) -> None:
        """Say how much is done, every ten seconds."""

    @abstractmethod
    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""

    @abstractmethod
    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the KV cache cannot hold one longest request."""

    @abstractmethod
    def out_of_memory(self, total_bytes: int) -> None:
        """Say that the engine died of CUDA out of memory under load."""

    @abstractmethod
    def worker_killed(self) -> None:
        """Say that a process of the engine was killed by somebody."""

    def came_back(self) -> None:  # noqa: B027
        """Say that another engine is up."""


def write(stream: TextIO, text: str) -> None:
    """Write to the log, which nobody may be reading any more: the streams must still get their ends."""
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        pass


def utc(form: str = "%Y-%m-%dT%H:%M:%S.000000Z") -> str:
    """Return the time of day, UTC."""
    return time.strftime(form, time.gmtime())
