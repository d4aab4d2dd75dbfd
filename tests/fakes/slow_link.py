"""A cable that takes its time, one way more than the other: `python slow_link.py NAME NAME`, the names of its two ends.

Each end is a TAP device, to be put wherever it is wanted. A line "MS MS" is the delay from the second end to the
first, and back; OK answers it. It ends with its input, and its ends with it. (Few kernels have netem.)
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import time
from collections import deque

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
MOST_FRAMES = 10_000


def end_named(name: str) -> int:
    """Make a device; return what reads and writes its frames."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return device


def main() -> None:
    """Pass frames on until the input ends."""
    near, far = end_named(sys.argv[1]), end_named(sys.argv[2])
    delay_s = {far: 0.0, near: 0.0}
    to = {far: near, near: far}
    waiting: dict[int, deque[tuple[float, bytes]]] = {far: deque(), near: deque()}
    os.write(1, b"OK\n")
    while True:
        due = min((queue[0][0] for queue in waiting.values() if queue), default=None)
        wait_s = None if due is None else max(0.0, due - time.monotonic())
        readable, _, _ = select.select([far, near, 0], [], [], wait_s)
        if 0 in readable:
            if not (line := sys.stdin.readline()):
                return
            delay_s[far], delay_s[near] = (float(word) / 1e3 for word in line.split())
            os.write(1, b"OK\n")
        now = time.monotonic()
        for end in (far, near):
            if end in readable:
                try:
                    while len(waiting[end]) < MOST_FRAMES:
                        waiting[end].append((now + delay_s[end], os.read(end, 65536)))
                except OSError:  # no more for now, or the device is not up yet
                    pass
            while waiting[end] and waiting[end][0][0] <= now:
                _, frame = waiting[end].popleft()
                try:
                    os.write(to[end], frame)
                except OSError:  # its end is down: the frame is lost
                    pass


if __name__ == "__main__":
    main()
