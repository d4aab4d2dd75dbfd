"""What a bench and its front ends say to each other over the unix socket.

Frames are a 4-byte big-endian length and a msgpack body. Up go `Request`s, down come `Snapshot`s and `Reply`s, told
apart by their tag. A front end first says `Hello`; a bench answers every request once, in order.
"""

from __future__ import annotations

import msgspec

from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried
from tui.metrics.snapshot import Snapshot
from tui.session.meta import SessionMeta

PROTOCOL_VERSION = 2
MAX_FRAME_BYTES = 16 * 1024 * 1024


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The first message of every front end."""

    version: int = PROTOCOL_VERSION
    read_only: bool = False
    refresh_hz: float = 2.0
    """How many snapshots a second this front end wants, at most 10."""
    passing: bool = False
    """It comes for a command, a look or figures: no session goes on for its sake, and none ends when it leaves."""


class SetUsers(msgspec.Struct, frozen=True, tag="set-users"):
    """So many users from now on; leaving ones finish their request, or are cut."""

    users: int
    cut: bool = False


class ChangeUsers(msgspec.Struct, frozen=True, tag="change-users"):
    """So many users more or less."""

    delta: int
    cut: bool = False


class RestoreUsers(msgspec.Struct, frozen=True, tag="restore-users"):
    """The users that asked when the server died ask again."""


class SetPromptTokens(msgspec.Struct, frozen=True, tag="set-prompt-tokens"):
    """So many prompt tokens per request from now on."""

    prompt_tokens: int


class StepPromptTokens(msgspec.Struct, frozen=True, tag="step-prompt-tokens"):
    """The next (1) or the previous (-1) prompt size of the grid."""

    step: int


class StartSweep(msgspec.Struct, frozen=True, tag="start-sweep"):
    """Measure all cells that are open."""

    again: bool = False
    """Forget what is known of the grid first."""


class StopSweep(msgspec.Struct, frozen=True, tag="stop-sweep"):
    """Stop walking; the cell under way is cancelled, all measured ones stay."""


class FindEdge(msgspec.Struct, frozen=True, tag="find-edge"):
    """Find the most users that are served well at each prompt size."""

    prompt_tokens: int | None = None
    """At this one alone."""


class MeasureAgain(msgspec.Struct, frozen=True, tag="measure-again"):
    """Measure cells whatever is known of them; what was measured before stays in the session."""

    cells: list[tuple[int, int]] = []
    """(users, prompt_tokens); none = all that are implied."""


class StartRamp(msgspec.Struct, frozen=True, tag="start-ramp"):
    """Add users step by step at the present prompt size, staying a while at each value of the grid's users axis."""


class StopRamp(msgspec.Struct, frozen=True, tag="stop-ramp"):
    """Leave the users as they are now."""


class AskByHand(msgspec.Struct, frozen=True, tag="ask-by-hand"):
    """Ask the model this, beside the load and in no figure; snapshots have the answer as it comes."""

    question: str


class EndByHand(msgspec.Struct, frozen=True, tag="end-by-hand"):
    """End the question by hand, and show it no more."""


class Relaunch(msgspec.Struct, frozen=True, tag="relaunch"):
    """Start the server again after it failed or died."""

    remedied: bool = False
    """With the arguments that its failure report names in place of the profile's."""


class Export(msgspec.Struct, frozen=True, tag="export"):
    """Write the session as TOML and CSV; the reply's message names the folder."""

    out_dir: str | None = None
    """None = beside the session file."""


class Linger(msgspec.Struct, frozen=True, tag="linger"):
    """Go on when the last front end has left (`d`, detach)."""


class ReadResults(msgspec.Struct, frozen=True, tag="read-results"):
    """Tell what was measured, in the reply; the session goes on."""


class StopBench(msgspec.Struct, frozen=True, tag="stop-bench"):
    """Cut the load, stop the server, close the session, end the process; answered when all that is done.

    The reply has the results, and in its message what could not be kept of them.
    """


Command = (
    Hello
    | SetUsers
    | ChangeUsers
    | RestoreUsers
    | SetPromptTokens
    | StepPromptTokens
    | StartSweep
    | StopSweep
    | FindEdge
    | MeasureAgain
    | StartRamp
    | StopRamp
    | AskByHand
    | EndByHand
    | Relaunch
    | Export
    | Linger
    | ReadResults
    | StopBench
)


class Request(msgspec.Struct, frozen=True):
    """A command with a number, by which its reply is known."""

    number: int
    command: Command


class Results(msgspec.Struct, frozen=True):
    """What a session came to, as its bench knows it, whatever became of its file."""

    meta: SessionMeta
    cells: list[CellResult]
    """The latest result of each cell of the profile's mode, in the order of the axes."""
    edges: list[Carried] = []
    """The most users that were served well, by prompt size, as far as it is known."""


FAREWELL = 0
"""The number of the reply that nobody asked for, a bench's last word: why it ends, whether in an orderly way (`ok`),
and then what was measured."""


class Reply(msgspec.Struct, frozen=True, tag="reply"):
    """The answer to one request."""

    number: int
    ok: bool
    message: str = ""
    results: Results | None = None


class SnapshotFrame(msgspec.Struct, frozen=True, tag="snapshot"):
    """A snapshot on its way down."""

    snapshot: Snapshot


Downward = Reply | SnapshotFrame


class BenchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a bench is started with, as JSON on its standard input. Holds no secret: keys go by variable name."""

    session_id: str
    session_file: str
    profile_toml: str
    """The profile as written, before overrides; kept in the session."""
    profile_json: str
    """The profile with all overrides, as `Profile.model_validate_json` reads it."""
    profile_path: str | None = None
    start: str = "idle"
    """What to do when the server is ready: idle, sweep, edge, ramp."""
    linger: bool = False
    """Whether to go on when the last front end has left without saying so (a dropped line)."""
    users_return: bool = False
    """After the server died and was launched again, the operator's users ask again by themselves."""
    unattended_s: float = 600.0
    """A session that lingers ends when for so long nobody looked at it and nothing ran."""
    time_scale: float = 1.0
    overrides: dict[str, str] = {}
    """Arguments of the server in place of the profile's, with which an earlier part of the session was launched."""
    resume: bool = False
    """Go on with an existing session file: cells measured already are not measured again."""
    stop_when_unkept: bool = False
    """Give up when the session file cannot be written, instead of going on in memory."""
