"""`vramp run`: its options, and what they make of each profile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from tui.commands.profiles import known_profile
from tui.core.errors import ExitCode, UsageError
from tui.core.printing import narrate

if TYPE_CHECKING:
    from tui.link.protocol import BenchSpec


class IntList(click.ParamType[list[int]]):
    """Whole numbers with commas between them: 1,2,4."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Return the numbers; anything else is a usage error."""
        if isinstance(value, list):
            return value
        try:
            return [int(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"found {value!r}, expected whole numbers with commas between them, as 1,2,4", param, ctx)


class HostList(click.ParamType[str | list[str]]):
    """Where users ask from, as `hosts` of a profile has it, with commas between several."""

    name = "HOSTS"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | list[str]:
        """Return one word as it is, but hosts reached by ssh as a list; what they are is for the profile to check."""
        if isinstance(value, list):
            return value
        words = [word.strip() for word in str(value).split(",")]
        return words[0] if len(words) == 1 and not words[0].startswith("ssh:") else words


@click.command()
@click.argument("profiles", metavar="PROFILE...", nargs=-1)
@click.option("--users", type=IntList(), help="Numbers of simultaneous users.")
@click.option("--prompt-tokens", type=IntList(), help="Prompt sizes.")
@click.option("--output-tokens", type=int, help="Tokens asked of each request.")
@click.option("--mode", type=click.Choice(["burst", "steady", "rate"]), help="How a cell is measured.")
@click.option("--rate", "rate_per_s", type=float, help="Requests per second and user (mode rate).")
@click.option("--arrivals", type=click.Choice(["constant", "poisson"]), help="How planned requests are spread.")
@click.option("--duration", "duration_s", type=float, help="Measured seconds per cell (steady, rate).")
@click.option("--warm-up", "warm_up_s", type=float, help="Seconds before each measurement (steady, rate).")
@click.option("--repeats", type=int, help="Bursts per cell (burst), or runs (rate).")
@click.option("--precision", type=float, help="End a cell once it is known within this share, as 0.05.")
@click.option("--attach", "attach_url", metavar="URL", help="Load a server that runs already; it is never stopped.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable that holds the key.")
@click.option("--model", help="The model to ask for.")
@click.option("--request-timeout", "request_timeout_s", type=float, help="Seconds until a request is given up.")
@click.option("--hosts", type=HostList(), metavar="HOSTS", help="Where users ask from: ray://..., ssh://a,ssh://b.")
@click.option("--reference", metavar="NAME|SESSION", help="A published table or an earlier session to lay beside.")
@click.option("--out", "out_dir", type=click.Path(path_type=Path, file_okay=False), help="Export into this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per profile.")
@click.option("--quiet", is_flag=True, help="No progress on stderr.")
@click.option("--resume", metavar="SESSION", help="Go on with a session: measured cells stay.")
@click.option(
    "--like",
    type=click.Choice(["inria", "georgian"]),
    help="Load as a published study did. inria: bursts of 1 to 128 requests, prompts of 31 to 2,193 tokens, answers of "
    "100; georgian: 10 requests/s for ten minutes, three runs, then ten users without pause for an hour, prompts of "
    "100 tokens, answers of 4. Options win, and a profile's own prompt sizes.",
)
@click.option("--find-edge", is_flag=True, help="Find the most users that are served well at each prompt size.")
@click.option("--time-scale", type=click.FloatRange(0.1, 100), default=1.0, help="Simulated servers: X times faster.")
@click.option(
    "--unkept",
    type=click.Choice(["stop", "go-on"]),
    default="stop",
    show_default=True,
    help="When the session file cannot be written: end the run, or go on in memory.",
)
def run(
    profiles: tuple[str, ...],
    out_dir: Path | None,
    as_json: bool,
    quiet: bool,
    unkept: Literal["stop", "go-on"],
    resume: str | None,
    find_edge: bool,
    like: str | None,
    time_scale: float,
    reference: str | None,
    **options: Any,
) -> int:
    """Sweep the grid of each PROFILE without the app, keep a session, print the table.

    With --find-edge, in place of the sweep: at each prompt size the most users that meet the SLO, or are served without
    a failure where the profile has no SLO.
    """
    from tui import headless
    from tui.profile.overrides import Overrides, without_effect
    from tui.profile.schema import Profile

    overrides = Overrides(**options, reference=reference_of(reference))
    start = "edge" if find_edge else "sweep"
    if resume is not None:
        if profiles:
            raise UsageError("--resume takes the profile of its session; name no other")
        if overrides != Overrides() or like is not None:
            raise UsageError("--resume goes on as the session was begun; it takes none of the options of its load")
        specs = [_resumed(resume, start)]
    elif profiles:
        specs = [_spec(name, part, time_scale, start) for name in profiles for part in _parts_of(name, like, overrides)]
    else:
        raise UsageError("name at least one PROFILE; `vramp profiles list` shows them")
    if not quiet:
        modes = {Profile.model_validate_json(spec.profile_json).load.mode for spec in specs}
        for sentence in without_effect(overrides, modes):
            narrate(sentence)
    code = headless.run(specs, headless.Output(as_json, quiet, out_dir, unkept))
    if len(profiles) > 1 and not as_json and code is not ExitCode.INTERRUPTED:
        from tui import comparing

        comparing.conclude([Path(spec.session_file) for spec in specs])
    return code


def _parts_of(name: str, study: str | None, overrides: Any) -> list[Any]:
    """Return the options of each session that a profile is measured in."""
    from tui.profile.protocols import like

    profile = known_profile(name).profile
    assert profile is not None
    return [overrides] if study is None else like(study, overrides, profile)


def reference_of(wanted: str | None) -> dict[str, str] | None:
    """Return the key of a published table or of an earlier session."""
    from tui.session.references import key_of

    return None if wanted is None else key_of(wanted)


def _spec(name: str, overrides: Any, time_scale: float, start: str) -> BenchSpec:
    from tui.link.launcher import spec_for
    from tui.profile.catalogue import profile_text
    from tui.profile.overrides import apply

    entry = known_profile(name)
    assert entry.profile is not None
    profile = apply(entry.profile, overrides)
    return spec_for(
        profile, profile_toml=profile_text(entry), profile_path=entry.path, start=start, time_scale=time_scale
    )


def _resumed(session: str, start: str) -> BenchSpec:
    from tui.link.launcher import spec_to_resume
    from tui.session.shelf import find as find_session

    return spec_to_resume(find_session(session), start=start)
