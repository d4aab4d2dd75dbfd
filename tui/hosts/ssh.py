"""Hosts reached by the system's own ssh, so that its configuration, its keys and its agent are what they always are."""

from __future__ import annotations

import re
import shlex

from tui.hosts.line import Line
from tui.hosts.remote_host import RemoteHost
from tui.hosts.wire import MARK, MARKED
from tui.profile.load_hosts import SshPlace

CONNECT_S = 10
_OPTIONS = {
    "BatchMode": "yes",  # there is nobody to type a password, and no terminal to ask on
    "ConnectTimeout": str(CONNECT_S),
    "ServerAliveInterval": "3",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "EscapeChar": "none",
    "ControlMaster": "no",
    "ControlPath": "none",  # what others do with a shared connection must not hold up the load
}
_SAID: tuple[tuple[str, str], ...] = (
    (r"Host key verification failed|REMOTE HOST IDENTIFICATION", "is not known by its key: ssh {host} once by hand"),
    (r"Permission denied", "does not let this user in without a password: set up a key (ssh-copy-id {host})"),
    (r"Could not resolve hostname", "has no address: ssh does not know the name"),
    (r"Connection refused", "refuses connections: no ssh server listens there"),
    (r"timed out|Timeout, server", "does not answer"),
    (r"No route to host|Network is unreachable", "cannot be reached from here"),
    (
        r"No module named '?\"?tui",
        "has no vramp for {python}: install it there, or name the Python that has it, as in ssh://{host}/path/to/python",
    ),
    (
        r"not found|No such file or directory|not recognized",
        "has no {python}: name the Python that has vramp, as in ssh://{host}/path/to/python",
    ),
)


def ssh_host(place: SshPlace) -> RemoteHost:
    """Return a host that ssh leads to. Nothing is opened yet."""

    def explain(said: str) -> str:
        return explained(place, said)

    async def open_line() -> Line:
        try:
            return await Line.open(command(place), explain=explain, mark=MARK)
        except FileNotFoundError:
            raise OSError("ssh is not installed on this machine") from None

    return RemoteHost(place.name, open_line, shared=False)


def command(place: SshPlace) -> list[str]:
    """Return the command that leads to an agent. There is no secret in it."""
    argv = ["ssh", "-T"]
    for name, value in _OPTIONS.items():
        argv += ["-o", f"{name}={value}"]
    if place.port is not None:
        argv += ["-p", str(place.port)]
    if place.user:
        argv += ["-l", place.user]
    # The shell there is whatever its owner has; these few words are the same to all of them.
    return [*argv, "--", place.host, f"exec {shlex.quote(place.python)} -P -m tui.hosts.agent {MARKED}"]


def explained(place: SshPlace, said: str) -> str:
    """Return in words, to follow the host's name, what ssh or the host's shell said last."""
    for pattern, words in _SAID:
        if re.search(pattern, said, re.IGNORECASE):
            return f"{words.format(host=place.host, python=place.python)} ({said})"
    return f"is no longer connected{': ' if said else ''}{said}"
