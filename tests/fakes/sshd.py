"""A real sshd, with keys and a configuration of its own, and the ssh that goes with it."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
KEYGEN = shutil.which("ssh-keygen")
MISSING = "" if SSHD and KEYGEN and shutil.which("ssh") else "no sshd, ssh or ssh-keygen here"


@dataclass
class SshServer:
    """One that runs."""

    address: str
    port: int
    python: Path
    """One that has this vramp."""
    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, python: Path | str | None = None) -> str:
        """Return the host as a profile names it."""
        return f"ssh://{getpass.getuser()}@{self.address}:{self.port}{python or self.python}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def make_keys(folder: Path) -> None:
    """Make the keys of hosts and user, an ssh with its configuration, and a Python that has this vramp."""
    assert KEYGEN
    for key in ("host", "user"):
        subprocess.run([KEYGEN, "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    (folder / "ssh_config").write_text(
        f"Host *\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {folder}/known\n"
        "  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n"
    )
    (folder / "bin").mkdir()
    script(folder / "bin" / "ssh", f'exec {shutil.which("ssh")} -F {folder}/ssh_config "$@"')
    script(folder / "python", f'PYTHONPATH={Path(__file__).parents[2]} exec {sys.executable} "$@"')


@contextmanager
def ssh_server(
    folder: Path, address: str = "127.0.0.1", port: int | None = None, *, within: Sequence[str] = ()
) -> Iterator[SshServer]:
    """Run sshd within the block; a PATH that begins with `folder` / "bin" has an ssh that knows it.

    Several may have one folder, and the keys in it. `within`: the words before its command.
    """
    assert SSHD
    if not (folder / "host").exists():
        make_keys(folder)
    port = port or free_port()
    mine = folder / f"{address}-{port}"
    mine.mkdir()
    (mine / "sshd_config").write_text(
        f"ListenAddress {address}:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile {mine}/pid\nStrictModes no\nPasswordAuthentication no\nUsePAM no\nPermitUserEnvironment no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
    )
    kind, key = (folder / "host.pub").read_text().split()[:2]
    with (folder / "known").open("a") as known:
        known.write(f"{address if port == 22 else f'[{address}]:{port}'} {kind} {key}\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with (mine / "log").open("wb") as log:
        argv = [*within, SSHD, "-D", "-e", "-f", str(mine / "sshd_config")]
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            until = time.monotonic() + 20
            while time.monotonic() < until and process.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex((address, port)) == 0:
                        break
                time.sleep(0.05)
            assert process.poll() is None, (mine / "log").read_text()
            yield SshServer(address, port, folder / "python", folder, process)
        finally:
            process.terminate()
            process.wait(10)
