"""The nodes of a Ray cluster as hosts. Ray itself is in a process of its own, the bridge: nothing here imports it."""

from __future__ import annotations

import asyncio
import re
import sys

from tui.core.safe_text import safe_line
from tui.hosts.line import Line
from tui.hosts.remote_host import RemoteHost
from tui.hosts.wire import Places, decode_from_agent
from tui.profile.load_hosts import RayPlace

START_TIMEOUT_S = 90.0
# A bridge that is killed leaves its actors on the nodes until Ray Client gives up hoping for it, half a minute later.
END_GRACE_S = 10.0
BRIDGE = 0xFFFF
"""The place of the bridge itself."""
_SAID: tuple[tuple[str, str], ...] = (
    (r"No module named '?\"?ray", "needs Ray: pip install 'vramp[ray]'"),
    (r"version mismatch", "runs other versions of Ray or Python than this machine"),
    (r"no cluster at ", "has no cluster to connect to"),
)


class Cluster:
    """The bridge to a cluster, started again when it dies, and the hosts behind it."""

    def __init__(self, place: RayPlace, *, python: str = sys.executable) -> None:
        """`python`: one that has Ray and vramp."""
        self._place = place
        self._python = python
        self._line: Line | None = None
        self._opening = asyncio.Lock()
        self._places: asyncio.Future[Places] | None = None
        self.hosts: list[RemoteHost] = []

    async def open(self) -> None:
        """Connect, and learn which nodes there are. Raises OSError that says why that cannot be."""
        line = await self._bridge()
        assert self._places is not None
        places = await self._places
        if not places.places:
            await line.close()
            raise OSError(f"{self._place.name} has no node with a CPU")
        self.hosts = [
            RemoteHost(
                safe_line(place.name, limit=80),
                self._bridge,
                place=place.number,
                shared=True,
                connect_timeout_s=START_TIMEOUT_S,
            )
            for place in places.places
        ]

    async def close(self) -> None:
        """End the bridge, and with it all that it started on the nodes."""
        if self._line is not None:
            await self._line.close()
            self._line = None

    # What the bridge tells.

    def hear(self, worker: int, body: bytes) -> None:
        """Take what the bridge says of itself."""
        message = decode_from_agent(body)
        if isinstance(message, Places) and self._places is not None and not self._places.done():
            self._places.set_result(message)

    def hear_no_more(self, why: str) -> None:
        """Take it that the bridge is gone."""
        if self._places is not None and not self._places.done():
            self._places.set_exception(OSError(f"{self._place.name} {why}"))
            self._places.exception()  # whoever waits is told; there may be nobody any more

    async def _bridge(self) -> Line:
        async with self._opening:
            if self._line is None or self._line.ended:
                if self._line is not None:
                    await self._line.close()
                argv = [self._python, "-P", "-m", "tui.hosts.ray_bridge", self._place.address]
                self._line = await Line.open(argv, explain=_explained, end_grace_s=END_GRACE_S)
                self._places = asyncio.get_running_loop().create_future()
                self._line.listen_at(BRIDGE, self)
            assert self._places is not None
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await asyncio.shield(self._places)
            except TimeoutError:
                raise OSError(f"{self._place.name} did not answer within {START_TIMEOUT_S:g} s") from None
            return self._line


def _explained(said: str) -> str:
    for pattern, words in _SAID:
        if re.search(pattern, said, re.IGNORECASE):
            return f"{words} ({said.rpartition(' / ')[2]})"
    return f"is no longer connected{': ' if said else ''}{said}"
