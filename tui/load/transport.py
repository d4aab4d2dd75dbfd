"""What a pool needs of the hosts on which its workers run, and of the way to each worker. No sockets, no processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from tui.load.host_clock import HostClock


class Transport(Protocol):
    """The way to one worker, and the worker's life: frames down, frames up, until either ends."""

    @property
    def pid(self) -> int | None:
        """Return the worker's process id where it is a process of this machine."""

    def send(self, body: bytes) -> None:
        """Send a frame with this body down; nothing happens when the worker is gone."""

    def frames(self) -> AsyncIterator[bytes]:
        """Return the bodies of the frames that come up, in order, until the worker is gone. To be called once."""

    async def close(self) -> None:
        """End the worker, and wait until it is gone or out of reach; then it ends by itself. May be called again."""

    def why_gone(self) -> str:
        """Return what follows "load worker 3" in a sentence about its end, such as "was ended by signal 9"."""


class Host(Protocol):
    """Where workers run."""

    @property
    def name(self) -> str:
        """Return what it is called on the screen and in the session; "" = the machine that the bench runs on."""

    @property
    def cores(self) -> int:
        """Return how many workers it can have at most; 1 until that is known."""

    @property
    def clock(self) -> HostClock | None:
        """Return what is known of its clock; None where it is the bench's own."""

    @property
    def trouble(self) -> str:
        """Return why it is out of reach, a sentence that begins with its name; empty as far as it is there."""

    async def open_worker(self, number: int) -> Transport:
        """Start a worker there, once more after it was out of reach. Raises OSError that says why that cannot be."""
