"""The arguments of a profile as words of a command line."""

from __future__ import annotations

from collections.abc import Mapping


def words_of(args: Mapping[str, bool | int | float | str]) -> list[str]:
    """Return the flags of `[server.args]` in the profile's order: true = a bare flag, false = left out.

    A name of one letter gets one dash, any other two, unless it brings its own.
    """
    words: list[str] = []
    for name, value in args.items():
        flag = name if name.startswith("-") else f"-{name}" if len(name) == 1 else f"--{name}"
        if value is True:
            words.append(flag)
        elif value is not False:
            # A value that begins with a dash would be read as a flag.
            text = str(value)
            words += [f"{flag}={text}"] if text.startswith("-") and flag.startswith("--") else [flag, text]
    return words
