"""Where load workers run, as a profile says it: here, on hosts reached by ssh, or on the nodes of a Ray cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote, urlsplit

from tui.core.address import ServerAddress
from tui.core.safe_text import safe_line

LOCAL = "local"
MAX_HOSTS = 200
_SSH, _RAY = "ssh://", "ray://"
_EXPECTED = (
    'expected "local", "ray://auto", "ray://HOST:PORT" or a list of "ssh://[USER@]HOST[:PORT][/PATH/TO/PYTHON]" '
    'and "local"'
)
# What ssh could take for an option, or a shell for more than a word, is none.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]{2,45}")


class OnHostLoss(StrEnum):
    """What becomes of the users of a host that was lost."""

    MOVE = "move"
    """They go on from the other hosts."""
    DROP = "drop"
    """They ask no more until the host is back, or users are asked for again."""


@dataclass(frozen=True, slots=True)
class SshPlace:
    """A host that is reached by ssh."""

    host: str
    """A name, an alias of the operator's ssh configuration, or an address."""
    user: str = ""
    port: int | None = None
    python: str = "python3"
    """Which Python there has vramp."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Say whether it is this machine by its address."""
        return ServerAddress(False, self.host, 22).is_loopback


@dataclass(frozen=True, slots=True)
class RayPlace:
    """A Ray cluster: all its nodes that have CPUs."""

    address: str
    """As `ray.init` takes it."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        return "the Ray cluster" if self.address == "auto" else self.address


Place = SshPlace | RayPlace | None
"""None = this machine."""


def checked_hosts(value: object) -> object:
    """Return a profile's value as it is. Raises ValueError, in words, for one that names no hosts."""
    if not (isinstance(value, str) or (isinstance(value, list) and all(isinstance(each, str) for each in value))):
        raise ValueError(_EXPECTED)
    places_of(value)
    return value


def far_hosts(value: str | list[str]) -> list[str]:
    """Return the names of the hosts that are other machines, as far as that is known before they are reached."""
    return [place.name for place in places_of(value) if isinstance(place, SshPlace) and not place.is_here]


def places_of(value: str | list[str]) -> list[Place]:
    """Return the places that a profile's value names. Raises ValueError, in words."""
    words = [value] if isinstance(value, str) else value
    if not words or len(words) > MAX_HOSTS:
        raise ValueError(f"{_EXPECTED}, of {MAX_HOSTS} at most")
    places = [_place(word) for word in words]
    if len(words) > 1 and any(isinstance(place, RayPlace) for place in places):
        raise ValueError('expected a cluster by itself, as in hosts = "ray://auto"')
    names = ["" if place is None else place.name for place in places if not isinstance(place, RayPlace)]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise ValueError(f"expected each host once, not {', '.join(name or LOCAL for name in twice)} twice")
    return places


def _place(word: str) -> Place:
    if word == LOCAL:
        return None
    try:
        parts = urlsplit(word)
        port = parts.port
    except ValueError:
        raise _no_place(word) from None
    if (
        port == 0
        or parts.query
        or parts.fragment
        or parts.password is not None
        or any(not char.isprintable() for char in word)
    ):
        raise _no_place(word)
    host = parts.netloc.rpartition("@")[2]
    host = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    if word.startswith(_RAY) and parts.username is None and not parts.path:
        if host == "auto":
            if port is None:
                return RayPlace("auto")
        elif _NAME.fullmatch(host) and port is not None:
            return RayPlace(word)
    if word.startswith(_SSH) and (_NAME.fullmatch(host) or _ADDRESS.fullmatch(host)):
        user = unquote(parts.username or "")
        if not user or _NAME.fullmatch(user):
            return SshPlace(host, user, port, unquote(parts.path) if parts.path not in ("", "/") else "python3")
    raise _no_place(word)


def _no_place(word: str) -> ValueError:
    """Return what is told of a word that names no host: it alone, and nothing before an @, where a password may be."""
    return ValueError(f'{_EXPECTED}, not "{safe_line(word.rpartition("@")[2], limit=60)}"')
