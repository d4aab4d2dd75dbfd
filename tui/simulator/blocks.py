"""The KV cache as a pool of blocks, with a prefix cache on top, after vLLM's v1 block pool. Pure.

A block that holds a full piece of a prompt carries that piece's hash and can be shared; when nobody uses it any more
it stays, idle, until its room is needed (least recently used goes first). All other blocks are alike and only
counted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence


class BlockTable:
    """The blocks that one sequence holds."""

    __slots__ = ("private", "shared")

    def __init__(self) -> None:
        self.shared: list[int] = []
        """The hashes of its prompt's leading full blocks, in order."""
        self.private = 0

    @property
    def held(self) -> int:
        """Return the number of blocks."""
        return len(self.shared) + self.private


class BlockPool:
    """All blocks of the KV cache; `blocks` of `block_size` tokens each."""

    def __init__(self, blocks: int, block_size: int) -> None:
        if blocks < 1 or block_size < 1:
            raise ValueError(f"found {blocks} blocks of {block_size} tokens, expected at least one of each")
        self.blocks = blocks
        self.block_size = block_size
        self._private = 0
        self._users: dict[int, int] = {}
        self._idle: OrderedDict[int, None] = OrderedDict()

    @property
    def used(self) -> int:
        """Return how many blocks belong to sequences now."""
        return self._private + len(self._users)

    @property
    def idle(self) -> int:
        """Return how many blocks nobody uses but that still hold a known prefix."""
        return len(self._idle)

    @property
    def usage(self) -> float:
        """Return the used share, 0 to 1."""
        return self.used / self.blocks

    def claim_prefix(self, table: BlockTable, hashes: Sequence[int]) -> int:
        """Give `table`, which is empty, the leading blocks of `hashes` that are known. Return their number."""
        for block in hashes:
            if block in self._users:
                self._users[block] += 1
            elif block in self._idle:
                del self._idle[block]
                self._users[block] = 1
            else:
                break
            table.shared.append(block)
        return len(table.shared)

    def grow(self, table: BlockTable, tokens: int) -> bool:
        """Let `table` hold `tokens` tokens; False, and nothing changed, when the blocks do not suffice."""
        wanted = -(-tokens // self.block_size) - len(table.shared) - table.private
        if wanted <= 0:
            return True
        if wanted > self.blocks - self.used:
            return False
        table.private += wanted
        self._private += wanted
        while self.used + len(self._idle) > self.blocks:
            self._idle.popitem(last=False)
        return True

    def publish(self, table: BlockTable, block: int) -> bool:
        """Make one private block of `table` shareable under its hash; False when the hash is taken already."""
        if block in self._users or block in self._idle:
            return False
        table.private -= 1
        self._private -= 1
        table.shared.append(block)
        self._users[block] = 1
        return True

    def release(self, table: BlockTable) -> None:
        """Take all blocks of `table` back; the tail of a prefix becomes idle first, so that it is evicted first."""
        for block in reversed(table.shared):
            self._users[block] -= 1
            if not self._users[block]:
                del self._users[block]
                self._idle[block] = None
        self._private -= table.private
        table.shared.clear()
        table.private = 0
