"""Which palette a terminal and a theme call for."""

from __future__ import annotations

from textual.app import App

from tui.view.colours.few import DARK_16, DARK_256, LIGHT_16, LIGHT_256, NO_COLOURS
from tui.view.colours.palette import Palette
from tui.view.colours.true_colour import CONTRAST, DARK, LIGHT

FEW_COLOURS_CLASS = "-256-colours"
"""The class of an app whose terminal has 256 colours."""


def palette_for(app: App[object]) -> Palette:
    """Return the palette of what an app looks like now. A theme that is not ours gets that of its brightness."""
    theme = app.current_theme
    if app.no_color:
        return NO_COLOURS
    if app.native_ansi_color:
        return DARK_16 if theme.dark else LIGHT_16
    if app.has_class(FEW_COLOURS_CLASS):
        return DARK_256 if theme.dark else LIGHT_256
    if theme.name == "vramp-contrast":
        return CONTRAST
    return DARK if theme.dark else LIGHT
