"""Prompts of exact token counts, no two alike, and how to learn from a server's /tokenize what they are made of. Pure.

A prefix cache works block by block, each block chained to the one before. So a prompt whose first tokens are new is new
as a whole, and the long rest can be shared: it is encoded once, and a body of 50,000 tokens costs no more than a short
one.
"""

from __future__ import annotations

import random
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tui.engines.base import RequestShape
from tui.load.wire import PromptSource

TOKEN_IDS = "token-ids"  # noqa: S105 - not a password
TEXT = "text"
# A block, or a path in a tree of prefixes, is another when its first few tokens are: eight out of a few hundred words
# already make more prompts than anybody will ever send.
UNIQUE_TOKENS = 8


class PromptMaker:
    """Makes the bodies of requests of one shape, each with a prompt of its own."""

    def __init__(
        self, shape: RequestShape, source: PromptSource, seed: int | None = None, like: PromptMaker | None = None
    ) -> None:
        """Encode what is shared. `seed`: None = differs each time; `like`: one of the same source, which spares its
        encoding. Raises ValueError for what cannot be made.
        """
        if shape.prompt_kind != source.kind:
            raise ValueError(f"the request wants a prompt of {shape.prompt_kind}, but the source has {source.kind}")
        pool: list[bytes] = _encoded_pool(source) if like is None else like._pool
        if not pool:
            raise ValueError("nothing to make prompts of: no token ids, no words")
        own = shape.prompt_tokens - shape.prompt_tokens_overhead
        if own < 1:
            raise ValueError(
                f"a prompt of {shape.prompt_tokens} tokens cannot be made: "
                f"the server adds {shape.prompt_tokens_overhead} by itself"
            )
        self._draw = random.Random(seed)
        self._pool: list[bytes] = pool
        self._unique = min(own, UNIQUE_TOKENS)
        ids = source.kind == TOKEN_IDS
        self._separator = b"," if ids else b" "
        rest = self._draw.choices(pool, k=own - self._unique)
        self._head = shape.body_head + (b"[" if ids else b'"')
        self._tail = b"".join(self._separator + piece for piece in rest) + (b"]" if ids else b'"') + shape.body_tail

    def make(self) -> tuple[bytes, bytes]:
        """Return the next body in two pieces; the second is one and the same object each time."""
        unique = self._separator.join(self._draw.choices(self._pool, k=self._unique))
        return self._head + unique, self._tail


def pack_token_ids(ids: Iterable[int]) -> bytes:
    """Return ids as `PromptSource.token_ids` holds them."""
    packed = array("I", ids)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_token_ids(packed: bytes) -> list[int]:
    """Return the ids of `PromptSource.token_ids`."""
    ids = array("I", packed)
    if sys.byteorder == "big":
        ids.byteswap()
    return ids.tolist()


def _encoded_pool(source: PromptSource) -> list[bytes]:
    if source.kind == TOKEN_IDS:
        return [b"%d" % token for token in unpack_token_ids(source.token_ids)]
    if source.kind == TEXT:
        return [msgspec.json.encode(word)[1:-1] for word in source.words]
    raise ValueError(f"a prompt source of kind {source.kind!r}: expected {TOKEN_IDS} or {TEXT}")


# Learning from /tokenize what prompts are made of.

_COMMON = """
the of and to in is was for as on with by he at from his an were are which this also be has or had first one their
its new after but who not they have her she two been other when there all school during time may year more most only
over city some world would where later up such used many can state about national out known university united then
made house water music group people high team number part small good long work system name life book line large day
family land home public local field open game early late left right north south east west river road station town
church film series season member player party law war army force air ship train car light power red white black blue
green hand head face eye door wall table tree stone hill sea lake island bridge street garden king queen court order
form study science history language story paper letter voice image color sound food animal horse dog bird fish plant
summer winter morning night week month hour minute second third final main major minor single double
"""
COMMON_WORDS = tuple(_COMMON.split())
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def sample_texts() -> tuple[str, str]:
    """Return two varied texts that share neither beginning nor end, to be tokenised for `safe_token_ids`."""
    half = len(COMMON_WORDS) // 2
    pairs = [first + second for first in _LETTERS for second in _LETTERS]
    return (
        " ".join([*COMMON_WORDS[:half], *pairs[::2], "0 1 2 3 4 alpha"]),
        " ".join([*reversed(COMMON_WORDS[half:]), *pairs[1::2], "9 8 7 6 5 omicron"]),
    )


def safe_token_ids(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Return the distinct ids of two tokenised texts that differ at both ends, without what the server adds to both.

    What two such texts have in common at their beginning or end are special tokens (BOS, a chat template): an id that
    stands there is left out wherever it stands.
    """
    special: set[int] = set()
    for one, other in ((first, second), (first[::-1], second[::-1])):
        for left, right in zip(one, other, strict=False):
            if left != right:
                break
            special.add(left)
    return sorted((set(first) | set(second)) - special)


REPEATS = 9


def probe_texts(word: str) -> tuple[str, str]:
    """Return the two texts whose token counts tell whether `word` is one token: once, and REPEATS times."""
    return word, " ".join([word] * REPEATS)


def one_token_words(counts: Mapping[str, tuple[int, int]]) -> tuple[list[str], int]:
    """Return the words that cost one token each, and how many tokens the server adds to each prompt by itself.

    `counts`: word → the server's token counts of its two `probe_texts`, asked in the way prompts will be (a chat
    template included). Words of one token behind a space, but of more at the beginning, are left out: the overhead is
    that of most words. Returns ([], 0) when no word will do.
    """
    fitting = {word: once - 1 for word, (once, many) in counts.items() if many - once == REPEATS - 1}
    if not fitting:
        return [], 0
    overhead = min(Counter(fitting.values()).items(), key=lambda item: (-item[1], item[0]))[0]
    return [word for word, extra in fitting.items() if extra == overhead], overhead
