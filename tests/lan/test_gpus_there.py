"""The cards of other hosts, by real agents over real ssh, which ask a library of ours in the place of NVML there."""

from __future__ import annotations

import asyncio
import csv
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import World
from tests.e2e.simulated import PROFILE
from tests.e2e.sweeps import running_sweep, write_profile
from tests.fakes.lan import BENCH_ADDRESS, LanHost
from tests.fakes.nvml.build import build, compiler
from tests.fakes.over_nodes import play, write_cluster
from tests.fakes.raylet import Raylet, raylet
from tests.fakes.sshd import free_port, script
from tui.core.errors import ExitCode
from tui.link.client import BenchLink
from tui.metrics.gpu_hosts import by_host
from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import Snapshot
from tui.profile.schema import Profile

pytestmark = pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake libnvidia-ml")
GIB = 2**30
PATIENCE_S = 60.0


@dataclass
class Cards:
    """Eight cards of a host."""

    situation: Path
    url: str = ""

    def are(self, word: str, *holders: int) -> None:
        """Have them be so; `holders`: which processes hold 30 GiB of GPU 0, 1 and so on."""
        new = self.situation.with_suffix(".new")
        new.write_text(" ".join([word, *map(str, holders)]))
        new.replace(self.situation)


@pytest.fixture
def cards(world: World, hosts: list[LanHost]) -> list[Cards]:
    """Give this machine and each host cards of its own; return those of this machine first."""
    world.env["PATH"] = os.environ["PATH"]
    library = build(world.root)
    made = [Cards(world.root / "here")]
    world.env |= {"LD_LIBRARY_PATH": str(library), "FAKE_NVML": str(made[0].situation)}
    for host in hosts:
        situation = world.root / host.name
        assert host.ssh is not None
        env = f"LD_LIBRARY_PATH={library} FAKE_NVML={situation} VRAMP_TEST_ID=none"
        python = script(world.root / f"python-{host.name}", f'export {env}; exec {host.ssh.python} "$@"')
        made.append(Cards(situation, host.ssh.url(python)))
    for each in made:
        each.are("eight")
    return made


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Raylet]:
    with raylet(tmp_path / "here") as running:
        yield running


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Raylet]:
    with raylet(tmp_path / "there") as running:
        yield running


def profile_of(world: World, hosts: list[LanHost]) -> Path:
    weights = {"": 12.0, hosts[0].address: 10.0}
    simulated = PROFILE.format(name="simulated", gpus="[0]", more="")
    server = write_cluster(world.root / "cluster", BENCH_ADDRESS, weights, simulated)
    load = {"users": [2], "prompt_tokens": [31], "output_tokens": 20, "mode": "steady", "duration_s": 600.0}
    table = {"name": "over-nodes", "engine": "vllm", "server": server, "load": load}
    return write_profile(world.root, Profile.model_validate(table))


async def _seen(world: World, what: Callable[[Snapshot], object]) -> Snapshot:
    link = await BenchLink.connect(world.sockets[0], read_only=True)
    last: Snapshot | None = None
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for last in link.snapshots():
                if what(last):
                    return last
    except TimeoutError:
        pass
    finally:
        await link.close()
    assert last is not None
    raise AssertionError(f"not seen: {last.gpu_note!r}, {[(gpu.place, gpu.vram_server_bytes) for gpu in last.gpus]}")


def seen(world: World, what: Callable[[Snapshot], object]) -> Snapshot:
    """Return the first snapshot of the bench that runs of which that is true."""
    return asyncio.run(_seen(world, what))


def card(snapshot: Snapshot, host: str, index: int) -> GpuReading:
    """Return a card's reading, an empty one where it has none."""
    found = (gpu for gpu in snapshot.gpus if (gpu.host, gpu.index) == (host, index))
    return next(found, GpuReading(at_ns=0, index=index, name=""))


def leave(run: subprocess.Popen[str]) -> str:
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == ExitCode.INTERRUPTED, errors
    return errors


