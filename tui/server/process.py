"""Other processes: starting a server under its guardian, and making sure that nothing of it is left.

asyncio, in the bench. No shell is ever involved.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import secrets
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tui.core.tasks import background
from tui.engines.base import Container
from tui.server.container import processes_of
from tui.server.keepers import Keepers
from tui.server.removal import remove_container
from tui.server.subreaper import become_subreaper
from tui.server.tree import KILL_TIMEOUT_S, MARK, Ending, descendants, end_tree, left_over, living

__all__ = ["Ending", "ServerProcess", "become_subreaper", "output_of"]

GUARDIAN_TIMEOUT_S = 30.0
"""For what takes milliseconds on an idle machine: the guardian's own start, and its last word after the tree's end."""
LEFT_OVER_GRACE_S = 3.0
OUTPUT_BYTES = 1024 * 1024
INSPECT_TIMEOUT_S = 10.0
INSPECT_PERIOD_S = 1.0
CONTAINER_ID = re.compile(r"[0-9a-f]{12,64}")


class ServerProcess:
    """One launched server. Made by `start`; `end` must be awaited, whatever became of it."""

    def __init__(
        self,
        keepers: Keepers,
        pid: int,
        guardian_pid: int,
        mark: str,
        container: Container | None = None,
    ) -> None:
        self.pid = pid
        self._keepers = keepers
        self._guardian_pid = guardian_pid
        self._seen: frozenset[psutil.Process] = frozenset()
        """The tree as it was last looked at: what is left of it is known even where nothing else tells."""
        self._mark = mark
        self._container = container
        self._container_id = ""
        self._ending: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self.exited: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        """The server's exit code, negative = signal; None = not known, since the guardian died."""
        self._listening = background(self._listen(), name="guardian")
        self._ended: Ending | None = None
        self._end_lock = asyncio.Lock()

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        env: Mapping[str, str],
        log_file: Path,
        scratch_variables: Sequence[str] = (),
        container: Container | None = None,
    ) -> ServerProcess:
        """Start `argv` with `env` added to the environment, its output at the end of `log_file`.

        `scratch_variables` get a folder of this launch's own as value, which is removed with the server. `container`:
        what `argv` starts beside processes below it, which ends with them. Raises OSError when it cannot be started
        (no such executable, not allowed, ...).
        """
        mark = secrets.token_hex(8)
        inherited = {name: value for name, value in os.environ.items() if name not in scratch_variables}
        keepers = await Keepers.start(log_file, container.remove if container is not None else ())
        wish = {
            "argv": list(argv),
            "env": {**inherited, **env, MARK: mark},
            "log": str(log_file),
            "scratch": list(scratch_variables),
        }
        try:
            keepers.say(wish)
            async with asyncio.timeout(GUARDIAN_TIMEOUT_S):
                answer = json.loads(await keepers.reader.readline() or b"{}")
            if "started" not in answer:
                refused = answer.get("refused", "its guardian ended before it had started the server")
                raise OSError(answer.get("errno", 0), refused, argv[0])
        except BaseException:
            await keepers.dismiss()
            raise
        return cls(keepers, answer["started"], answer["guardian"], mark, container)

    def pids(self) -> frozenset[int]:
        """Return the pids of the whole tree. Safe to call from any thread."""
        if self._ended is not None:
            return frozenset()
        if not self._listening.done():
            self._seen = frozenset(descendants(self._guardian_pid)) or self._seen
            return frozenset(process.pid for process in self._seen) | self._contained()
        return frozenset(process.pid for process in self._left_over())

    async def find_container(self) -> None:
        """Learn which processes are the container's: `pids` has them from then on. Returns when it is known."""
        assert self._container is not None
        while not self._container_id:
            told = (await output_of(self._container.inspect, {}, INSPECT_TIMEOUT_S)).strip()
            if CONTAINER_ID.fullmatch(told):
                self._container_id = told
            else:
                await asyncio.sleep(INSPECT_PERIOD_S)

    def _contained(self) -> frozenset[int]:
        return processes_of(self._container_id) if self._container_id else frozenset()

    async def end(self, grace_s: float) -> Ending:
        """End the whole tree: SIGTERM, after `grace_s` SIGKILL. Returns when it is gone; idempotent.

        Called again while it is under way, it shortens the grace.
        """
        self._keepers.say({"end": grace_s})
        async with self._end_lock:
            if self._ended is None:
                self._ended = await self._end(grace_s)
            return self._ended

    async def _end(self, grace_s: float) -> Ending:
        if not (await asyncio.wait({self._listening}, timeout=grace_s + KILL_TIMEOUT_S + GUARDIAN_TIMEOUT_S))[0]:
            with contextlib.suppress(ProcessLookupError):  # stopped, or stuck: the watcher does its duty for it
                os.kill(self._guardian_pid, signal.SIGKILL)
            await asyncio.wait({self._listening})
        self._keepers.writer.close()
        await self._keepers.watcher.wait()
        ending = self._ending.result() if self._ending.done() else Ending()
        # Whether the guardian has done its duty is checked, not believed; it may have been killed.
        rest = await asyncio.to_thread(self._end_left_over, min(grace_s, LEFT_OVER_GRACE_S))
        if not self._ending.done():  # then nobody may have come to remove it
            rest.survivors += await asyncio.to_thread(self._remove_container)
        await asyncio.to_thread(self._keepers.let_go)
        return Ending(killed=[*ending.killed, *rest.killed], survivors=[*rest.survivors, *self._containers_in(ending)])

    def _remove_container(self) -> list[str]:
        """Remove the server's container, if it has one, and return it if it could not be."""
        why = remove_container(self._container.remove) if self._container is not None else ""
        return [f"container {self._container.name} ({why})"] if self._container is not None and why else []

    def _containers_in(self, ending: Ending) -> list[str]:
        """Return what the guardian says of a container that it could not remove; processes are looked for again."""
        return [name for name in ending.survivors if self._container is not None and self._container.name in name]

    def _left_over(self) -> list[psutil.Process]:
        return list({*left_over(self._guardian_pid, self._mark), *living(self._seen)})

    def _end_left_over(self, grace_s: float) -> Ending:
        adopted: dict[int, psutil.Process] = {}

        def find() -> list[psutil.Process]:
            found = self._left_over()
            # Their dead children become ours when they die, and want their exit status read as well.
            for process in found:
                with contextlib.suppress(psutil.Error):
                    adopted.update((one.pid, one) for one in (process, *process.children(recursive=True)))
            return found

        def pause(seconds: float) -> None:
            _reap(adopted)
            psutil.wait_procs(list(adopted.values()), timeout=seconds)

        by = time.monotonic() + grace_s
        ending = end_tree(find, first=self.pid, deadline=lambda: by, pause=pause)
        _reap(adopted)
        return ending

    async def _listen(self) -> None:
        """Take in what the guardian says, until it says nothing more."""
        try:
            while line := await self._keepers.reader.readline():
                self._hear(json.loads(line))
        except (OSError, ValueError):
            pass
        if not self.exited.done():
            self.exited.set_result(None)

    def _hear(self, message: dict[str, Any]) -> None:
        if "exited" in message and not self.exited.done():
            self.exited.set_result(message["exited"])
        if "ended" in message and not self._ending.done():
            self._ending.set_result(Ending(**message["ended"]))


async def output_of(argv: Sequence[str], env: Mapping[str, str], timeout_s: float, *, all_of_it: bool = False) -> str:
    """Return what a short-lived program prints on stdout, at most 1 MB; "" when it fails or takes too long.

    `all_of_it`: on stderr as well, and whatever its exit status is.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT if all_of_it else asyncio.subprocess.DEVNULL,
            env={**os.environ, **env},
            start_new_session=True,
        )
    except OSError:
        return ""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_s):
            output = b""
            while piece := await process.stdout.read(65536):
                output = (output + piece)[:OUTPUT_BYTES]
            return output.decode(errors="replace") if await process.wait() == 0 or all_of_it else ""
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _reap(processes: Mapping[int, psutil.Process]) -> None:
    """Read the exit status of orphans that this process has adopted."""
    for pid in processes:
        try:
            os.waitpid(pid, os.WNOHANG)
        except (ChildProcessError, OSError):
            continue
