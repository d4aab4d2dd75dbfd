"""The flags that an installed vLLM knows, by its own help, and the nearest ones to those it does not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence

from tui.core.nearest import did_you_mean

_FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)*(?![\w-])")
_UNKNOWN = re.compile(r"unrecognized arguments: (.{1,2000})")
# What vramp itself gives to every vLLM; a text that does not name these is not its help.
_ALWAYS = {"--host", "--port", "--max-model-len"}


def help_command(executable: Sequence[str]) -> list[str] | None:
    """Return what prints all flags; None for an executable that is not `... serve`. Takes vLLM 10 to 60 s."""
    return [*executable, "--help=all"] if executable[-1] == "serve" else None


def flags_in(help_text: str) -> list[str]:
    """Return the flags that a help text names, each once; none for a text that is not vLLM's help."""
    flags = list(dict.fromkeys(_FLAG.findall(help_text)))
    return flags if _ALWAYS.issubset(flags) else []


def suggestions(line: str, known: Sequence[str]) -> str:
    """Return "--a is not known; did you mean --b?" for the flags that a line of argparse calls unknown, or ""."""
    found = _UNKNOWN.search(line)
    if found is None:
        return ""
    return " ".join(sentence for sentence in unknown(_words(found[1]), known) if "did you mean" in sentence)


def unknown(arguments: Iterable[str], known: Sequence[str]) -> list[str]:
    """Return "--a is not known; did you mean --b?" for each flag among `arguments` that is not among the known ones.

    As argparse does, underscores are dashes, and the beginning of one single flag stands for it; as vLLM does, what
    follows a dot is a key of the flag's JSON. Nothing is unknown where nothing is known.
    """
    sentences = []
    for flag in dict.fromkeys(word.partition("=")[0] for word in arguments if word.startswith("--")):
        name = flag.partition(".")[0].replace("_", "-")
        if not known or name in known or sum(other.startswith(name) for other in known) == 1:
            continue
        sentences.append(f"{flag} is not known{did_you_mean(name, known)}")
    return sentences


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:
        return arguments.split()
