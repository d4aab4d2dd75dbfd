"""What the picker says of a profile, as facts. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from textual.content import Content

from tui.core.durations import rough_duration
from tui.core.safe_text import safe_line, safe_text
from tui.preflight import Need, Preflight
from tui.profile.catalogue import ProfileEntry
from tui.profile.schema import LoadTable, Mode, Profile
from tui.view.screens.fact_sheet import Fact

_NOTHING = Fact("", ())
_LONG = 2000
_MARKS = {True: ("✓", "$success"), False: ("✕", "$warning"), None: ("·", "$text-muted")}


def profile_facts(
    entry: ProfileEntry, check: Preflight | None, sessions: Sequence[str], *, command_width: int
) -> list[Fact]:
    """Return all that is to be said of one profile; `sessions` are the last ones, latest first, one line each."""
    if entry.profile is None:
        return _problem_facts(entry)
    profile = entry.profile
    whose = "shipped" if entry.shipped else "your own"
    facts = [
        Fact("profile", (_text(profile.display_title, "bold"), _muted(f"{entry.name} · {profile.engine} · {whose}"))),
        _NOTHING,
        *(_run_facts(profile, check, command_width) if check else [_fact("runs", "…")]),
        _NOTHING,
        *_grid_facts(profile.load, check),
        *_service_facts(profile),
    ]
    if profile.notes:
        facts += [_NOTHING, Fact("notes", (_text(safe_text(profile.notes, limit=_LONG).strip()),))]
    if sessions:
        facts += [_NOTHING, Fact("sessions", tuple(_text(line) for line in sessions))]
    return [*facts, _NOTHING, Fact("file", (_muted(str(entry.path)),))]


def command_lines(argv: Sequence[str], width: int) -> list[str]:
    r"""Return a command over several lines for a shell, each a whole number of options, all but the last with " \\"."""
    groups: list[str] = []
    for number, word in enumerate(argv):
        before = argv[number - 1] if number else ""
        if number and not word.startswith("-") and before.startswith("-") and "=" not in before:
            groups[-1] += f" {_quoted(word)}"
        else:
            groups.append(_quoted(word))
    lines: list[str] = []
    for group in groups:
        room = width - 2 - (2 if len(lines) > 1 else 0)
        if lines and len(lines[-1].strip()) + 1 + len(group) <= room:
            lines[-1] += f" {group}"
        else:
            lines.append(group if not lines else f"  {group}")
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _problem_facts(entry: ProfileEntry) -> list[Fact]:
    count = len(entry.problems)
    place = f"{safe_line(str(entry.path), limit=200)}: "
    problems = tuple(_text(problem.removeprefix(place)) for problem in entry.problems)
    return [
        Fact(
            "profile",
            (_text(entry.name, "bold"), _text("invalid: it cannot be launched before it is mended", "$error")),
        ),
        _NOTHING,
        Fact("mistake" if count == 1 else "mistakes", problems),
        _NOTHING,
        Fact("file", (_muted(str(entry.path)),)),
    ]


def _run_facts(profile: Profile, check: Preflight, width: int) -> list[Fact]:
    facts = []
    if profile.attach is not None:
        facts.append(_fact("asks", f"{profile.attach.base_url}, a server that runs already and is never stopped"))
    else:
        lines = tuple(_text(line) for line in command_lines(check.argv, width)) or (_muted("nothing yet"),)
        facts.append(Fact("runs", lines))
    if check.env:
        facts.append(_fact("with", " ".join(check.env)))
    return [*facts, _NOTHING, Fact("needs", tuple(_need_line(need, check) for need in check.needs))]


def _need_line(need: Need, check: Preflight) -> Content:
    width = max(len(each.what) for each in check.needs)
    mark, style = _MARKS[need.met]
    what = safe_line(need.what, limit=60)
    here = need.here + (f"; {need.helps}" if need.helps and need.met is False else "")
    return Content.assemble(
        (f"{mark} ", style), f"{what:<{min(width, 30)}}  ", (safe_line(here, limit=300), "$text-muted")
    )


def _grid_facts(load: LoadTable, check: Preflight | None) -> list[Fact]:
    cells = len(load.users) * len(load.prompt_tokens)
    size = f"{len(load.users)} × {len(load.prompt_tokens)} = {cells} cells"
    lines = [
        _text(f"{size}, {_mode_in_words(load)}, {load.output_tokens} output tokens each"),
        Content.assemble(("users  ", "$text-muted"), " ".join(map(str, load.users))),
        Content.assemble(
            ("prompt ", "$text-muted"), " ".join(map(str, load.prompt_tokens)), (" tokens", "$text-muted")
        ),
    ]
    if check and check.estimate_s is not None:
        lines.append(_text(f"about {rough_duration(check.estimate_s)} {check.estimate_by}"))
    elif check:
        lines.append(_muted("how long it takes is not known beforehand"))
    return [Fact("grid", tuple(lines))]


def _mode_in_words(load: LoadTable) -> str:
    match load.mode:
        case Mode.BURST:
            return "all users ask at once" + (f", {load.repeats} times" if load.repeats > 1 else "")
        case Mode.STEADY:
            return f"users ask again and again for {load.duration_s:g} s"
        case Mode.RATE:
            return f"{load.rate_per_s or 0:g} requests a second for {load.duration_s:g} s"


def _service_facts(profile: Profile) -> list[Fact]:
    facts = []
    if profile.slo is not None:
        named = (("TTFT", profile.slo.ttft_s), ("TPOT", profile.slo.tpot_s), ("E2E", profile.slo.e2e_s))
        facts.append(_fact("SLO", ", ".join(f"{name} ≤ {value:g} s" for name, value in named if value is not None)))
    if profile.cost is not None:
        facts.append(_fact("cost", f"{profile.cost.price_per_hour:g} {profile.cost.currency} an hour"))
    if profile.reference is not None:
        beside = profile.reference
        what = f"session {beside.session}" if beside.table is None else f"the published table {beside.table}"
        facts.append(_fact("beside", what))
    return facts


def _quoted(word: str) -> str:
    return shlex.quote(safe_line(word))


def _fact(label: str, value: str) -> Fact:
    return Fact(label, (_text(value),))


def _text(text: str, style: str = "") -> Content:
    return Content.styled(safe_text(text, limit=_LONG), style)


def _muted(text: str) -> Content:
    return _text(text, "$text-muted")
