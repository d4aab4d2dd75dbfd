"""The line between front ends and bench, over a real unix socket."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.snapshots import mid_ramp
from tui.core.errors import BenchLost
from tui.core.frames import pack_frame
from tui.link.client import BenchLink, is_listening
from tui.link.protocol import FAREWELL, MAX_FRAME_BYTES, ChangeUsers, Command, Hello, Linger, Reply, SetUsers
from tui.link.server import LinkServer


class Door:
    """A server with a record of what happened to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.commands: list[Command] = []
        self.left: asyncio.Queue[bool] = asyncio.Queue()
        self.server = LinkServer(path, snapshot=mid_ramp, execute=self.execute, on_empty=self.left.put_nowait)

    async def execute(self, command: Command) -> Reply:
        self.commands.append(command)
        return Reply(0, True, "done")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    found = Door(tmp_path / "bench.sock")
    await found.server.open()
    yield found
    await found.server.close(Reply(FAREWELL, True))


async def test_snapshots_come_down_whole(door: Door) -> None:
    link = await BenchLink.connect(door.path, refresh_hz=10)
    async for snapshot in link.snapshots():
        assert snapshot == mid_ramp()
        break
    await link.close()


async def test_commands_go_up_and_are_answered(door: Door) -> None:
    link = await BenchLink.connect(door.path)
    replies = await asyncio.gather(link.request(SetUsers(4)), link.request(ChangeUsers(-1)))
    assert [reply.message for reply in replies] == ["done", "done"]
    assert door.commands == [SetUsers(4), ChangeUsers(-1)]
    await link.close()


async def test_a_read_only_view_steers_nothing(door: Door) -> None:
    link = await BenchLink.connect(door.path, read_only=True)
    reply = await link.request(SetUsers(4))
    assert not reply.ok and "read-only" in reply.message
    assert door.commands == []
    await link.close()


async def test_the_socket_is_for_its_owner_only(door: Door) -> None:
    assert door.path.stat().st_mode & 0o777 == 0o600


async def test_the_bench_learns_that_the_last_one_left_and_whether_it_said_so(door: Door) -> None:
    first, second = await BenchLink.connect(door.path), await BenchLink.connect(door.path)
    await first.close()
    await second.request(Linger())
    await second.close()
    assert await asyncio.wait_for(door.left.get(), 10) is True
    assert door.left.empty()


async def test_somebody_who_only_knocks_was_never_there(door: Door) -> None:
    _reader, writer = await asyncio.open_unix_connection(str(door.path))
    writer.close()
    await writer.wait_closed()
    link = await BenchLink.connect(door.path)
    await link.close()
    assert await asyncio.wait_for(door.left.get(), 10) is False
    assert door.left.empty()


async def test_another_version_is_told_so(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.link.client.Hello", lambda **_: Hello(version=99))
    with pytest.raises(BenchLost, match="version"):
        await BenchLink.connect(door.path)


@pytest.mark.parametrize(
    "noise",
    [b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64, pack_frame(b"\xc1garbage"), (MAX_FRAME_BYTES + 1).to_bytes(4, "big")],
)
async def test_noise_is_hung_up_on(door: Door, noise: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(str(door.path))
    writer.write(noise)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    link = await BenchLink.connect(door.path)
    assert (await link.request(SetUsers(1))).ok
    await link.close()


async def test_a_lost_bench_ends_snapshots_and_requests(door: Door) -> None:
    link = await BenchLink.connect(door.path, refresh_hz=10)
    seen = 0
    async for _ in link.snapshots():
        seen += 1
        await door.server.close(Reply(FAREWELL, True, "somebody stopped the session"))
    assert seen >= 1
    assert await link.last_word() == Reply(FAREWELL, True, "somebody stopped the session")
    with pytest.raises(BenchLost, match="somebody stopped the session"):
        await link.request(SetUsers(1))
    await link.close()


async def test_the_socket_of_a_killed_bench_is_taken_away_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "killed.sock"
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(path))
        living.listen()
        assert is_listening(path) and path.exists()
    assert path.exists()  # closed without being removed, as by SIGKILL
    assert not is_listening(path) and not path.exists()


async def test_nobody_there_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BenchLost, match="no bench answers"):
        await BenchLink.connect(tmp_path / "absent.sock")


async def test_a_front_end_that_does_not_read_costs_nothing(door: Door) -> None:
    reader, writer = await asyncio.open_unix_connection(str(door.path))
    lazy = BenchLink(reader, writer, door.path)
    assert (await lazy.request(Hello(refresh_hz=10))).ok
    lazy._listening.cancel()  # from here on it reads nothing
    brisk = await BenchLink.connect(door.path, refresh_hz=10)
    seen = 0
    async for _ in brisk.snapshots():
        seen += 1
        if seen == 5:
            break
    await brisk.close()
    await lazy.close()


async def test_who_only_passes_by_keeps_nothing_and_ends_nothing(door: Door) -> None:
    passing = await BenchLink.connect(door.path, passing=True)
    assert (await passing.request(SetUsers(4))).ok
    assert not door.server.busy and not door.server.ever_busy
    stays = await BenchLink.connect(door.path)
    assert door.server.busy
    await stays.request(Linger())
    await stays.close()
    assert await asyncio.wait_for(door.left.get(), 10) is True  # though somebody passes by
    await passing.close()
    await (await BenchLink.connect(door.path)).close()
    assert await asyncio.wait_for(door.left.get(), 10) is False  # of the last one; none was told of the one that passed


async def test_who_only_looks_on_does_not_call_off_that_it_was_left_on_purpose(door: Door) -> None:
    operator, looker = await BenchLink.connect(door.path), await BenchLink.connect(door.path, read_only=True)
    await operator.request(Linger())
    await operator.close()
    await looker.close()
    assert await asyncio.wait_for(door.left.get(), 10) is True
    assert door.left.empty()
