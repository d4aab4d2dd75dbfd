"""Which cells cannot have all their requests in the server's KV cache at once. Pure arithmetic, known in advance."""

from __future__ import annotations

from collections.abc import Iterable


def must_queue(
    kv_cache_tokens: int | None, users: Iterable[int], prompt_tokens: Iterable[int], output_tokens: int
) -> list[tuple[int, int]]:
    """Return the cells (users, prompt_tokens) some of whose requests must wait; none where the size is not known.

    A lower bound: a cache is handed out in whole blocks, so a cell that just fits may queue as well.
    """
    if kv_cache_tokens is None:
        return []
    sizes = list(users)
    return [(n, p) for p in prompt_tokens for n in sizes if n * (p + output_tokens) > kv_cache_tokens]
