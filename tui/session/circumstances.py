"""In what circumstances a session was measured, by its profile, its server's word and its cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tui.core.safe_text import safe_line
from tui.metrics.arguments import NOT_COMPARED
from tui.metrics.cell import CellResult
from tui.metrics.circumstances import Circumstances
from tui.metrics.conditions import POOLS_APART
from tui.metrics.gpu_hosts import cards_in_words
from tui.metrics.reading import GpuReading
from tui.metrics.snapshot import ServerSettings
from tui.profile.catalogue import PublishedTable
from tui.profile.schema import Mode, Profile
from tui.session.meta import SessionMeta

LONGEST = 160
MOST_VALUES = 4
_SYSTEM = ("system", "machine", "cpus")


def of_profile(profile: Profile, gpu_summary: str = "") -> Circumstances:
    """Return what a profile, with all overrides, says of how its grid is measured."""
    server, load = profile.server, profile.load
    told = {"engine": str(profile.engine)}
    if model := server.model if server is not None else profile.attach.model if profile.attach else None:
        told["model"] = model
    if gpu_summary:
        told["GPUs"] = gpu_summary
    elif profile.gpu_count:
        told["GPUs"] = str(profile.gpu_count)
    told |= {"endpoint": str(load.endpoint), "mode": str(load.mode), "output tokens": str(load.output_tokens)}
    arguments = None
    if server is not None:
        arguments = {_flag(name): str(value) for name, value in server.args.items()}
        if server.extra_args:
            arguments["more arguments"] = " ".join(server.extra_args)
    return _checked(Circumstances(told=told, arguments=arguments))


def of_table(table: PublishedTable) -> Circumstances:
    """Return how a published table was loaded."""
    told = {"mode": str(Mode.BURST)}
    if table.output_tokens is not None:
        told["output tokens"] = str(table.output_tokens)
    return Circumstances(told=told)


def of_session(
    meta: SessionMeta,
    profile: Profile | None,
    settings: ServerSettings | None,
    cells: Sequence[CellResult],
    cards: Iterable[GpuReading] = (),
    *,
    model: str = "",
) -> Circumstances:
    """Return what a session says of how its cells were measured: the profile first, then what was found.

    `model` is what the server calls its own, for a profile that names none.
    """
    gpus = cards_in_words(cards) or meta.gpu_summary
    known = Circumstances(told={"engine": meta.engine}) if profile is None else of_profile(profile, gpus)
    told = {"measured by": f"vramp {meta.vramp_version}", "figures": "simulated" if meta.simulated else "measured"}
    told |= ({"model": model} if model else {}) | known.told
    if gpus:
        told["GPUs"] = gpus
    if meta.time_scale != 1.0:
        told["time scale"] = f"{meta.time_scale:g}"
    if profile is not None:
        told |= _of_load(profile)
    told |= _of_cells(cells)
    told |= {f"client's {name}": meta.environment[name] for name in _SYSTEM if meta.environment.get(name)}
    return _checked(Circumstances(told=told, arguments=_as_run(known.arguments, settings)))


def _of_load(profile: Profile) -> dict[str, str]:
    load = profile.load
    told = {"prompts": f"random, exact sizes, nothing shared, seed {load.seed}"}
    if load.mode is Mode.BURST or load.repeats > 1:
        told["repeats"] = str(load.repeats)
    if load.mode is not Mode.BURST:
        told |= {"duration": f"{load.duration_s:g} s", "warm-up": f"{load.warm_up_s:g} s"}
    if load.mode is Mode.RATE:
        told["rate"] = f"{load.rate_per_s:g} requests/s and user, {load.arrivals}"
    if load.body:
        told["body"] = ", ".join(f"{name} = {value}" for name, value in load.body.items())
    return told


def _of_cells(cells: Sequence[CellResult]) -> dict[str, str]:
    """Return what the conditions of the cells say of all of them."""
    known = [cell.conditions for cell in cells if cell.conditions is not None]
    said = {
        "version": _all_of(each.version for each in known),
        "driver": _all_of(each.driver for each in known),
        "runs at most": _all_of("" if each.max_num_seqs is None else f"{each.max_num_seqs:,}" for each in known),
        "power limit": _all_of("" if each.power_limit_w is None else f"{each.power_limit_w:.0f} W" for each in known),
        "clocks held down": _all_of(each.throttle for each in known),
    }
    pools = sorted(each.kv_pool_tokens for each in known if each.kv_pool_tokens)
    if pools:
        # Launches whose pools are as good as the same are told as one.
        alike = pools[-1] - pools[0] <= POOLS_APART * pools[-1]
        said["KV pool"] = f"{pools[-1]:,} tokens" if alike else f"{pools[0]:,} to {pools[-1]:,} tokens"
    return {name: text for name, text in said.items() if text}


def _all_of(values: Iterable[str]) -> str:
    distinct = [value for value in dict.fromkeys(values) if value]
    more = " …" if len(distinct) > MOST_VALUES else ""
    return ", ".join(distinct[:MOST_VALUES]) + more


def _as_run(asked: dict[str, str] | None, settings: ServerSettings | None) -> dict[str, str] | None:
    """Return the arguments as the server tells them, those that it does not tell as they were given."""
    told = {} if settings is None else {_flag(name): value for name, value in settings.arguments.items()}
    if asked is None and not told:
        return None
    as_run = {**(asked or {}), **told}
    return {name: value for name, value in as_run.items() if name not in NOT_COMPARED}


def _flag(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


def _checked(circumstances: Circumstances) -> Circumstances:
    def lines(values: dict[str, str]) -> dict[str, str]:
        return {safe_line(name, limit=80): safe_line(value, limit=LONGEST) for name, value in values.items()}

    arguments = None if circumstances.arguments is None else lines(circumstances.arguments)
    return Circumstances(told=lines(circumstances.told), arguments=arguments)
