"""`vramp ctl` and `vramp metrics`: a running session, steered and told about from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tui.core.errors import UsageError

if TYPE_CHECKING:
    from tui.link.protocol import Command
    from tui.remote.control import Control

_NUMBERS = {"ignore_unknown_options": True}  # so that -8 is a number and no option
_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


class _OfSession(click.Group):
    """A group whose commands may have the session before them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and len(args) > 1:
            ctx.obj = {**ctx.obj, "session": args[0]}
            args = args[1:]
        return super().resolve_command(ctx, args)


@click.group(cls=_OfSession, subcommand_metavar="[SESSION] COMMAND [ARGS]...")
@click.pass_context
def ctl(context: click.Context) -> None:
    """Steer a running SESSION from outside, as the keys do; it need not be named where only one runs.

    Exit codes: 0 done, or what was waited for has come; 1 refused, or it will not come; 2 usage; 3 the server has
    failed; 4 the timeout is over.
    """
    context.obj = {"session": None, **(context.obj or {})}


def _control(as_json: bool) -> Control:
    from tui.link.launcher import find_running
    from tui.remote.control import Control

    return Control(find_running(click.get_current_context().obj["session"]), as_json)


def _send(command: Command, as_json: bool) -> int:
    return _control(as_json).send(command)


@ctl.command(context_settings=_NUMBERS)
@click.argument("number", metavar="N|+N|-N|back")
@click.option("--cut", is_flag=True, help="Users who leave do not finish their request.")
@_json
def users(number: str, cut: bool, as_json: bool) -> int:
    """Have N users, or so many more or fewer; back: those who asked when the server died."""
    from tui.link.protocol import ChangeUsers, RestoreUsers, SetUsers

    if number == "back":
        return _send(RestoreUsers(), as_json)
    value = _whole(number, "users", "64, +8, -8 or back")
    return _send(ChangeUsers(value, cut) if number[0] in "+-" else SetUsers(value, cut), as_json)


@ctl.command()
@click.argument("tokens", metavar="N|next|previous")
@_json
def prompt(tokens: str, as_json: bool) -> int:
    """Ask with prompts of N tokens, or of the next or previous size of the grid."""
    from tui.link.protocol import SetPromptTokens, StepPromptTokens

    if tokens in ("next", "previous"):
        return _send(StepPromptTokens(1 if tokens == "next" else -1), as_json)
    return _send(SetPromptTokens(_whole(tokens, "prompt", "822, next or previous")), as_json)


_begin_or_end = click.argument("what", metavar="start|stop", type=click.Choice(["start", "stop"]))


@ctl.command()
@_begin_or_end
@click.option("--again", is_flag=True, help="Forget what is known of the grid first.")
@_json
def sweep(what: str, again: bool, as_json: bool) -> int:
    """Measure all open cells of the grid, or stop."""
    from tui.link.protocol import StartSweep, StopSweep

    return _send(StartSweep(again) if what == "start" else StopSweep(), as_json)


@ctl.command()
@_begin_or_end
@_json
def edge(what: str, as_json: bool) -> int:
    """Find the most users that are served well at each prompt size, or stop."""
    from tui.link.protocol import FindEdge, StopSweep

    return _send(FindEdge() if what == "start" else StopSweep(), as_json)


@ctl.command()
@_begin_or_end
@_json
def ramp(what: str, as_json: bool) -> int:
    """Add users step by step at the present prompt size, or leave them as they are."""
    from tui.link.protocol import StartRamp, StopRamp

    return _send(StartRamp() if what == "start" else StopRamp(), as_json)


@ctl.command()
@click.argument("cells", metavar="USERSxTOKENS...", nargs=-1)
@_json
def measure(cells: tuple[str, ...], as_json: bool) -> int:
    """Measure cells again, as 64x822; without any: all that are implied."""
    from tui.link.protocol import MeasureAgain

    meant = [tuple(_whole(part, "cell", "64x822") for part in cell.split("x", 1)) for cell in cells]
    if any(len(cell) != 2 for cell in meant):
        raise UsageError(f"cell: found {' '.join(cells)!r}, expected users and prompt tokens as 64x822")
    return _send(MeasureAgain([(users, tokens) for users, tokens in meant]), as_json)


@ctl.command()
@click.argument("words", metavar="QUESTION...", nargs=-1)
@click.option("--end", is_flag=True, help="Show the question and its answer no more.")
@_json
def ask(words: tuple[str, ...], end: bool, as_json: bool) -> int:
    """Ask the model a QUESTION beside the load, in no figure; those who look on see its answer come."""
    from tui.link.protocol import AskByHand, EndByHand

    if bool(words) is end:
        raise UsageError("ask: expected a question, or --end alone")
    return _send(EndByHand() if end else AskByHand(" ".join(words)), as_json)


@ctl.command()
@_json
def relaunch(as_json: bool) -> int:
    """Launch a server again that has failed."""
    from tui.link.protocol import Relaunch

    return _send(Relaunch(), as_json)


@ctl.command()
@_json
def status(as_json: bool) -> int:
    """Say what the session is doing."""
    return _control(as_json).status()


@ctl.command()
@click.argument("condition", metavar="ready|steady|oom|done", type=click.Choice(["ready", "steady", "oom", "done"]))
@click.option("--timeout", "timeout_s", type=click.FloatRange(0, min_open=True), help="Seconds; default: no end.")
@_json
def wait(condition: str, timeout_s: float | None, as_json: bool) -> int:
    """Wait until the server is ready, the figures are steady, memory has given out, or all is measured.

    What has come about already is not waited for.
    """
    return _control(as_json).wait(condition, timeout_s)


@ctl.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False))
@_json
def export(folder: Path | None, as_json: bool) -> int:
    """Write what is measured by now as TOML and CSV into DIR; default: beside the session."""
    from tui.link.protocol import Export

    return _send(Export(None if folder is None else str(folder.absolute())), as_json)


@ctl.command()
@_json
def stop(as_json: bool) -> int:
    """End the session: its load, its server and its bench; returns when all that is done."""
    from tui.link.protocol import StopBench

    return _send(StopBench(), as_json)


@click.command()
@click.argument("session", required=False)
@click.option("--port", type=click.IntRange(0, 65535), default=9409, show_default=True, help="0: a free one.")
def metrics(session: str | None, port: int) -> int:
    """Serve the figures of a running SESSION as Prometheus text, on loopback alone; steers nothing.

    docs/metrics.md names them; docs/grafana-dashboard.json shows them beside vLLM's own.
    """
    from tui.link.launcher import find_running
    from tui.remote.exposition import serve

    return serve(find_running(session), port)


_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")


def _whole(text: Any, name: str, expected: str) -> int:
    if not _WHOLE.fullmatch(str(text)):
        raise UsageError(f"{name}: found {text!r}, expected {expected}")
    return int(text)
