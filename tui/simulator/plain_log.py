"""The log of a system that is attached to only: nothing is known of its lines but the words for its failures."""

from __future__ import annotations

from collections.abc import Mapping

from tui.simulator.dialect import out_of_memory
from tui.simulator.log import MARK, ServerLog


class PlainLog(ServerLog):
    """The least that is to be said, `simulated NAME: ...`."""

    name = "server"
    no_kv_cache = "not enough memory for the KV cache"
    """Its own words."""

    def banner(self, model: str, host: str, port: int, arguments: Mapping[str, object]) -> None:
        """Say who this is."""
        self.say(f"{model} at {host}:{port}; {MARK}")

    def loading(self, model: str) -> None:
        """Say that the weights are being read."""
        self.say(f"loading {model}")

    def kv_cache(self, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say how large the KV cache is."""
        self.say(f"KV cache of {tokens} tokens")

    def ready(self, address: str, paths: list[tuple[str, str]]) -> None:
        """Say where the server answers."""
        self.say(f"ready at {address}")

    def out_of_memory_at_start(self, total_bytes: int) -> None:
        """Say that the weights do not fit."""
        self.say(f"torch.OutOfMemoryError: {out_of_memory(total_bytes)}")

    def kv_cache_too_small(self, needed_bytes: int, available_bytes: int, tokens: int, max_model_len: int) -> None:
        """Say that the KV cache cannot hold one longest request."""
        self.say(self.no_kv_cache)

    def out_of_memory(self, total_bytes: int) -> None:
        """Say that the engine died of memory under load."""
        self.say(f"torch.OutOfMemoryError: {out_of_memory(total_bytes)}")

    def worker_killed(self) -> None:
        """Say that a process of the engine was killed by somebody."""
        self.say("ERROR a process of the engine was killed by signal 9")

    def came_back(self) -> None:
        """Say that another engine is up."""
        self.say("another engine is up")

    def say(self, text: str) -> None:
        """Say a line."""
        self.raw(f"simulated {self.name}: {text}")
