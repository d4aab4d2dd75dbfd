"""The command line. Only words and options live here; each command imports what it needs when it runs, so that
`--help` and `--version` answer at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui import __version__
from tui.commands.compare import compare
from tui.commands.ctl import ctl, metrics
from tui.commands.profiles import known_profile, profiles
from tui.commands.record import record
from tui.commands.report import report
from tui.commands.run import reference_of, run
from tui.commands.serve_view import serve_view
from tui.commands.sessions import export, sessions
from tui.core.errors import ExitCode, LaunchError, UsageError, VrampError, in_a_sentence
from tui.core.for_a_page import is_for_a_page
from tui.core.known_secrets import learn_environment
from tui.core.printing import complain, narrate, tell
from tui.core.safe_text import safe_line

if TYPE_CHECKING:
    from tui.view.start import StartWish

CONTEXT = {"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "VRAMP", "max_content_width": 100}


def main() -> int:
    """Run the command line; return the exit code."""
    learn_environment(os.environ)
    try:
        result = cli.main(prog_name="vramp", standalone_mode=False)
        sys.stdout.flush()  # a full disk is told here, not by the interpreter at its end
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        _tell_usage(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except VrampError as error:
        complain(error)
        return int(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone
        return ExitCode.OK
    except Exception as error:
        if os.environ.get("VRAMP_TRACEBACK"):
            raise
        complain(safe_line(in_a_sentence(error), limit=500))
        if not isinstance(error, OSError):
            complain("VRAMP_TRACEBACK=1 shows where")
        return ExitCode.UNEXPECTED
    return int(result) if isinstance(result, int) else ExitCode.OK


def _tell_usage(error: click.ClickException) -> None:
    """Print what click has to say of the arguments, which it quotes as they are."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        narrate(context.get_usage())
        narrate(f"Try '{context.command_path} --help' for help.")
    complain(error.format_message())


@click.group(context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, "--version", message="vramp %(version)s")
@click.option("--theme", help="Colour theme; see the settings.")
@click.option(
    "--ascii/--no-ascii",
    "ascii_only",
    default=None,
    help="Draw without braille and box characters; default: by locale.",
)
@click.pass_context
def cli(context: click.Context, theme: str | None, ascii_only: bool | None) -> int | None:
    """See, live, how many users a GPU server for language models can carry.

    Without a command: the app. Pick a profile, launch it, add users by key, watch the grid fill.
    """
    context.obj = {"theme": theme, "ascii_only": ascii_only}
    if context.invoked_subcommand is None:
        from tui.view.start import Picker

        return _open_app(context, Picker())
    return None


def _open_app(context: click.Context, start: StartWish) -> int:
    from tui.view.start import Launch

    in_a_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not (in_a_terminal or is_for_a_page()):
        raise UsageError("the app needs a terminal; without one use: vramp run PROFILE")
    if in_a_terminal and os.environ.get("TERM", "") in ("", "dumb"):
        raise UsageError(
            "the app needs a terminal that can place its text, and TERM is "
            f"{os.environ.get('TERM') or 'not set'}; use `vramp run PROFILE`, or set TERM, as in TERM=xterm-256color"
        )
    start = start.begun() if isinstance(start, Launch) else start
    from tui.view.run_app import run_app  # takes as long as the bench takes to come up

    try:
        return run_app(start=start, **context.obj)
    except VrampError:
        if isinstance(start, Launch):
            start.abandon()
        raise


