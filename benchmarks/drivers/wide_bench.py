"""A bench with as many load workers as it is told, on a machine that has fewer cores.

    python drivers/wide_bench.py WORKERS USERS < SPEC

The users are spread evenly from the first: what a machine with so many cores comes to.
"""

from __future__ import annotations

import os
import sys

from tui.bench.__main__ import main
from tui.load import pool

if __name__ == "__main__":
    workers, users = int(sys.argv[1]), int(sys.argv[2])
    os.cpu_count = lambda: workers
    pool.USERS_PER_WORKER = -(-users // workers)
    sys.exit(main())
