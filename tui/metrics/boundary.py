"""How many users a KV cache holds, in whole blocks: as predicted, and as measured. Pure.

vLLM hands its cache out in blocks, one of which stands for nothing (the null block), and gives a request
ceil(tokens / block size) of them (vllm/v1/core/block_pool.py, kv_cache_utils.py). Hybrid models have larger blocks, for
a page of attention must hold a state of Mamba's, and a request has a block for its state in each group of such layers,
however short it is. Prompts of ours share no prefix, so that no block serves two requests.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.limits import Limit


class KvPool(msgspec.Struct, frozen=True, kw_only=True):
    """The KV cache of a server, as far as it tells."""

    tokens: int | None = None
    blocks: int | None = None
    """That requests can have: without the null block of each engine."""
    block_size: int | None = None
    """Tokens."""
    state_blocks: int = 0
    """Further blocks that a request has whatever its length: the states of the model's Mamba layers."""

    def requests_of(self, tokens: int) -> int | None:
        """Return how many requests of so many tokens, prompt and answer, it holds at once; None where not known."""
        if self.blocks is not None and self.block_size:
            return self.blocks // (-(-tokens // self.block_size) + self.state_blocks)
        return self.tokens // tokens if self.tokens is not None else None


class Edge(msgspec.Struct, frozen=True, kw_only=True):
    """For one prompt size, how many users the KV cache or the memory carries."""

    prompt_tokens: int
    predicted: int | None = None
    """So many have all their requests in the KV cache at once, by arithmetic."""
    measured: int | None = None
    """The most users of a measured cell, below all in which KV cache or memory gave out; 0 = it did in all."""
    beyond: int | None = None
    """The fewest users of a measured cell in which they gave out; None = in none: the edge is not reached."""


_MEMORY = frozenset({Limit.KV_CACHE, Limit.MEMORY})


def edges(pool: KvPool, cells: Iterable[CellResult], prompt_tokens: Iterable[int], output_tokens: int) -> list[Edge]:
    """Return the edge of each prompt size of which something is known."""
    held: dict[int, list[int]] = {}
    gone: dict[int, list[int]] = {}
    for cell in cells:
        if cell.verdict is not None and cell.verdict.limit in _MEMORY:
            gone.setdefault(cell.prompt_tokens, []).append(cell.users)
        elif cell.outcome is Outcome.OK:
            held.setdefault(cell.prompt_tokens, []).append(cell.users)
    found = []
    for size in prompt_tokens:
        beyond = min(gone.get(size, ()), default=None)
        below = [users for users in held.get(size, ()) if beyond is None or users < beyond]
        measured = max(below, default=0 if beyond is not None else None)
        predicted = pool.requests_of(size + output_tokens)
        if predicted is not None or measured is not None:
            found.append(Edge(prompt_tokens=size, predicted=predicted, measured=measured, beyond=beyond))
    return found


def must_queue(
    pool: KvPool, users: Iterable[int], prompt_tokens: Iterable[int], output_tokens: int
) -> list[tuple[int, int]]:
    """Return the cells (users, prompt_tokens) some of whose requests must wait for a place in the KV cache.

    None where its size is not known; where its blocks are not, a cell that just fits may queue as well.
    """
    found = []
    sizes = list(users)
    for prompt in prompt_tokens:
        fit = pool.requests_of(prompt + output_tokens)
        if fit is not None:
            found += [(n, prompt) for n in sizes if n > fit]
    return found
