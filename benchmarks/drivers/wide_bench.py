"""A bench with as many load workers as it is told, on a machine that has fewer cores.

    python drivers/wide_bench.py WORKERS USERS [--unjudged] < SPEC

The users are spread evenly from the first: what a machine with so many cores comes to. Unjudged: cells have no verdict,
no interval and no edge, to see what these cost.
"""

from __future__ import annotations

import os
import sys

from unjudged import judge_nothing

from tui.bench.__main__ import main
from tui.load import pool

if __name__ == "__main__":
    workers, users = int(sys.argv[1]), int(sys.argv[2])
    if "--unjudged" in sys.argv:
        judge_nothing()
    os.cpu_count = lambda: workers
    pool.USERS_PER_WORKER = -(-users // workers)
    sys.exit(main())
