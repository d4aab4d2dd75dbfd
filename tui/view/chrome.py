"""How the app looks and which keys it takes, whatever it is used for: themes, ASCII, help, palette, other keys."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import SystemCommand
from textual.binding import ActiveBinding, Binding, BindingType
from textual.dom import DOMNode
from textual.filter import LineFilter, Monochrome, NoColor
from textual.notifications import SeverityLevel
from textual.screen import Screen

from tui.core.errors import UsageError
from tui.core.for_a_page import is_for_a_page
from tui.core.nearest import did_you_mean
from tui.core.safe_text import safe_line
from tui.profile.settings import Settings, settings_file
from tui.view.ascii_filter import AsciiFilter
from tui.view.colours.choice import FEW_COLOURS_CLASS
from tui.view.keys import binding_ids
from tui.view.screens.help import HelpScreen, help_facts
from tui.view.screens.live import LiveScreen
from tui.view.terminal import CLEAR, TerminalDriver, speaks_utf8
from tui.view.themes import THEMES, fitting_theme, themes_for
from tui.view.typed_ahead import TypedAhead


class Chrome(TypedAhead[int]):
    """An app with the settings applied. Raises UsageError for a theme or a key binding that does not exist."""

    TITLE = "vramp"
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "help", "help", key_display="?", id="help", tooltip="keys and terms of this screen"),
        Binding(
            "colon",
            "command_palette",
            "commands",
            show=False,
            key_display=":",
            id="commands",
            tooltip="find a command by its name",
        ),
        Binding(
            "ctrl+z",
            "suspend_process",
            "suspend",
            show=False,
            priority=True,
            id="suspend",
            tooltip="stop the app and give the terminal to the shell, until fg; the run goes on",
        ),
        Binding("ctrl+l", "redraw", "redraw", show=False, priority=True, id="redraw", tooltip="draw all of it again"),
        Binding("t", "next_theme", "theme", show=False, id="theme", tooltip="the next colour theme"),
    ]

    def __init__(self, settings: Settings, owners: Sequence[type[DOMNode]]) -> None:
        """`owners`: the classes whose bindings the settings may give other keys to."""
        super().__init__(driver_class=None if is_for_a_page() else TerminalDriver)
        self.settings = settings
        self.ascii_only = not speaks_utf8(os.environ) if settings.ascii is None else settings.ascii
        self.animation_level = "none"
        self._clashes: set[str] = set()
        colours = self.console.color_system
        for theme in themes_for(colours):
            self.register_theme(theme)
        known = _known_theme(settings.theme, list(self.available_themes))
        self.theme = fitting_theme(known, colours, no_colour=self.no_color)
        self.set_class(colours == "256", FEW_COLOURS_CLASS)
        self.set_keymap(_known_keys(settings.keys, binding_ids(type(self), *owners)))

    def action_help(self) -> None:
        """Explain the screen that is up."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(help_facts(self, self.screen)))

    def action_suspend_process(self) -> None:
        """Stop, with whatever waits for us in the terminal's foreground."""
        if isinstance(self._driver, TerminalDriver) and self._driver.can_stop:
            self._driver.stop_foreground()
        else:
            self.notify("there is no shell below to give the terminal to", timeout=3, markup=False)

    def action_redraw(self) -> None:
        """Draw all of it again, over whatever another program wrote into the terminal."""
        if self._driver is not None:
            self._driver.write(CLEAR)
        self.screen.refresh(layout=True)

    def action_next_theme(self) -> None:
        """Walk through the themes."""
        at = THEMES.index(self.theme) if self.theme in THEMES else -1
        self.theme = THEMES[(at + 1) % len(THEMES)]
        self.notify(f"theme {self.theme}", timeout=2, markup=False)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Offer in the palette what the keys of the screen do, and the themes."""
        offered: dict[str, ActiveBinding] = {}
        for active in screen.active_bindings.values():
            if active.enabled and active.binding.id and active.binding.description:
                offered.setdefault(active.binding.action, active)
        names = Counter(active.binding.description for active in offered.values())
        for active in offered.values():
            binding = active.binding
            key = self.get_key_display(binding)
            # What several keys do in two directions, as "prompt", is told apart by what each says of itself.
            title = binding.description if names[binding.description] == 1 else binding.tooltip

            async def run(action: str = binding.action, node: DOMNode = active.node) -> None:
                await self.run_action(action, node)

            yield SystemCommand(title, f"{binding.tooltip or binding.description} ({key})", run)
        for name in THEMES:
            yield SystemCommand(f"theme {name}", "", lambda name=name: setattr(self, "theme", name))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Add the filter for `--ascii`; without colours, not even greys are written."""
        filters = [NoColor() if isinstance(one, Monochrome) else one for one in super().get_line_filters()]
        return [*filters, *([AsciiFilter()] if self.ascii_only else [])]

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Have the screen say it where it has a line for that; else show it over the screen."""
        if not (isinstance(self.screen, LiveScreen) and self.screen.tell(message, severity, timeout)):
            super().notify(message, title=title, severity=severity, timeout=timeout, markup=markup)

    def handle_bindings_clash(self, clashed_bindings: set[Binding], node: DOMNode) -> None:
        """Say once that the settings give one key to two things."""
        ids = " and ".join(sorted(binding.id or binding.action for binding in clashed_bindings))
        if ids not in self._clashes:
            self._clashes.add(ids)
            self.notify(f"{settings_file()}: one key for {ids}", severity="warning", markup=False)


def _known_theme(name: str, known: list[str]) -> str:
    if name in known:
        return name
    hint = did_you_mean(name, known, shown=repr, otherwise=f"; expected one of {', '.join(THEMES)}")
    raise UsageError(f"theme: found {name[:60]!r}{hint}")


def _known_keys(keys: dict[str, str], known: set[str]) -> dict[str, str]:
    for name in keys:
        if name not in known:
            hint = did_you_mean(name, known, shown=repr, otherwise=f"; expected one of {', '.join(sorted(known))}")
            raise UsageError(f"{settings_file()}: keys.{safe_line(name, limit=60)}: unknown key binding{hint}")
    return keys
