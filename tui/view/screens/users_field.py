"""A small field for a number of users, and the question that a doubtful number raises."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import Snapshot
from tui.profile.schema import MAX_USERS
from tui.view.formatting import count
from tui.view.screens.dialogs import Choice, Question

MOST_TIMES_THE_GRID = 4
"""Beyond so many times the grid's largest number of users, an operator is asked whether that is meant."""
_DIGITS = 6


class UsersField(Static):
    """Shows a number as it is typed, and what it would come to.

    The screen hands it the keys: an input with a focus of its own would miss those that were typed while it came up,
    and a part of a number is another number.
    """

    DEFAULT_CSS = """
    UsersField {
        layer: field; dock: top; width: 46; height: auto; margin: 2 1; padding: 0 1; display: none;
        background: $panel; border: round $accent; border-title-color: $foreground; border-title-style: bold;
    }
    UsersField.-open { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(markup=False)
        self.border_title = "how many users?"
        self.typed: str | None = None
        """None = it is closed."""

    def open(self, now: int, snapshot: Snapshot) -> None:
        """Come up. `now`: how many users there are, or are wanted already."""
        self.typed = ""
        self._now, self._snapshot = now, snapshot
        self.add_class("-open")
        self._draw()

    def close(self) -> int | None:
        """Go away, and return what was typed, if that is a number that a bench takes."""
        users = int(self.typed) if self.typed else None
        self.typed = None
        self.remove_class("-open")
        return users

    @property
    def is_open(self) -> bool:
        """Say whether it takes keys."""
        return self.typed is not None

    @property
    def can_be_set(self) -> bool:
        """Say whether what was typed is no more than a bench takes."""
        return not self.typed or int(self.typed) <= MAX_USERS

    def type(self, character: str) -> None:
        """Put a digit on the end; anything else is no part of a number."""
        if self.typed is not None and len(self.typed) < _DIGITS and character.isascii() and character.isdigit():
            self.typed = (self.typed + character).lstrip("0") or "0"
            self._draw()

    def rub_out(self) -> None:
        """Take the last digit away."""
        if self.typed:
            self.typed = self.typed[:-1]
            self._draw()

    def _draw(self) -> None:
        number = Content.assemble((f" {self.typed}", "bold $accent"), ("▏", "$accent"))
        hint = Content.styled("enter sets it, esc leaves it as it is", "$text-muted")
        self.update(Content("\n").join([number, *map(Content, self._would_be()), hint]))

    def _would_be(self) -> list[str]:
        if not self.typed:
            return [f"now {users_in_words(self._now)}"]
        users = int(self.typed)
        if users > MAX_USERS:
            return [f"at most {users_in_words(MAX_USERS)}"]
        change = users - self._now
        more = f"{count(abs(change))} {'more' if change > 0 else 'fewer'}" if change else "as now"
        doubt = doubt_about(users, self._snapshot)
        return [f"{users_in_words(users)}, {more}", *([doubt] if doubt else [])]


def doubt_about(users: int, snapshot: Snapshot) -> str:
    """Return why so many users may not be meant, as a sentence; empty for a number that is not asked about."""
    largest = max(snapshot.grid.asked_users or snapshot.grid.users, default=0)
    carried = snapshot.load.client_users_max
    if carried is not None and users > carried:
        return f"This machine's load client carries some {count(carried)}."
    if largest and users > MOST_TIMES_THE_GRID * largest:
        return f"The grid's largest number is {count(largest)}."
    return ""


def doubt_question(users: int, doubt: str) -> Question:
    """Return the question whether so many users are meant; its answer is "set" or nothing."""
    choices = [
        Choice("leave", "n", "leave the users as they are"),
        Choice("set", "y", f"have {users_in_words(users)}"),
    ]
    return Question(f"{users_in_words(users)}?", doubt, choices)
