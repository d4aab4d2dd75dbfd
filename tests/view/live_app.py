"""The live screen in an app of its own, without a bench."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import App
from textual.filter import LineFilter, Monochrome, NoColor

from tui.link.protocol import Command
from tui.metrics.snapshot import Snapshot
from tui.view.ascii_filter import AsciiFilter
from tui.view.colours.choice import FEW_COLOURS_CLASS
from tui.view.screens.live import LiveScreen
from tui.view.themes import DARK, fitting_theme, themes_for


class LiveApp(App[None]):
    """Shows one snapshot and keeps the commands that come up."""

    def __init__(
        self,
        snapshot: Snapshot,
        screen: LiveScreen | None = None,
        *,
        theme: str = DARK.name,
        colours: str | None = None,
        ascii_only: bool = False,
    ) -> None:
        """`colours`: the terminal's, as Rich names them; None = all."""
        super().__init__()
        self.ascii_only = ascii_only
        self.animation_level = "none"
        self.live = screen or LiveScreen()
        self.sent: list[Command] = []
        for one in themes_for(colours):
            self.register_theme(one)
        self.theme = fitting_theme(theme, colours, no_colour=self.no_color)
        self.set_class(colours == "256", FEW_COLOURS_CLASS)
        self.live.show(snapshot)

    def on_mount(self) -> None:
        """Put the screen up."""
        self.push_screen(self.live)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Filter as the real app does."""
        filters = [NoColor() if isinstance(one, Monochrome) else one for one in super().get_line_filters()]
        return [*filters, *([AsciiFilter()] if self.ascii_only else [])]

    def on_live_screen_sent(self, message: LiveScreen.Sent) -> None:
        """Keep a command."""
        self.sent.append(message.command)

    def picture(self) -> str:
        """Return what is on the screen as text."""
        strips = self.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)
