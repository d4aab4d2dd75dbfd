"""The way to the nodes of a Ray cluster: `python -m tui.hosts.ray_bridge ADDRESS`. The only importer of Ray.

A process of its own, so that a bench need not carry Ray's threads and libraries. It has one actor on each node, which
has the node's agent (`tui.hosts.agent`) as a child and passes bytes on, both ways, by number: a call that failed on its
way is made again, and nothing is lost or taken twice. The actors die with this process, and the agents with them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Coroutine
from typing import IO, Any

import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tui.core.frames import FrameSplitter, read_frame
from tui.core.safe_text import safe_line
from tui.core.tasks import background
from tui.hosts.cluster import BRIDGE, END_GRACE_S
from tui.hosts.wire import (
    MAX_BYTES,
    Bye,
    Gone,
    Hello,
    Place,
    Places,
    decode_to_agent,
    pack,
    pack_message,
    unpack,
)

NUM_CPUS = 0.01
LOOK_S = 2.0
"""How often it is looked which nodes there are."""
HOLD_S = 1.0
"""How long an actor that has nothing to say holds the question."""
UNAVAILABLE_S = 10.0
END_S = 3.0
MOST_AT_ONCE = 8 * 1024 * 1024


class NodeActor:
    """Runs on a node. Its methods may be called again with what was given before: that is done once."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._given = 0
        self._first = 0
        self._chunks: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._said: deque[str] = deque(maxlen=20)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the agent."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tui.hosts.agent"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        with contextlib.suppress(PermissionError):
            # Ray has its workers stand back (nice 15), and users would ask late where others are at work. Root may
            # undo that; for others `RAY_worker_niceness` says it when a node is started.
            os.setpriority(os.PRIO_PROCESS, self._process.pid, 0)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._listen())]

    async def give(self, first: int, chunks: list[bytes]) -> None:
        """Pass chunks to the agent, of which the first has this number."""
        assert self._process is not None and self._process.stdin is not None
        for chunk in chunks[self._given - first :]:
            self._process.stdin.write(chunk)
        self._given = max(self._given, first + len(chunks))

    async def take(self, first: int) -> tuple[int, list[bytes], str | None]:
        """Return what the agent said from this chunk on, once there is some; with its last words when it is gone."""
        while self._first < first:
            self._chunks.popleft()
            self._first += 1
        if not self._chunks and not self._ended:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HOLD_S):
                    await self._news.wait()
        said, size = [], 0
        for chunk in self._chunks:
            said.append(chunk)
            size += len(chunk)
            if size > MOST_AT_ONCE:
                break
        is_last = self._ended and len(said) == len(self._chunks)
        return self._first, said, " / ".join(self._said) if is_last else None

    async def end(self) -> None:
        """End the agent by the end of its input, and wait for it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            await self._process.wait()

    async def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        while chunk := await self._process.stdout.read(1 << 18):
            self._chunks.append(chunk)
            self._news.set()
        await asyncio.wait(self._tasks[1:], timeout=2.0)
        self._ended = True
        self._news.set()

    async def _listen(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        while line := await self._process.stderr.readline():
            if words := line.decode("utf-8", "replace").strip():
                self._said.append(words)


class Node:
    """One node of the cluster as the bridge sees it, or the one that took its place."""

    def __init__(self, bridge: Bridge, place: int, node_id: str) -> None:
        self._bridge = bridge
        self._place = place
        self.node_id = node_id
        self._actor: Any = None
        self._down: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def take(self, worker: int, body: bytes) -> None:
        """Take a frame for the node's agent; the first word to one has it started."""
        if not worker:
            message = decode_to_agent(body)
            if isinstance(message, Bye):
                self._bridge.beside(self.leave())
                return
            if isinstance(message, Hello):
                self._begin()
        self._down.append(pack(0, worker, body))
        self._news.set()

    def lose(self, why: str) -> None:
        """Take it that nothing more comes from the node."""
        if self._tasks:
            self._bridge.say(pack_message(self._place, Gone(safe_line(why, limit=500))))
            self._bridge.beside(self.leave())

    def leave(self) -> Coroutine[Any, Any, None]:
        """Have no actor from now on; the coroutine leaves nothing on the node, as far as it can be reached."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        actor, self._actor = self._actor, None
        return _end(actor)

    def _begin(self) -> None:
        self._bridge.find_node_for(self)
        self._bridge.beside(self.leave())
        self._down = deque()
        strategy = NodeAffinitySchedulingStrategy(self.node_id, soft=False)
        self._actor = (
            ray.remote(NodeActor)
            .options(num_cpus=NUM_CPUS, scheduling_strategy=strategy, max_concurrency=16, max_restarts=0)
            .remote()
        )
        self._tasks = [background(self._serve(self._actor), name=f"node-{self._place}")]

    async def _serve(self, actor: Any) -> None:
        try:
            await actor.start.remote()
            giving = background(self._guarded(self._give(actor)), name=f"give-{self._place}")
            self._tasks.append(giving)
            await self._take(actor)
        except (RayError, OSError, ValueError) as error:
            self.lose(_reason(error))

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except (RayError, OSError) as error:
            self.lose(_reason(error))

    async def _give(self, actor: Any) -> None:
        given, down = 0, self._down
        while True:
            self._news.clear()
            if not down:
                await self._news.wait()
                continue
            chunks = list(down)
            await _insist(actor.give, given, chunks)
            given += len(chunks)
            for _ in chunks:
                down.popleft()

    async def _take(self, actor: Any) -> None:
        taken, splitter = 0, FrameSplitter(MAX_BYTES)
        while True:
            first, chunks, last_words = await _insist(actor.take, taken)
            for chunk in chunks[taken - first :]:
                for body in splitter.feed(chunk):
                    _, worker, said = unpack(body)
                    self._bridge.say(pack(self._place, worker, said))
            taken = max(taken, first + len(chunks))
            if last_words is not None:
                self.lose(f"has no agent any more: {last_words}" if last_words else "has no agent any more")
                return


async def _end(actor: Any) -> None:
    if actor is not None:
        with contextlib.suppress(RayError, TimeoutError):
            async with asyncio.timeout(END_S):
                await actor.end.remote()
        ray.kill(actor)


class Bridge:
    """All nodes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._nodes: list[Node] = []
        self._alive: dict[str, str] = {}
        """The names of the nodes that are there, by their ids."""
        self._beside: set[asyncio.Task[Any]] = set()

    async def serve(self) -> None:
        """Pass on what is said until the bench says no more."""
        self._alive = await asyncio.to_thread(_nodes)
        self._nodes = [Node(self, place, node_id) for place, node_id in enumerate(self._alive)]
        places = [Place(place, name) for place, name in enumerate(self._alive.values())]
        self.say(pack_message(BRIDGE, Places(places)))
        self.beside(self._look())
        try:
            while (body := await read_frame(self._reader, MAX_BYTES)) is not None:
                place, worker, said = unpack(body)
                if place < len(self._nodes):
                    self._nodes[place].take(worker, said)
                elif not worker and isinstance(decode_to_agent(said), Hello):
                    self.say(pack_message(place, Gone("is no longer in the cluster")))
        finally:
            await asyncio.gather(*(node.leave() for node in self._nodes), return_exceptions=True)

    def say(self, frame: bytes) -> None:
        """Tell the bench."""
        if not self._writer.is_closing():
            self._writer.write(frame)

    def beside(self, work: Any) -> None:
        """Do something beside."""
        task = background(work, name="beside")
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def find_node_for(self, node: Node) -> None:
        """Let a node that came later stand in for one that left."""
        if node.node_id not in self._alive:
            taken = {other.node_id for other in self._nodes}
            node.node_id = next((each for each in self._alive if each not in taken), node.node_id)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                self._alive = await asyncio.to_thread(_nodes)
            except (RayError, ConnectionError, RuntimeError) as error:
                sys.stderr.write(f"{_reason(error)}\n")
                self._reader.feed_eof()
                return
            for node in self._nodes:
                if node.node_id not in self._alive:
                    node.lose("left the cluster")


