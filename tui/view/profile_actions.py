"""What the picker asks for that touches files: edit, copy, make a profile. Files are read and written in threads;
the editor has the terminal to itself meanwhile."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from tui.core.errors import UsageError
from tui.core.paths import user_profiles_dir
from tui.engines.catalogue import engine_for
from tui.profile.catalogue import ProfileEntry, copy_profile, copy_profile_as, entry_of, new_profile
from tui.profile.overrides import Overrides, apply, spoken_to_as
from tui.view.screens.attach import AttachScreen, ServerWanted
from tui.view.screens.dialogs import Field, Form

if TYPE_CHECKING:
    from textual.app import App


async def edit_profile(app: App[int], entry: ProfileEntry) -> Path:
    """Open a profile in the user's editor and return the file; a shipped one is copied to the user's folder first.

    Raises UsageError when there is no editor, or no way to give it the terminal.
    """
    path = await asyncio.to_thread(copy_profile, entry) if entry.shipped else entry.path
    return await open_editor(app, path)


async def open_editor(app: App[int], path: Path) -> Path:
    """Give the terminal to the user's editor ($VISUAL, $EDITOR, else vi) until it is left."""
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    problem: OSError | None = None
    try:
        with app.suspend():
            try:
                subprocess.run([*command, str(path)], check=False)  # noqa: ASYNC221 - the terminal is the editor's now
            except OSError as error:  # kept until the terminal is ours again: it is not given back for an exception
                problem = error
    except SuspendNotSupported:
        raise UsageError(f"this terminal cannot be lent to an editor; edit {path} elsewhere") from None
    if problem is not None:
        raise UsageError(f"{command[0]}: cannot be started: {problem.strerror}; set $EDITOR")
    return path


def ask_new_name() -> Form:
    """Return the question for a new profile's name; its check writes the file from the template."""

    def problem_of(values: list[str]) -> str:
        try:
            new_profile(values[0])
        except UsageError as error:
            return str(error)
        return ""

    fields = [Field("name", placeholder="mistral-7b-on-my-card")]
    return Form("new profile", f"It is written to {user_profiles_dir()} and opened in your editor.", fields, problem_of)


def ask_copy_name(entry: ProfileEntry) -> Form:
    """Return the question for the name of a copy; its check writes the copy."""

    def problem_of(values: list[str]) -> str:
        try:
            copy_profile_as(entry, values[0])
        except UsageError as error:
            return str(error)
        return ""

    text = f"A copy of {entry.name} in {user_profiles_dir()}. One of the same name would hide it."
    return Form("copy", text, [Field("name", value=f"{entry.name}-copy")], problem_of)


def ask_server(entry: ProfileEntry) -> AttachScreen:
    """Return the question for the server that a profile's load goes to: one that is found here, or any by its URL."""

    def problem_of(wanted: ServerWanted) -> str:
        try:
            attached_entry(entry, wanted)
        except UsageError as error:
            return str(error)
        return ""

    return AttachScreen(entry.name, problem_of)


def attached_entry(entry: ProfileEntry, wanted: ServerWanted) -> ProfileEntry:
    """Return the profile with its server replaced by the one that is wanted, asked in a way that this has.

    Raises UsageError for what is no URL.
    """
    assert entry.profile is not None
    variable = wanted.api_key_env
    if variable and variable not in os.environ:
        raise UsageError(f"no environment variable {variable[:40]!r}; give its name, never the key itself")
    profile = apply(entry.profile, Overrides(attach_url=wanted.url, api_key_env=variable or None))
    engine = wanted.engine or profile.engine
    profile = spoken_to_as(profile, engine, engine_for(engine).endpoints, verify=wanted.verified)
    return ProfileEntry(entry.name, entry.path, profile, [], entry.shipped)


def read_again(entry: ProfileEntry, path: Path) -> ProfileEntry:
    """Return the profile in `path` as it stands now, the user's own unless it is where `entry` was."""
    return entry_of(path, shipped=entry.shipped and path == entry.path)
