"""A bench whose load workers play what they tell (`player.py`), on so many hosts, all of which are this machine.

    python drivers/played_bench.py WORKERS HOSTS USERS RATE [--unjudged] < SPEC

The users are spread evenly from the first; each gets RATE tokens a second.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

from unjudged import judge_nothing

from tui.bench import testbed
from tui.bench.__main__ import main
from tui.hosts.opening import OpenHosts
from tui.load import pool
from tui.load.local_host import LocalHost, LocalTransport, start_worker

PLAYER = str(Path(__file__).with_name("player.py"))


class PlayerHost(LocalHost):
    """This machine, by another name."""

    def __init__(self, name: str, workers: int, rate: str) -> None:
        super().__init__(workers)
        self.name = name
        self._rate = rate

    async def open_worker(self, number: int) -> LocalTransport:
        return await start_worker(number, (PLAYER, self._rate))


class PlayedHosts(OpenHosts):
    """What the testbed opens in place of the profile's hosts."""

    played: ClassVar[list[PlayerHost]] = []

    async def open(self, profile: object) -> None:
        self.hosts = [*self.played]


if __name__ == "__main__":
    workers, hosts, users, rate = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    if "--unjudged" in sys.argv:
        judge_nothing()
    pool.USERS_PER_WORKER = -(-users // workers)
    PlayedHosts.played = [PlayerHost(f"host{number}", workers // hosts, rate) for number in range(1, hosts + 1)]
    with patch.object(testbed, "OpenHosts", PlayedHosts):
        sys.exit(main())
