"""The two themes of our own: one accent for what the operator steers, one colour for warnings, one for failures,
all else grey. Contrast of text on its background is at least 7:1 in both."""

from __future__ import annotations

from textual.theme import Theme

_STEER_DARK = "#7fc8d8"
_STEER_LIGHT = "#0b5f73"

DARK = Theme(
    name="vramp-dark",
    dark=True,
    primary=_STEER_DARK,
    secondary="#9aa7b0",
    accent=_STEER_DARK,
    warning="#e5b567",
    error="#ef7d75",
    success="#93c98f",
    foreground="#d5dbe0",
    background="#12161a",
    surface="#171c21",
    panel="#20272e",
    variables={
        "border": "#3a454f",
        "border-blurred": "#2b343c",
        "block-cursor-background": "#24414b",
        "block-cursor-foreground": "#f2f6f8",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#20272e",
        "block-cursor-blurred-foreground": "#d5dbe0",
        "footer-key-foreground": _STEER_DARK,
        "footer-description-foreground": "#9aa7b0",
        "footer-background": "#12161a",
        "input-selection-background": "#24414b",
        "text-muted": "#9aa7b0",
        "scrollbar": "#2f3a43",
        "scrollbar-hover": "#3f4d58",
        "scrollbar-active": "#3f4d58",
        "scrollbar-background": "#12161a",
        "scrollbar-background-hover": "#12161a",
        "scrollbar-background-active": "#12161a",
        "scrollbar-corner-color": "#12161a",
    },
)

LIGHT = Theme(
    name="vramp-light",
    dark=False,
    primary=_STEER_LIGHT,
    secondary="#4f5a63",
    accent=_STEER_LIGHT,
    warning="#7a4d00",
    error="#a1231c",
    success="#1f6b2c",
    foreground="#1d242a",
    background="#fbfbf9",
    surface="#f3f4f2",
    panel="#e6e9e8",
    variables={
        "border": "#aab3b8",
        "border-blurred": "#c9cfd2",
        "block-cursor-background": "#cfe6ec",
        "block-cursor-foreground": "#10181c",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e6e9e8",
        "block-cursor-blurred-foreground": "#1d242a",
        "footer-key-foreground": _STEER_LIGHT,
        "footer-description-foreground": "#4f5a63",
        "footer-background": "#fbfbf9",
        "input-selection-background": "#cfe6ec",
        "text-muted": "#4f5a63",
        "scrollbar": "#c4cbce",
        "scrollbar-hover": "#aab3b8",
        "scrollbar-active": "#aab3b8",
        "scrollbar-background": "#fbfbf9",
        "scrollbar-background-hover": "#fbfbf9",
        "scrollbar-background-active": "#fbfbf9",
        "scrollbar-corner-color": "#fbfbf9",
    },
)

_SIXTEEN = {DARK.name: "ansi-dark", LIGHT.name: "ansi-light"}


def fitting_theme(name: str, color_system: str | None) -> str:
    """Return the theme for a terminal's colours: of sixteen, those nearest to ours would be one grey."""
    return _SIXTEEN.get(name, name) if color_system in ("standard", "windows") else name


THEMES: tuple[str, ...] = (DARK.name, LIGHT.name, "ansi-dark", "ansi-light")
"""What `t` walks through; the last two leave all colours to the terminal."""
