"""The command of a profile as text, for people to read and to paste into a shell."""

from __future__ import annotations

import shlex

from tui.core.safe_text import safe_line
from tui.core.secrets import hide_in_document, hide_in_words
from tui.engines.base import LaunchPlan
from tui.engines.catalogue import launch_of
from tui.profile.schema import Profile


def command_line(profile: Profile) -> str:
    """Return what `profile` would run, variables first; the free port of `port = 0` shows as 0. "" for [attach]."""
    if profile.server is None:
        return ""
    return show_plan(launch_of(profile).plan(profile, profile.server.port, None))


def show_plan(plan: LaunchPlan) -> str:
    """Return a plan as one shell line, the values of secrets hidden."""
    variables = [f"{name}={shlex.quote(value)}" for name, value in hide_in_document(dict(plan.env)).items()]
    return safe_line(" ".join([*variables, shlex.join(hide_in_words(plan.argv))]))
