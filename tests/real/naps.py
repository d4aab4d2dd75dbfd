"""Have vLLM's processes nap where they yield, in environments for tests on a few cores.

Two of them wait for each other by yielding without end. Where the kernel keeps a group for each session (autogroups;
seen with Linux 6.18 on two cores) the cores are then withheld from other sessions for seconds, the load worker's too:
beside eight requests a program that does nothing but sleep woke up to 3.2 s late, and 4 ms late beside naps.
"""

import os
import time

_NAP_S = 20e-6


def _nap() -> None:
    time.sleep(_NAP_S)


os.sched_yield = _nap
