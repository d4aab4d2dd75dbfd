"""What the size of the KV cache foretells."""

from __future__ import annotations

from tui.metrics.boundary import KvPool, must_queue


def test_cells_that_do_not_fit_at_once_must_queue() -> None:
    assert must_queue(KvPool(tokens=4096), [2, 16], [64, 512], 64) == [(16, 512)]
    assert must_queue(KvPool(tokens=2048), [16], [64], 64) == []  # just fits
    assert must_queue(KvPool(tokens=2047), [16], [64], 64) == [(16, 64)]
    assert must_queue(KvPool(), [1024], [8192], 64) == []
