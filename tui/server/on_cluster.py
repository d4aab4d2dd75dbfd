"""What a launch has on the other machines of its Ray cluster: looked at before, told of while it runs, proved gone.

asyncio, in the bench; the cluster is asked in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from tui.core.tasks import background, end_task
from tui.engines.base import FailureClass, LaunchPlan, RayJob
from tui.engines.ray_serve.launch import ATTACH_INSTEAD, SERVES_ALREADY
from tui.server.launch_failure import LaunchFailed, failure_report
from tui.server.ray_cluster import ClusterState, ClusterUnknown, RayCluster

RELEASE_TIMEOUT_S = 20.0
"""So long Ray may take to end what is left when the program that asked for it has ended; then it is told to."""
LOOK_AGAIN_S = 30.0
"""It takes half a second of a core, beside what is measured."""
_PAUSE_S = 0.5
Say = Callable[[str, str], None]
"""Takes a text and its level."""


class OnCluster:
    """The part of one launch that runs elsewhere."""

    def __init__(self, command: Sequence[str], plan: LaunchPlan, job: RayJob, say: Say) -> None:
        """`command`: what starts the server, in whose environment Ray is."""
        self._cluster = RayCluster(command, job.address, dict(plan.env))
        self._job = job
        self._say = say
        self._gpus = 0
        self.nodes: dict[str, int] = {}
        """How many GPUs it holds of which node, once it runs."""
        self.workers: dict[str, list[int]] = {}
        """Its processes by the addresses of their nodes, once it runs; replaced as a whole."""
        self._looking: asyncio.Task[None] | None = None
        self._looked_at_s = 0.0

    async def expect_room(self, gpus: int) -> None:
        """Raise LaunchFailed where the cluster does not answer, or has not so many free GPUs: vLLM would wait for half
        an hour."""
        try:
            state = await asyncio.to_thread(self._cluster.state)
        except ClusterUnknown as error:
            advice = (
                "Start it: `ray start --head` here, `ray start --address=HEAD:6379` on each other machine; or correct"
                " server.ray.address."
            )
            summary = f"The Ray cluster ({self._job.address}) cannot be asked"
            raise LaunchFailed(failure_report(FailureClass.RAY, summary, str(error), advice)) from None
        if self._job.serves and state.serves:
            raise LaunchFailed(failure_report(FailureClass.RAY, SERVES_ALREADY, "", ATTACH_INSTEAD))
        self._gpus = gpus
        if state.free_gpus < gpus:
            summary = f"{gpus} GPUs are asked for and the cluster has {room_in_words(state)}"
            advice = (
                "Free them (`ray status` says who has them), add nodes, or lower --tensor-parallel-size or"
                " --pipeline-parallel-size."
            )
            raise LaunchFailed(failure_report(FailureClass.TOO_MANY_GPUS, summary, "", advice))
        self._say(f"the Ray cluster at {state.address} has {room_in_words(state)}", "info")

    async def look(self) -> None:
        """Learn, and say, on which nodes it runs."""
        try:
            state = await asyncio.to_thread(self._cluster.state, self._job.mark)
        except ClusterUnknown as error:
            self._say(f"on which nodes it runs is not known: {error}", "warning")
            return
        self.nodes, self.workers = state.taken, state.workers
        if self.nodes:
            self._say(f"it holds {state.taken_in_words}", "info")
        elif self._gpus:
            self._say("it holds no GPU of the cluster that Ray knows of", "warning")

    def look_again(self) -> None:
        """Learn which its processes are now, since one of them is gone; returns at once, and does nothing too often."""
        if (self._looking is None or self._looking.done()) and time.monotonic() - self._looked_at_s >= LOOK_AGAIN_S:
            self._looked_at_s = time.monotonic()
            self._looking = background(self._look_again(), name="look-for-workers")

    async def _look_again(self) -> None:
        with contextlib.suppress(ClusterUnknown):  # it is asked again as long as one is gone
            self.workers = (await asyncio.to_thread(self._cluster.state, self._job.mark)).workers

    async def ended(self) -> None:
        """Wait until nothing of it is left on any node, see to it where Ray does not, and say so. Never raises."""
        if self._looking is not None:
            await end_task(self._looking)
        try:
            state = await self._gone_within(RELEASE_TIMEOUT_S)
            if not state.holds_nothing:
                self._say(f"Ray is told to end what is left: {state.left_in_words}", "warning")
                await asyncio.to_thread(self._cluster.release, self._job.mark)
                state = await self._gone_within(RELEASE_TIMEOUT_S)
        except ClusterUnknown as error:
            self._say(f"whether anything of it is left on the cluster is not known: {error}", "warning")
            return
        if state.holds_nothing:
            nodes = len(state.nodes)
            self._say(f"nothing of it is left on the cluster's {nodes} node{'' if nodes == 1 else 's'}", "info")
        else:
            self._say(f"could not be ended: {state.left_in_words}", "error")

    async def _gone_within(self, timeout_s: float) -> ClusterState:
        by = time.monotonic() + timeout_s
        while True:
            state = await asyncio.to_thread(self._cluster.state, self._job.mark)
            if state.holds_nothing or time.monotonic() > by:
                return state
            await asyncio.sleep(_PAUSE_S)


def room_in_words(state: ClusterState) -> str:
    """Return what a cluster has free, e.g. "8 free of 16 on 2 nodes"."""
    nodes = len(state.nodes)
    return f"{state.free_gpus} free of {state.gpus} on {nodes} node{'' if nodes == 1 else 's'}"
