"""What a worker counts across all its users between two reports."""

from __future__ import annotations

from bisect import bisect_left

from tui.load.wire import BUCKET_NS


class Tally:
    """Tokens by the time they arrived, and token-bearing events."""

    __slots__ = ("arrivals_ns", "more_tokens")

    def __init__(self) -> None:
        self.arrivals_ns: list[int] = []
        """When each token-bearing event arrived: all that is done once per token; the rest waits for `take`."""
        self.more_tokens: dict[int, int] = {}
        """Tokens beyond one per event, by bucket."""

    def add_more(self, at_ns: int, tokens: int) -> None:
        """Count tokens that arrived at `at_ns` beyond those of `arrivals_ns`."""
        bucket = at_ns // BUCKET_NS
        self.more_tokens[bucket] = self.more_tokens.get(bucket, 0) + tokens

    def take(self) -> tuple[list[tuple[int, int]], int]:
        """Return (start of bucket in ns, tokens) for each bucket, and the events; start again from nothing."""
        arrivals_ns, buckets = self.arrivals_ns, self.more_tokens
        self.arrivals_ns, self.more_tokens = [], {}
        arrivals_ns.sort()
        counted = 0
        while counted < len(arrivals_ns):
            bucket = arrivals_ns[counted] // BUCKET_NS
            after = bisect_left(arrivals_ns, (bucket + 1) * BUCKET_NS, counted)
            buckets[bucket] = buckets.get(bucket, 0) + after - counted
            counted = after
        return sorted((bucket * BUCKET_NS, tokens) for bucket, tokens in buckets.items() if tokens), len(arrivals_ns)
