"""Hosts behind a real sshd on the loopback address."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.fakes.load_worker import IDS, shape
from tests.fakes.paced_server import paced_server
from tests.fakes.sshd import MISSING, SshServer, free_port, script, ssh_server
from tests.unit.load.test_pool import Bench
from tui.core.outcome import Outcome
from tui.hosts import wire
from tui.hosts.remote_host import RemoteHost
from tui.hosts.ssh import command, explained, ssh_host
from tui.profile.load_hosts import SshPlace, places_of

needs_sshd = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def known(sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> SshServer:
    monkeypatch.setenv("PATH", f"{sshd.folder / 'bin'}:{os.environ['PATH']}")
    return sshd


def host_at(url: str) -> RemoteHost:
    (place,) = places_of(url)
    assert isinstance(place, SshPlace)
    return ssh_host(place)


async def refusal(url: str) -> str:
    host = host_at(url)
    try:
        with pytest.raises(OSError) as told:
            await host.connect()
    finally:
        await host.close()
    return str(told.value)


def under(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


@needs_sshd
async def test_users_ask_from_a_host_reached_by_ssh(known: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_at(known.url())
    tree = psutil.Process(known.process.pid)
    async with paced_server(gap_s=0.01) as server:
        held = Bench(server.base_url, hosts=[host])
        await held.pool.start()
        await held.pool.configure(shape(5), IDS, 1)
        assert await held.pool.burst(20) == 20
        assert {record.outcome for record in held.records} == {Outcome.OK}
        there = under(tree)
        assert {"agent", "worker"} <= {name for each in there for name in _modules(each)}
        while not held.progress:
            await held.news()
        (told,) = held.progress[-1].hosts
        assert told.name == f"127.0.0.1:{known.port}"
        assert told.clock_error_s is not None and told.clock_error_s < 0.05
        # One machine has one clock: what was found of the other's lies within what is said of it.
        assert abs(host.clock.offset_ns(held.progress[-1].at_ns)) <= told.clock_error_s * 1e9 + 1e6
        await held.pool.stop()
        await host.close()
    _, left = await asyncio.to_thread(psutil.wait_procs, there, timeout=10)
    assert left == []


def _modules(process: psutil.Process) -> list[str]:
    try:
        return [word.rpartition(".")[2] for word in process.cmdline() if word.startswith("tui.")]
    except psutil.Error:
        return []


@needs_sshd
async def test_what_ends_the_way_there_leaves_nothing(known: SshServer) -> None:
    host = host_at(known.url())
    worker = await host.open_worker(1)
    there = under(psutil.Process(known.process.pid))
    assert host._line is not None
    psutil.Process(host._line.pid).kill()
    assert [body async for body in worker.frames()] == []
    assert worker.why_gone().startswith("was lost: 127.0.0.1:")
    assert host.trouble.endswith(" is no longer connected")
    _, left = await asyncio.to_thread(psutil.wait_procs, there, timeout=10)
    assert left == []
    again = await host.open_worker(2)  # it can be had again
    await again.close()
    await host.close()


@needs_sshd
async def test_each_way_to_fail_has_its_sentence(known: SshServer, tmp_path: Path) -> None:
    assert "refuses connections" in await refusal(f"ssh://127.0.0.1:{free_port()}")
    assert "has no /no/such/python" in await refusal(known.url("/no/such/python"))
    bare = script(tmp_path / "bare", f'exec {shlex.quote(sys.executable)} -I -S "$@"')
    assert f"has no vramp for {bare}: install it there" in await refusal(known.url(bare))
    greeting = script(tmp_path / "greeting", "echo Welcome to this machine, stranger", "sleep 5")
    told = await refusal(known.url(greeting))
    assert "something else than an agent answers there: Welcome to this machine, stranger" in told
    other = f"ssh://nobody-of-this-name@127.0.0.1:{known.port}"
    assert "does not let this user in without a password: set up a key" in await refusal(other)
    assert "is not known by its key: ssh localhost once by hand" in await refusal(
        f"ssh://localhost:{known.port}{known.python}"
    )
    assert "ssh does not know the name" in await refusal("ssh://no-such-host.invalid")


@needs_sshd
@pytest.mark.parametrize(
    "greeting", ["", "Welcome to this machine", "\\033[1mHello\\033[0m\\n\\n### no entry ###\\nlast> "]
)
async def test_a_host_that_greets_is_as_good_as_any(known: SshServer, tmp_path: Path, greeting: str) -> None:
    python = script(tmp_path / "python", "echo", f"printf '{greeting}'", f'exec {known.python} "$@"')
    host = host_at(known.url(python))
    worker = await host.open_worker(1)
    assert host.trouble == ""
    await worker.close()
    assert host._line is not None
    assert "Welcome" not in host._line.why_ended()
    await host.close()


@needs_sshd
async def test_a_host_that_greets_and_does_no_more_is_told_by_its_words(
    known: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.hosts.remote_host.CONNECT_TIMEOUT_S", 2.0)
    greeting = script(tmp_path / "greeting", "echo Choose a partition:", "sleep 20")
    assert (await refusal(known.url(greeting))).endswith("did not answer within 2 s, but: Choose a partition:")


@needs_sshd
async def test_another_version_is_told(known: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.hosts.remote_host.tongue", lambda: "another")
    assert "do not understand each other: install the same version there" in await refusal(known.url())


@needs_sshd
async def test_a_host_that_says_nothing_is_given_up(
    known: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.hosts.remote_host.CONNECT_TIMEOUT_S", 1.0)
    silent = script(tmp_path / "silent", "exec sleep 60")
    assert "did not answer within 1 s" in await refusal(known.url(silent))
    left = [each for each in under(psutil.Process(known.process.pid)) if each.name() == "sleep"]
    for each in left:  # it does not look whether anybody is there
        each.kill()


async def test_without_ssh_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await refusal("ssh://gpu1") == "ssh is not installed on this machine"


def test_the_command_is_no_place_for_secrets_or_options() -> None:
    argv = command(SshPlace("gpu1", "me", 2222, "/opt/it's/python"))
    assert argv[-3:] == ["--", "gpu1", "exec '/opt/it'\"'\"'s/python' -P -m tui.hosts.agent --marked"]
    assert argv[argv.index("-p") + 1] == "2222" and argv[argv.index("-l") + 1] == "me"
    assert "BatchMode=yes" in argv
    assert explained(SshPlace("gpu1"), "ssh: connect to host gpu1 port 22: Connection timed out").startswith(
        "does not answer"
    )
    assert explained(SshPlace("gpu1"), "") == "is no longer connected"


def test_two_versions_can_tell_each_other_apart() -> None:
    assert wire.tongue() == wire.tongue()
    hello = wire.pack_message(0, wire.Hello())
    assert wire.decode_to_agent(wire.unpack(hello[4:])[2]) == wire.Hello()