def test_whose_memory_it_is_is_told_on_every_node_and_again_when_a_worker_is_another(
    world: World, hosts: list[LanHost], cards: list[Cards], here: Raylet, there: Raylet, tmp_path: Path
) -> None:
    profile, cluster = profile_of(world, hosts), world.root / "cluster"
    node, far = hosts[0].address, f"{hosts[0].address}:22"
    play(cluster, {BENCH_ADDRESS: here.workers, node: there.workers})
    cards[0].are("eight", here.workers[0])
    cards[1].are("eight", there.workers[0], there.children[1], 1)
    with running_sweep(world, profile, "--hosts", ",".join(["local", cards[1].url, cards[2].url])) as run:
        now = seen(world, lambda now: all(card(now, host, 0).vram_weights_bytes for host in ("", far)))
        # The other host only loads.
        assert set(by_host(now.gpus)) == {"", far} and now.gpu_note == ""
        for host, weights in (("", 12), (far, 10)):
            first = card(now, host, 0)
            assert (first.vram_server_bytes, first.vram_weights_bytes) == (30 * GIB, weights * GIB)
            assert (first.vram_kv_cache_bytes, first.vram_other_bytes) == (15 * GIB, (15 - weights) * GIB)
            assert (first.vram_neighbours_bytes, first.vram_neighbours) == (GIB, "Xorg")
        # A child of a worker's is the server's; somebody else is a neighbour.
        servers = [card(now, far, index).vram_server_bytes for index in range(8)]
        assert servers == [30 * GIB, 30 * GIB, 0, 0, 0, 0, 0, 0]
        assert card(now, far, 2).vram_neighbours_bytes == 30 * GIB

        with raylet(tmp_path / "again") as again:
            play(cluster, {BENCH_ADDRESS: here.workers, node: again.workers})
            cards[1].are("eight", 1, again.workers[1])
            psutil.Process(there.workers[0]).kill()
            now = seen(world, lambda now: card(now, far, 0).vram_server_bytes == 0)
            assert card(now, far, 1).vram_server_bytes == 30 * GIB
            leave(run)
    assert world.run("export", "latest", "--out", str(world.root / "out")).returncode == 0
    with next((world.root / "out").rglob("gpus.csv")).open() as file:
        rows = [row for row in csv.DictReader(file) if row["host"] == far and row["index"] == "0"]
    # Before it was ready, while it was so, and when another worker was there: not known, the server's, nobody's.
    told = [row["vram_server_bytes"] for row in rows]
    assert list(dict.fromkeys(told)) == ["", str(30 * GIB), "0"]


def test_a_card_that_is_lost_there_a_driver_that_hangs_and_an_agent_that_is_killed_are_told_and_hold_nothing_up(
    world: World, hosts: list[LanHost], cards: list[Cards], here: Raylet, there: Raylet
) -> None:
    far = f"{hosts[0].address}:22"
    profile = profile_of(world, hosts)
    play(world.root / "cluster", {BENCH_ADDRESS: here.workers, hosts[0].address: there.workers})
    cards[0].are("eight", here.workers[0])
    cards[1].are("eight", there.workers[0])
    with running_sweep(world, profile, "--hosts", f"local,{cards[1].url}") as run:
        seen(world, lambda now: card(now, far, 0).vram_weights_bytes)
        cards[1].are("lost", there.workers[0])
        said = f"{far}: GPU 3 is lost: the driver does not reach it"
        now = seen(world, lambda now: card(now, far, 3).lost and said in [event.text for event in now.log])
        assert f"{far}: GPU 3 lost: see `dmesg`" in now.gpu_note
        assert card(now, far, 0).vram_server_bytes == 30 * GIB and not card(now, "", 3).lost

        cards[1].are("hang")
        now = seen(world, lambda now: not any(gpu.host for gpu in now.gpus))
        assert f"{far}: the NVIDIA driver has not answered for" in now.gpu_note
        assert len(now.gpus) == 8 and now.load.in_flight
        cards[1].are("eight", there.workers[0])
        seen(world, lambda now: card(now, far, 0).vram_weights_bytes and now.gpu_note == "")

        (agent,) = hosts[0].running("tui.hosts.agent")
        agent.kill()
        seen(world, lambda now: f"{far}: its GPUs" in now.gpu_note and not any(gpu.host for gpu in now.gpus))
        seen(world, lambda now: card(now, far, 0).vram_weights_bytes)
        leave(run)
    assert hosts[0].running("tui.gpu.node") == []


@pytest.fixture
def alias(hosts: list[LanHost]) -> Iterator[str]:
    """Give the first host a name that ssh alone knows."""
    assert hosts[0].ssh is not None
    config = hosts[0].ssh.folder / "ssh_config"
    before = config.read_text()
    address = hosts[0].address
    config.write_text(f"Host gpu-there\n  HostName {address}\n  HostKeyAlias {address}\n{before}")
    yield "gpu-there"
    config.write_text(before)


def test_an_attached_server_is_shown_with_the_cards_of_the_host_that_has_its_address(
    world: World, hosts: list[LanHost], cards: list[Cards], alias: str
) -> None:
    served = world.root / "served.toml"
    served.write_text(PROFILE.format(name="served", gpus="[0]", more=""))
    port = free_port()
    where = ("--host", hosts[0].address, "--port", str(port))
    argv = [*hosts[0].within, *world.command("simulate", str(served), *where)]
    with subprocess.Popen(argv, env=world.env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stderr is not None
            assert any("Application startup complete" in line for line in server.stderr)
            url = f"http://{hosts[0].address}:{port}"
            load = ("--users", "2", "--prompt-tokens", "30", "--output-tokens", "20", "--mode", "steady")
            there = f"{cards[1].url.replace(hosts[0].address, alias)},{cards[2].url}"
            with world.start("run", "demo", "--attach", url, *load, "--duration", "600", "--hosts", there) as run:
                assert run.stderr is not None and run.stderr.readline()
                now = seen(world, lambda now: now.gpus and now.load.in_flight)
                assert {gpu.host for gpu in now.gpus} == {f"{alias}:22"} and now.gpu_note == ""
                # Whose memory it is, nobody tells.
                assert {gpu.vram_server_bytes for gpu in now.gpus} == {None}
                leave(run)
        finally:
            server.kill()
