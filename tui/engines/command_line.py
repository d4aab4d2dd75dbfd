"""The command of a profile as text, for people to read and to paste into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from tui.core.safe_text import safe_line
from tui.engines.base import LaunchPlan
from tui.engines.catalogue import engine_for
from tui.profile.schema import Profile
from tui.profile.secrets import is_secret_name, is_secret_value

HIDDEN = "•••"


def command_line(profile: Profile) -> str:
    """Return what `profile` would run, variables first; the free port of `port = 0` shows as 0. "" for [attach]."""
    if profile.server is None:
        return ""
    return show_plan(engine_for(profile.engine).launch_plan(profile, profile.server.port, None))


def show_plan(plan: LaunchPlan) -> str:
    """Return a plan as one shell line, the values of secrets hidden."""
    return safe_line(" ".join([*_variables(plan.env), shlex.join(_without_secrets(plan.argv))]))


def _variables(env: Mapping[str, str]) -> Iterable[str]:
    for name, value in env.items():
        secret = is_secret_name(name) or is_secret_value(value)
        yield f"{name}={HIDDEN if secret else shlex.quote(value)}"


def _without_secrets(argv: Iterable[str]) -> list[str]:
    shown: list[str] = []
    after_secret_flag = False
    for word in argv:
        flag, joined, _value = word.partition("=")
        is_flag = word.startswith("-")
        if after_secret_flag and not is_flag:
            shown.append(HIDDEN)
            continue  # a list of keys may follow one flag
        if is_flag and joined and is_secret_name(flag):
            shown.append(f"{flag}={HIDDEN}")
        else:
            shown.append(HIDDEN if is_secret_value(word) else word)
        after_secret_flag = is_flag and not joined and is_secret_name(flag)
    return shown
