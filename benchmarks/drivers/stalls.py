"""How much of a core the machine itself withholds: by a program that does nothing but look at the clock.

    python drivers/stalls.py SECONDS

Prints the share of that time which went by in gaps of more than 0.3 ms, in which no stamp can be taken. On an idle core
they are the host's doing (a virtual machine that has to wait for its turn), which no figure of the guest tells.
"""

from __future__ import annotations

import sys
from time import monotonic_ns

SHORTEST_NS = 300_000


def main(seconds: float) -> None:
    began_ns = last_ns = monotonic_ns()
    until_ns = began_ns + round(seconds * 1e9)
    withheld_ns = 0
    while last_ns < until_ns:
        now_ns = monotonic_ns()
        if now_ns - last_ns > SHORTEST_NS:
            withheld_ns += now_ns - last_ns
        last_ns = now_ns
    print(withheld_ns / (last_ns - began_ns))


if __name__ == "__main__":
    main(float(sys.argv[1]))
