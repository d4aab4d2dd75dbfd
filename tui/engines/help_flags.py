"""The flags that an installed server knows, by its `--help`, and the nearest ones to those that it does not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tui.core.nearest import did_you_mean
from tui.engines.engine import KnownFlags
from tui.engines.parts.arguments import words_of

if TYPE_CHECKING:
    from tui.profile.schema import ServerTable

_FLAG = re.compile(r"(?<![\w-])--?[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z0-9]+)*(?![\w-])")


class HelpFlags(KnownFlags):
    """Those of a server whose help names each with its dashes."""

    def __init__(self, *always: str, refusal: str, abbreviates: bool = False) -> None:
        """`always`: what every version knows: a text that does not name these is not its help. `refusal`: a pattern
        whose first group holds the flags that a line of its log refuses. `abbreviates`: whether the beginning of one
        single flag stands for it.
        """
        self._always = frozenset(always)
        self._refusal = re.compile(refusal)
        self._abbreviates = abbreviates

    def help_command(self, executable: Sequence[str]) -> list[str] | None:
        """Return what prints all flags."""
        return [*executable, "--help"]

    def flags_in(self, help_text: str) -> list[str]:
        """Return the flags that a help text names, each once."""
        flags = list(dict.fromkeys(_FLAG.findall(help_text)))
        return flags if self._always.issubset(flags) else []

    def given(self, server: ServerTable) -> list[str]:
        """Return the arguments of the profile."""
        return [*words_of(server.args), *server.extra_args]

    def unknown(self, arguments: Iterable[str], known: Sequence[str]) -> list[str]:
        """Return "--a is not known; did you mean --b?" for each flag that is not known; none where nothing is known."""
        sentences = []
        for flag in dict.fromkeys(word.partition("=")[0] for word in arguments):
            if not known or not _FLAG.fullmatch(flag) or flag in known:
                continue
            if self._abbreviates and sum(other.startswith(flag) for other in known) == 1:
                continue
            sentences.append(f"{flag} is not known{did_you_mean(flag, known)}")
        return sentences

    def suggestions(self, line: str, known: Sequence[str]) -> str:
        """Return the nearest flags to those that a line of the log calls unknown, in words; or ""."""
        found = self._refusal.search(line)
        if found is None:
            return ""
        words = [word.strip("'\",.:") for word in _words(found[1])]
        return " ".join(sentence for sentence in self.unknown(words, known) if "did you mean" in sentence)


def _words(arguments: str) -> list[str]:
    try:
        return shlex.split(arguments)
    except ValueError:
        return arguments.split()
