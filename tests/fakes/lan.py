"""Hosts that are network namespaces of this machine: each with an address, an sshd and a clock, on one bridge.

Wants root and Linux. One at a time on a machine: the next waits, then ends what a killed one has left, by its names.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.fakes import sshd

PREFIX = "vrn-"
SWITCH = f"{PREFIX}switch"
BENCH_ADDRESS = "10.83.41.1"
SERVER_ADDRESS = "10.83.41.2"
"""Of this machine, as the hosts know it."""
LOCK = Path(tempfile.gettempdir()) / "vramp-lan.lock"
GONE_S = 30.0
DAY_S = 86_400


def _ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def missing() -> str:
    """Return why there can be none here; empty where there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if not all(shutil.which(name) for name in ("ip", "bridge", "iptables", "unshare")):
        return "no ip, bridge, iptables or unshare here"
    if not Path("/proc/self/ns/time").exists():
        return "this kernel has no time namespaces"
    if sshd.MISSING:
        return sshd.MISSING
    try:
        with _alone():
            _ip("netns", "add", f"{PREFIX}probe")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.strip()}"
    return ""


@contextmanager
def _alone() -> Iterator[None]:
    """Be the only one who has hosts on this machine; nothing of them is there before and after it."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        clear()
        try:
            yield
        finally:
            clear()


@dataclass
class LanHost:
    """One host."""

    name: str
    address: str
    clock_ahead_s: int
    """Its monotonic clock less this machine's."""
    ssh: sshd.SshServer | None = None
    _relay: subprocess.Popen[str] | None = None

    @property
    def within(self) -> list[str]:
        """Return the words before a command that is to run there."""
        words = ["ip", "netns", "exec", self.name]
        return [*words, "unshare", "--time", "--monotonic", str(self.clock_ahead_s)] if self.clock_ahead_s else words

    def url(self) -> str:
        """Return the host as a profile names it."""
        assert self.ssh is not None
        return self.ssh.url()

    def processes(self) -> list[psutil.Process]:
        """Return what runs there, but for its sshd, which may wait long for the end of a line that was cut."""
        return [process for process in _running_in(self.name) if not process.name().startswith("sshd")]

    def running(self, module: str) -> list[psutil.Process]:
        """Return its processes that run this module."""
        return [process for process in self.processes() if module in _words(process)]

    # What becomes of its link.

    @contextmanager
    def unplugged(self) -> Iterator[None]:
        """Have its cable out within the block: it has no carrier, and nothing comes or goes."""
        _ip("-n", SWITCH, "link", "set", self.name, "down")
        try:
            yield
        finally:
            _ip("-n", SWITCH, "link", "set", self.name, "up")

    @contextmanager
    def swallowed(self) -> Iterator[None]:
        """Lose all that comes or goes within the block, without a word."""
        self._pass_on(False)
        try:
            yield
        finally:
            self._pass_on(True)

    def _pass_on(self, forward: bool) -> None:
        words = ["bridge", "-n", SWITCH, "link", "set", "dev", self.name, "state", "3" if forward else "0"]
        subprocess.run(words, check=True)

    @contextmanager
    def blocking(self, address: str, *chains: str) -> Iterator[None]:
        """Lose what comes from one address (INPUT) and what goes there (OUTPUT) within the block."""
        for chain in chains:
            self._filter("-A", chain, "-s" if chain == "INPUT" else "-d", address, "-j", "DROP")
        try:
            yield
        finally:
            for chain in chains:
                self._filter("-F", chain)

    def _filter(self, *words: str) -> None:
        subprocess.run(["ip", "netns", "exec", self.name, "iptables", "-w", *words], check=True)

    @contextmanager
    def delayed(self, up_ms: float, down_ms: float) -> Iterator[None]:
        """Make the ways from it and to it so long within the block; wants a host that was made `slow`."""
        self._delay(up_ms, down_ms)
        try:
            yield
        finally:
            self._delay(0.0, 0.0)

    def _delay(self, up_ms: float, down_ms: float) -> None:
        assert self._relay is not None and self._relay.stdin is not None and self._relay.stdout is not None
        self._relay.stdin.write(f"{up_ms} {down_ms}\n")
        self._relay.stdin.flush()
        assert self._relay.stdout.readline() == "OK\n"


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _running_in(namespace: str) -> list[psutil.Process]:
    found = []
    for pid in _ip("netns", "pids", namespace).split():
        try:
            process = psutil.Process(int(pid))
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def lan(
    folder: Path, hosts: int, *, clocks_ahead_s: Sequence[int] = (), slow: int = 0, with_ssh: bool = True
) -> Iterator[list[LanHost]]:
    """Have so many hosts within the block, of which nothing is left after it; the last `slow` have links to delay.

    With ssh a PATH that begins with `folder` / "bin" has an ssh that knows them all.
    """
    with _alone(), ExitStack() as stack:
        _ip("netns", "add", SWITCH)
        _ip("-n", SWITCH, "link", "add", "lan", "type", "bridge", "forward_delay", "0")
        _ip("-n", SWITCH, "link", "set", "lan", "up")
        _plug_in_bench()
        made = []
        for number in range(hosts):
            ahead_s = clocks_ahead_s[number] if number < len(clocks_ahead_s) else 0
            host = LanHost(f"{PREFIX}{number}", f"10.83.41.{11 + number}", ahead_s)
            _ip("netns", "add", host.name)
            _plug_in(host, stack if number >= hosts - slow else None)
            if with_ssh:
                host.ssh = stack.enter_context(sshd.ssh_server(folder, host.address, 22, within=host.within))
            made.append(host)
        yield made
        for host in made:
            _, left = psutil.wait_procs(host.processes(), timeout=GONE_S)
            assert not left, f"left on {host.name}: {[_words(process) for process in left]}"


def _plug_in_bench() -> None:
    _ip("link", "add", f"{PREFIX}bench", "type", "veth", "peer", "name", "bench", "netns", SWITCH)
    _ip("-n", SWITCH, "link", "set", "bench", "master", "lan", "up")
    for address in (BENCH_ADDRESS, SERVER_ADDRESS):
        _ip("addr", "add", f"{address}/24", "dev", f"{PREFIX}bench")
    _ip("link", "set", f"{PREFIX}bench", "up")


def _plug_in(host: LanHost, relays: ExitStack | None) -> None:
    """Give a host its link; through a relay, which ends with `relays`, where that is given."""
    if relays is None:
        _ip("link", "add", host.name, "netns", SWITCH, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    else:
        program = Path(__file__).with_name("slow_link.py")
        host._relay = relays.enter_context(
            subprocess.Popen(
                [sys.executable, program, host.name, f"{host.name}-e"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        relays.callback(host._relay.kill)
        assert host._relay.stdout is not None and host._relay.stdout.readline() == "OK\n"
        _ip("link", "set", host.name, "netns", SWITCH)
        _ip("link", "set", f"{host.name}-e", "netns", host.name, "name", "eth0")
    _ip("-n", SWITCH, "link", "set", host.name, "master", "lan", "up")
    _ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", link, "up")


def clear() -> None:
    """End all processes of all hosts that there are, then the hosts."""
    names = [line.split()[0] for line in _ip("netns", "list").splitlines() if line.startswith(PREFIX)]
    for name in names:
        while left := _running_in(name):
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=1.0)
        _ip("netns", "del", name)
    for path in Path("/sys/class/net").glob(f"{PREFIX}*"):
        # A namespace takes its links along, but later.
        subprocess.run(["ip", "link", "del", path.name], check=False, stderr=subprocess.DEVNULL)
