"""The errors of vramp, one tree.

VrampError                what the user is told, in one sentence; never a traceback
 +- UsageError            a wrong option, name or combination                    (exit code 2)
 |   +- ProfileError      mistakes in a profile: all of them, each with its place (exit code 2)
 +- LaunchError           the server could not be launched or reached            (exit code 3)
 +- SessionError          a session file that is absent, unreadable or in use    (exit code 2)
 +- BenchLost             the bench went away                                    (exit code 1)
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a vramp command tells the shell."""

    OK = 0
    UNEXPECTED = 1
    USAGE = 2
    SERVER_UNAVAILABLE = 3
    INTERRUPTED = 4
    CLIENT_LIMIT = 5
    GATE = 6


def in_a_sentence(error: BaseException) -> str:
    """Return what to tell of an exception: the system's words where it is the system that refuses."""
    if isinstance(error, VrampError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror
    return f"internal error: {type(error).__name__}: {error}"


class VrampError(Exception):
    """A failure that the user can understand and act on."""

    exit_code = ExitCode.UNEXPECTED


class UsageError(VrampError):
    """A wrong option, name or combination of them."""

    exit_code = ExitCode.USAGE


class ProfileError(UsageError):
    """Mistakes in a profile; `problems` holds one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LaunchError(VrampError):
    """The server could not be launched or reached."""

    exit_code = ExitCode.SERVER_UNAVAILABLE


class SessionError(VrampError):
    """A session file is absent, unreadable or in use."""

    exit_code = ExitCode.USAGE


class BenchLost(VrampError):
    """The bench process went away or does not answer."""
