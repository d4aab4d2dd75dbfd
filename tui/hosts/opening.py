"""The hosts that a profile names, opened: reached, of the same version, and able to reach the server."""

from __future__ import annotations

import asyncio

from tui.core.errors import VrampError
from tui.hosts.agent import machine
from tui.hosts.cluster import Cluster
from tui.hosts.remote_host import RemoteHost
from tui.hosts.ssh import ssh_host
from tui.load.local_host import LocalHost
from tui.load.transport import Host
from tui.profile.load_hosts import RayPlace, SshPlace, places_of
from tui.profile.schema import Profile


class OpenHosts:
    """All hosts that users of one bench ask from."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self._remote: list[RemoteHost] = []
        self._cluster: Cluster | None = None

    async def open(self, profile: Profile) -> None:
        """Reach all hosts of a profile, once. Raises VrampError that says of each one why it cannot be used."""
        if self.hosts:
            return
        try:
            await self._open(profile)
        except BaseException:
            await self.close()
            raise

    async def _open(self, profile: Profile) -> None:
        for place in places_of(profile.load.hosts):
            match place:
                case None:
                    self.hosts.append(LocalHost())
                case SshPlace():
                    self._remote.append(ssh_host(place))
                    self.hosts.append(self._remote[-1])
                case RayPlace():
                    self._cluster = Cluster(place)
                    await self._open_cluster(self._cluster)
        outcomes = await asyncio.gather(*(host.connect() for host in self._remote), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, OSError):
                raise outcome
        if mistakes := [str(outcome) for outcome in outcomes if outcome is not None]:
            raise VrampError("; ".join(mistakes))
        here = machine()
        if mistake := profile.out_of_reach_of([host.name for host in self._remote if host.machine != here]):
            raise VrampError(mistake)

    @property
    def elsewhere(self) -> list[RemoteHost]:
        """Return those that are other machines than this."""
        here = machine()
        return [host for host in self._remote if host.machine != here]

    async def close(self) -> None:
        """Leave nothing on any host."""
        await asyncio.gather(*(host.close() for host in self._remote))
        if self._cluster is not None:
            await self._cluster.close()
        self.hosts, self._remote, self._cluster = [], [], None

    async def _open_cluster(self, cluster: Cluster) -> None:
        try:
            await cluster.open()
        except OSError as error:
            raise VrampError(str(error)) from None
        self._remote += cluster.hosts
        self.hosts += cluster.hosts