@cli.command()
@click.option("--stage", is_flag=True, help="Begin with the presentation screen.")
@click.option("--no-ramp", is_flag=True, help="Add users by key instead of watching them ramp by themselves.")
@click.option("--time-scale", type=click.FloatRange(0.1, 100), default=1.0, help="Modelled time runs X times faster.")
@click.option("--engine", metavar="NAME", help="The serving system that the simulated server is seen as.")
@click.option("--script", metavar="NAME|FILE", help="Show this on stage step by step: r runs it, space holds it.")
@click.option("--reference", metavar="NAME|SESSION", help="A published table or an earlier session to lay beside.")
@click.pass_context
def demo(
    context: click.Context,
    stage: bool,
    no_ramp: bool,
    time_scale: float,
    engine: str | None,
    script: str | None,
    reference: str | None,
) -> int:
    """The app on a simulated server: no GPU needed, every figure says SIMULATED."""
    from dataclasses import replace

    from tui.engines.catalogue import simulated_as
    from tui.profile.overrides import Overrides, apply, seen_as, served_as
    from tui.profile.scripts import load_script
    from tui.view.start import demo as demo_wish

    entry = known_profile("demo")
    assert entry.profile is not None
    if engine is not None:
        dialect = served_as(engine)
        entry = replace(entry, profile=seen_as(entry.profile, dialect, simulated_as(dialect).endpoints))
    if reference is not None:
        assert entry.profile is not None
        entry = replace(entry, profile=apply(entry.profile, Overrides(reference=reference_of(reference))))
    steps = load_script(script) if script is not None else None
    wish = demo_wish(entry, ramp=not no_ramp, presentation=stage, time_scale=time_scale, script=steps)
    return _open_app(context, wish)