async def _insist(method: Any, *arguments: Any) -> Any:
    """Return what a call of an actor's method comes to, calling again while the actor is out of reach for a moment."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + UNAVAILABLE_S
    while True:
        try:
            return await method.remote(*arguments)
        except ActorUnavailableError:
            if loop.time() > until_s:
                raise
        await asyncio.sleep(0.2)


def _reason(error: BaseException) -> str:
    return f"is out of reach: {_in_a_line(error)}"


def _in_a_line(error: BaseException) -> str:
    return safe_line(f"{type(error).__name__}: {' '.join(str(error).split())}", limit=400)


def _nodes() -> dict[str, str]:
    """Return the names of the nodes that have CPUs, by their ids, in the order of their names."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    addresses = [node["NodeManagerAddress"] for node in nodes]
    named = {
        node["NodeID"]: address if addresses.count(address) == 1 else f"{address}/{node['NodeID'][:6]}"
        for node, address in zip(nodes, addresses, strict=True)
    }
    return dict(sorted(named.items(), key=lambda each: each[1]))


async def _serve(out: IO[bytes]) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=2**20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, out)
    bridge = Bridge(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    serving = background(bridge.serve(), name="bridge")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _end_with_input() -> None:
    """End the process a while after its input: Ray Client holds up the loop for ever where its server is gone."""
    ended = select.poll()
    ended.register(0, 0)  # that nobody writes to it any more is told in any case
    ended.poll()
    time.sleep(END_GRACE_S)
    os._exit(1)


def main() -> None:
    """Connect to the cluster and pass on until the bench says no more."""
    threading.Thread(target=_end_with_input, daemon=True).start()
    # Ray prints to standard output as it likes: what the bench hears has a descriptor of its own.
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        ray.init(
            address=sys.argv[1], log_to_driver=False, logging_level=logging.ERROR, namespace=f"vramp-{os.getpid()}"
        )
    except (RayError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"no cluster at {sys.argv[1]}: {_in_a_line(error)}")
    try:
        asyncio.run(_serve(out))
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
