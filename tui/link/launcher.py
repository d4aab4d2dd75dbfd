"""Starting a bench, and finding those that run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from tui.core.errors import ProfileError, SessionError, UsageError, VrampError
from tui.core.files import log_file
from tui.core.known_secrets import learn
from tui.core.paths import runtime_dirs, sessions_dir, socket_of
from tui.core.safe_text import safe_line
from tui.core.secrets import NOT_KEPT
from tui.engines.catalogue import mistakes_in
from tui.link.client import is_listening
from tui.link.protocol import BenchSpec
from tui.profile.schema import Profile
from tui.session import shelf
from tui.session.database import SUFFIX
from tui.session.kept_profile import profile_of
from tui.session.reader import SessionReader

START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 30.0
UNATTENDED_S = 600.0


@dataclass(frozen=True, slots=True)
class RunningBench:
    """A bench that answers."""

    session_id: str
    socket_path: Path
    failure: str = ""
    """The class of the failure by which its server was lost before any cell was ok; empty = it was not."""

    @property
    def in_words(self) -> str:
        """Return its name, and what is amiss with it."""
        return f"{self.session_id}  failed: {self.failure}" if self.failure else self.session_id


def new_session_id(profile_name: str) -> str:
    """Return an id that sorts by time, says what it measures, and is not given twice."""
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    return f"{stamp}-{profile_name[:40]}-{secrets.token_hex(2)}"


def spec_for(
    profile: Profile,
    *,
    profile_toml: str,
    profile_path: Path | None,
    start: str = "idle",
    linger: bool = False,
    unattended_s: float = UNATTENDED_S,
    users_return: bool = False,
    time_scale: float = 1.0,
) -> BenchSpec:
    """Return what a new session of `profile` is started with. Raises UsageError for one that cannot be launched so."""
    if mistakes := mistakes_in(profile):
        raise ProfileError([f"{profile.name}: {mistake}" for mistake in mistakes])
    if time_scale != 1.0 and not profile.simulated:
        raise UsageError(f"{profile.name}: a time scale needs a simulated server; this one is real")
    if profile.attach is not None and profile.attach.api_key_env:
        learn(os.environ.get(profile.attach.api_key_env))
    session_id = new_session_id(profile.name)
    return BenchSpec(
        session_id=session_id,
        session_file=str(sessions_dir() / f"{session_id}.vramp"),
        profile_toml=profile_toml,
        profile_json=profile.model_dump_json(),
        profile_path=None if profile_path is None else str(profile_path.resolve()),
        start=start,
        linger=linger,
        unattended_s=unattended_s,
        users_return=users_return,
        time_scale=time_scale,
    )


def spec_to_resume(session_file: Path, *, start: str = "sweep") -> BenchSpec:
    """Return what goes on with the sweep of an earlier session of this user, or with what else `start` says.

    Raises SessionError for a file that is none, for one from elsewhere (going on launches the command that stands in
    it, which must not be somebody else's), and for one whose profile held secrets, which are not kept.
    """
    if session_file.resolve().parent != sessions_dir().resolve():
        raise SessionError(f"{session_file}: found a session from elsewhere, expected one in {sessions_dir()}")
    with SessionReader(session_file) as reader:
        meta, server = reader.meta, reader.server
        if profile_of(meta) is None:
            raise SessionError(f"{session_file}: its profile cannot be read by this version; start a new session")
        if NOT_KEPT in meta.profile_json:
            raise SessionError(f"{session_file}: its profile held secrets, which are not kept; start a new session")
    session_id = session_file.stem  # what the file says its id is may be anything
    if is_listening(socket_of(session_id)):
        raise UsageError(f"{session_id} is running; come back to it by: vramp attach {session_id}")
    return BenchSpec(
        session_id=session_id,
        session_file=str(session_file),
        profile_toml=meta.profile_toml,
        profile_json=meta.profile_json,
        profile_path=meta.profile_path or None,
        start=start,
        time_scale=meta.time_scale,
        overrides=server.overrides if server is not None else {},
        resume=True,
    )


def log_of(session_file: Path) -> Path:
    """Return where the bench of a session writes what goes wrong with itself."""
    return session_file.with_suffix(".bench.log")


class StartingBench:
    """A bench process that is starting."""

    def __init__(self, spec: BenchSpec) -> None:
        """Start the process; returns at once.

        It is a session leader of its own, so that a hang-up of this terminal is none of its business; what it prints
        goes to a file, since its terminal may go away. Its standard input stays open as long as this process lives:
        until a front end has come, the bench ends with it.
        """
        self._socket_path = socket_of(spec.session_id)
        self._session_file = Path(spec.session_file)
        self._log_path = log_file(log_of(self._session_file))
        descriptor = os.open(self._log_path, os.O_WRONLY | os.O_APPEND)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tui.bench"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # if it died, `listening` tells
            self._process.stdin.write(msgspec.json.encode(spec) + b"\n")
            self._process.stdin.flush()

    async def listening(self) -> Path:
        """Return its socket once it listens. Raises VrampError when it does not get there."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                line = await asyncio.to_thread(self._first_word)
        except TimeoutError:
            line = ""
        if line != "ready":
            await asyncio.to_thread(self._end)
            raise VrampError(f"the bench did not start: {line or self._last_words()}")
        threading.Thread(target=self._reap, name="reap-bench", daemon=True).start()
        return self._socket_path

    def abandon(self) -> None:
        """End it and remove its session: nobody has looked at it. Blocks until nothing of it is left."""
        self._end()
        try:
            self._session_file.touch()  # it may not have come to that, and `shelf.remove` wants one
        except OSError:
            return  # nor will it: there is nothing to take away
        shelf.remove(self._session_file)

    def _last_words(self) -> str:
        try:
            with self._log_path.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
                lines = log.read().decode(errors="replace").split("\n")
        except OSError:
            lines = []
        last = next((safe_line(line, limit=300) for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{last} (see {log_of(self._session_file)})"

    def _reap(self) -> None:
        self._process.wait()
        self._let_go()

    def _let_go(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _end(self) -> None:
        self._process.terminate()
        self._let_go()
        try:
            self._process.wait(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _first_word(self) -> str:
        assert self._process.stdout is not None
        with self._process.stdout as stdout:
            return stdout.readline().decode(errors="replace").strip()


def running() -> list[RunningBench]:
    """Return the benches that answer, latest first; a socket that nobody answers on is removed."""
    sockets = sorted((path for folder in runtime_dirs() for path in folder.glob("*.sock")), key=_name, reverse=True)
    return [RunningBench(path.stem, path, _failure_of(path.stem)) for path in sockets if is_listening(path)]


def _failure_of(session_id: str) -> str:
    """Return what its session file says of its server; a bench that keeps none says it when it is looked at."""
    return shelf.summary(sessions_dir() / f"{session_id}{SUFFIX}").failure


def _name(path: Path) -> str:
    return path.name


def find_running(wanted: str | None) -> RunningBench:
    """Return the bench whose session id begins with `wanted`, or the only one. Raises UsageError otherwise."""
    matches = matching(wanted)
    if len(matches) == 1:
        return matches[0]
    raise UsageError(f"several sessions run; say which of: {', '.join(bench.in_words for bench in matches)}")


def matching(wanted: str | None) -> list[RunningBench]:
    """Return the benches whose session id begins with `wanted`, or all, latest first. Raises UsageError for none."""
    benches = running()
    if not benches:
        raise UsageError("no bench runs; start one by: vramp")
    matches = [bench for bench in benches if wanted is None or bench.session_id.startswith(wanted)]
    if not matches:
        names = ", ".join(bench.session_id for bench in benches)
        raise UsageError(f"no running session begins with {wanted!r}; say which of: {names}")
    return matches