@cli.command()
@click.argument("profiles", metavar="[PROFILE]...", nargs=-1)
@click.option("--users", type=int, required=True, help="How many are to be carried at once.")
@click.option("--prompt-tokens", type=int, required=True, help="Their prompts' size.")
@click.option("--within", "within_s", type=float, help="Seconds to resolve that are still good; default: slo.e2e_s.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(profiles: tuple[str, ...], users: int, prompt_tokens: int, within_s: float | None, as_json: bool) -> int:
    """Say which PROFILE carries so many users, on how many GPUs, how quickly and for how much.

    From the sessions measured so far; else from its published table or its simulated twin, and says so. The best
    answer comes first. Without PROFILE: all that have sessions.
    """
    import msgspec

    from tui import planning

    plans = planning.plan(profiles, planning.Wish(users, prompt_tokens, within_s))
    tell(msgspec.json.encode(plans).decode() if as_json else "\n".join(map(planning.in_words, plans)))
    return ExitCode.OK if plans and plans[0].carried else ExitCode.UNEXPECTED


@cli.command()
@click.argument("session", required=False)
@click.option("--read-only", is_flag=True, help="Look, but steer nothing.")
@click.option("--stage", is_flag=True, help="Begin with the presentation screen.")
@click.option("--script", metavar="NAME|FILE", help="Show this on stage step by step: r runs it, space holds it.")
@click.option("--find", is_flag=True, help="List the servers on this machine instead, and attach to one of them.")
@click.option(
    "--plain", is_flag=True, help="Tell in lines what happens, as a screen reader can follow; steers nothing."
)
@click.option(
    "--every", "every_s", type=click.FloatRange(0), default=30.0, show_default=True, help="--plain: seconds to figures."
)
@click.pass_context
def attach(
    context: click.Context,
    session: str | None,
    read_only: bool,
    stage: bool,
    script: str | None,
    find: bool,
    plain: bool,
    every_s: float,
) -> int:
    """Come back to a bench that runs; of several, a list asks which."""
    if plain and (find or stage or script):
        raise UsageError("--plain draws nothing: it goes with none of --stage, --script and --find")
    if script and (read_only or find):
        raise UsageError("--script steers: it goes with neither --read-only nor --find")
    if find:
        if session is not None or read_only:
            raise UsageError("--find looks for servers: it takes no SESSION and no --read-only")
        return _attach_to_found(context, stage=stage)
    from tui.link.launcher import find_running, matching
    from tui.profile.scripts import load_script
    from tui.view.start import Attach

    benches = matching(session)
    asked = len(benches) > 1 and sys.stdin.isatty() and sys.stdout.isatty()
    bench = benches[_choose([one.in_words for one in benches])] if asked else find_running(session)
    if plain:
        from tui.remote.plain import follow

        return follow(bench, every_s=every_s)
    steps = load_script(script) if script is not None else None
    on_stage = stage or steps is not None
    return _open_app(context, Attach(bench.socket_path, read_only=read_only, presentation=on_stage, script=steps))


def _attach_to_found(context: click.Context, *, stage: bool) -> int:
    """List the servers of this machine; at a terminal, ask for one and measure it with a profile made of it."""
    import asyncio

    from tui.profile.catalogue import attaching_profile, entry_of
    from tui.server.finding import find_servers
    from tui.view.start import Launch

    found = asyncio.run(find_servers())
    if not found:
        raise LaunchError(
            "no server that vramp knows answers on this machine's loopback; name it: vramp run PROFILE --attach URL"
        )
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        for one in found:
            tell(one.in_words)
        return 0
    chosen = found[_choose([one.in_words for one in found])]
    path = attaching_profile(chosen.engine, chosen.base_url, verify=chosen.verified)
    narrate(f"its profile: {path}")
    if chosen.wants_key:
        narrate("it wants a key: name the variable that holds it by api_key_env in [attach] of that profile")
    return _open_app(context, Launch(entry_of(path, shipped=False), presentation=stage))


def _choose(names: list[str]) -> int:
    """Ask for one of several by its number; return its place. The first is what enter alone takes."""
    for number, name in enumerate(names, start=1):
        narrate(f"{number:>3}  {name}")
    chosen: int = click.prompt("which", type=click.IntRange(1, len(names)), default=1, err=True)
    return chosen - 1


@cli.command(name="open")
@click.argument("session")
@click.option("--stage", is_flag=True, help="Begin with the presentation screen.")
@click.option("--reference", metavar="NAME|SESSION", help="A published table or an earlier session to lay beside.")
@click.pass_context
def open_session(context: click.Context, session: str, stage: bool, reference: str | None) -> int:
    """Show a finished SESSION (or its file) in the same panes."""
    from tui.session.shelf import find as find_session
    from tui.view.start import Replay

    return _open_app(context, Replay(find_session(session), presentation=stage, reference=reference_of(reference)))


@cli.command()
@click.argument("profile")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--time-scale", type=click.FloatRange(0.1, 100), default=1.0, help="Modelled time runs X times faster.")
@click.option("--fail", metavar="WAY", help="Fail on purpose; see docs/simulator.md.")
@click.option("--engine", metavar="NAME", help="Speak, log and fail as this serving system; default: the profile's.")
@click.option("--disable-uvicorn-access-log", "no_access_log", is_flag=True, help="No log line per request.")
@click.option("--max-model-len", type=click.IntRange(min=1), help="Default: the profile's [simulator].")
def simulate(
    profile: str,
    host: str,
    port: int,
    time_scale: float,
    fail: str | None,
    engine: str | None,
    no_access_log: bool,
    max_model_len: int | None,
) -> int:
    """A simulated server by itself: a real HTTP server with a modelled GPU behind it."""
    from tui.profile.overrides import served_as
    from tui.simulator import serve

    found = known_profile(profile).profile
    assert found is not None
    seen_as = served_as(engine) if engine else None
    return serve(
        found,
        host,
        port,
        time_scale,
        fail,
        served_as=seen_as,
        access_log=not no_access_log,
        max_model_len=max_model_len,
    )


@cli.command()
@click.argument("logfile", type=click.Path(path_type=Path))
@click.option("--engine", default="vllm", show_default=True)
@click.option("--exit-code", type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diagnose(logfile: Path, engine: str, exit_code: int | None, as_json: bool) -> None:
    """Say what a server's log says: how far it came, why it failed, what to do. - is a pipe on stdin."""
    import json

    from tui.server.diagnosis import diagnose_log
    from tui.server.log_ends import read_ends

    answer = diagnose_log(read_ends(logfile), engine, exit_code)
    tell(json.dumps(answer) if as_json else "\n".join(f"{key}: {value or '–'}" for key, value in answer.items()))


@cli.command()
@click.option("--once", is_flag=True, help="One reading, as text.")
@click.option("--json", "as_json", is_flag=True, help="One reading, as JSON.")
def gpu(once: bool, as_json: bool) -> int:
    """The GPUs of this machine."""
    from tui import doctor

    return doctor.print_gpus(as_json=as_json, once=once)


@cli.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor_command(as_json: bool) -> int:
    """Say what is fine on this machine, what is not, and what to do."""
    from tui import doctor

    return doctor.print_report(as_json=as_json)


@cli.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a SHELL; source it in its start-up file."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    tell(kind(cli, {}, "vramp", "_VRAMP_COMPLETE").source())


for _group in (run, sessions, export, report, profiles, ctl, metrics, record, compare, serve_view):
    cli.add_command(_group)


if __name__ == "__main__":
    sys.exit(main())
