"""The palettes of terminals with few colours: 256, the terminal's own sixteen, and none at all.

Of 256 only the cube's and the grey ramp's are used: the first sixteen are whatever the user made of them. The cube's
dark corner has pure hues alone, which stand out where an area is to fade; so dark areas have one tone or two. Sixteen
cannot be mixed, so areas are shaded by a glyph, and the heat map is written in colour instead of on it. Without colours
all is told by bold, dim and reverse.
"""

from __future__ import annotations

from tui.view.colours.paint import HEAT, Ink
from tui.view.colours.palette import Look, Palette

DARK_256 = Palette(
    "dark of 256",
    looks={
        Ink.PLAIN: Look("#dadada"),
        Ink.STRONG: Look("#ffffff", bold=True),
        Ink.DIM: Look("#949494"),
        Ink.FAINT: Look("#585858"),
        Ink.STEER: Look("#5fd7ff", bold=True),
        Ink.WARNING: Look("#ffd787"),
        Ink.FAILURE: Look("#ff5f5f"),
        Ink.GOOD: Look("#5fd787"),
        Ink.BADGE: Look("#121212", "#d7af5f", bold=True),
        Ink.PILL_GOOD: Look("#121212", "#5fd787", bold=True),
        Ink.PILL_WARNING: Look("#121212", "#ffaf5f", bold=True),
        Ink.PILL_FAILURE: Look("#121212", "#ff8787", bold=True),
        Ink.PILL_QUIET: Look("#dadada", "#444444", bold=True),
        Ink.TOTAL: Look("#5fafff", bold=True),
        Ink.EACH: Look("#5fd787", bold=True),
        Ink.USERS: Look("#ffff5f", bold=True),
        Ink.TTFT: Look("#ff8700", bold=True),
        Ink.E2E: Look("#d787d7", bold=True),
        Ink.ITL: Look("#bcbcbc", bold=True),
        Ink.KV: Look("#5fffff", bold=True),
        Ink.GPU: Look("#87afd7", bold=True),
        Ink.RULE: Look("#626262"),
        Ink.ON_EDGE: Look("#121212", bold=True),
        Ink.SLO: Look("#ff8787"),
        Ink.WEIGHTS: Look("#5f87d7"),
        Ink.KV_RESERVED: Look("#005f5f"),
        Ink.OTHER: Look("#af87ff"),
        Ink.HEAT_0: Look("#ffffff", "#005f87"),
        Ink.HEAT_1: Look("#ffffff", "#005f5f"),
        Ink.HEAT_2: Look("#ffffff", "#00875f"),
        Ink.HEAT_3: Look("#000000", "#5f875f"),
        Ink.HEAT_4: Look("#121212", "#87af5f"),
        Ink.HEAT_5: Look("#121212", "#d7af5f"),
        Ink.HEAT_6: Look("#121212", "#ff875f"),
        Ink.HEAT_FAILED: Look("#ffffff", "#870000", bold=True),
        Ink.HEAT_OPEN: Look("#6c6c6c", "#1c1c1c"),
        Ink.HEAT_IMPLIED: Look("#875f5f", "#1c1c1c"),
    },
    fills={
        Ink.TOTAL: ("#005f87",),
        Ink.EACH: ("#00875f", "#005f5f"),
        Ink.USERS: ("#878700", "#5f5f00"),
        Ink.TTFT: ("#af5f00", "#875f00"),
        Ink.E2E: ("#875f87",),
        Ink.ITL: ("#6c6c6c", "#585858", "#444444", "#303030"),
        Ink.KV: ("#008787", "#005f5f"),
        Ink.GPU: ("#5f5f87", "#4e4e4e", "#3a3a3a", "#303030"),
        Ink.WEIGHTS: ("#005f87",),
    },
)

LIGHT_256 = Palette(
    "light of 256",
    looks={
        Ink.PLAIN: Look("#262626"),
        Ink.STRONG: Look("#000000", bold=True),
        Ink.DIM: Look("#585858"),
        Ink.FAINT: Look("#9e9e9e"),
        Ink.STEER: Look("#005faf", bold=True),
        Ink.WARNING: Look("#875f00"),
        Ink.FAILURE: Look("#870000"),
        Ink.GOOD: Look("#005f5f"),
        Ink.BADGE: Look("#ffffff", "#875f00", bold=True),
        Ink.PILL_GOOD: Look("#ffffff", "#005f5f", bold=True),
        Ink.PILL_WARNING: Look("#ffffff", "#875f00", bold=True),
        Ink.PILL_FAILURE: Look("#ffffff", "#af0000", bold=True),
        Ink.PILL_QUIET: Look("#262626", "#d0d0d0", bold=True),
        Ink.TOTAL: Look("#005faf", bold=True),
        Ink.EACH: Look("#008787", bold=True),
        Ink.USERS: Look("#5f5f00", bold=True),
        Ink.TTFT: Look("#d75f00", bold=True),
        Ink.E2E: Look("#af5faf", bold=True),
        Ink.ITL: Look("#303030", bold=True),
        Ink.KV: Look("#005f5f", bold=True),
        Ink.GPU: Look("#5f5f87", bold=True),
        Ink.RULE: Look("#a8a8a8"),
        Ink.ON_EDGE: Look("#ffffff", bold=True),
        Ink.SLO: Look("#af0000"),
        Ink.WEIGHTS: Look("#5f87d7"),
        Ink.KV_RESERVED: Look("#87d7d7"),
        Ink.OTHER: Look("#8700af"),
        Ink.HEAT_0: Look("#000000", "#d7d7ff"),
        Ink.HEAT_1: Look("#000000", "#afd7ff"),
        Ink.HEAT_2: Look("#000000", "#afffd7"),
        Ink.HEAT_3: Look("#000000", "#d7ffaf"),
        Ink.HEAT_4: Look("#000000", "#ffffaf"),
        Ink.HEAT_5: Look("#000000", "#ffd787"),
        Ink.HEAT_6: Look("#000000", "#ffaf5f"),
        Ink.HEAT_FAILED: Look("#ffffff", "#af0000", bold=True),
        Ink.HEAT_OPEN: Look("#9e9e9e", "#eeeeee"),
        Ink.HEAT_IMPLIED: Look("#af8787", "#eeeeee"),
    },
    fills={
        Ink.TOTAL: ("#87afd7", "#afd7ff", "#d7d7ff"),
        Ink.EACH: ("#87d7af", "#afd7d7", "#d7ffff"),
        Ink.USERS: ("#d7d787", "#ffffaf", "#ffffd7"),
        Ink.TTFT: ("#ffaf87", "#ffd7af", "#ffd7d7"),
        Ink.E2E: ("#d7afd7", "#ffd7ff", "#e4e4e4"),
        Ink.ITL: ("#b2b2b2", "#c6c6c6", "#dadada", "#e4e4e4"),
        Ink.KV: ("#87d7d7", "#afd7d7", "#d7ffff"),
        Ink.GPU: ("#b2b2d7", "#c6c6c6", "#dadada", "#e4e4e4"),
        Ink.WEIGHTS: ("#87afd7", "#afd7ff", "#d7d7ff"),
    },
)


def _own_colours(name: str, figures: dict[Ink, str], heat: tuple[str, ...], failure: str) -> Palette:
    """Return a palette of a terminal's own colours; greys are its dim text."""
    quiet = Look(dim=True)
    return Palette(
        name,
        looks={
            **{ink: Look(colour) for ink, colour in figures.items()},
            **{ink: Look(colour) for ink, colour in zip(HEAT, heat, strict=True)},
            Ink.PLAIN: Look(),
            Ink.STRONG: Look(bold=True),
            Ink.DIM: quiet,
            Ink.FAINT: quiet,
            Ink.RULE: quiet,
            Ink.ON_EDGE: Look(bold=True),
            Ink.BADGE: Look(bold=True, reverse=True),
            Ink.PILL_GOOD: Look("green", bold=True, reverse=True),
            Ink.PILL_WARNING: Look("yellow", bold=True, reverse=True),
            Ink.PILL_FAILURE: Look(failure, bold=True, reverse=True),
            Ink.PILL_QUIET: Look(reverse=True),
            Ink.FAILURE: Look(failure),
            Ink.SLO: Look(failure),
            Ink.HEAT_FAILED: Look(failure, bold=True, reverse=True),
            Ink.HEAT_OPEN: quiet,
            Ink.HEAT_IMPLIED: Look(failure, dim=True),
        },
        fills={},
    )


DARK_16 = _own_colours(
    "dark of sixteen",
    {
        Ink.STEER: "bright_cyan",
        Ink.WARNING: "yellow",
        Ink.GOOD: "green",
        Ink.TOTAL: "bright_blue",
        Ink.EACH: "bright_green",
        Ink.USERS: "bright_yellow",
        Ink.TTFT: "yellow",
        Ink.E2E: "bright_magenta",
        Ink.ITL: "white",
        Ink.KV: "cyan",
        Ink.GPU: "bright_white",
        Ink.WEIGHTS: "bright_blue",
        Ink.KV_RESERVED: "bright_black",
        Ink.OTHER: "magenta",
    },
    ("bright_blue", "cyan", "bright_cyan", "green", "bright_green", "bright_yellow", "yellow"),
    "bright_red",
)

LIGHT_16 = _own_colours(
    "light of sixteen",
    {
        Ink.STEER: "blue",
        Ink.WARNING: "magenta",
        Ink.GOOD: "green",
        Ink.TOTAL: "blue",
        Ink.EACH: "green",
        Ink.USERS: "black",
        Ink.TTFT: "yellow",
        Ink.E2E: "magenta",
        Ink.ITL: "bright_black",
        Ink.KV: "cyan",
        Ink.GPU: "bright_black",
        Ink.WEIGHTS: "blue",
        Ink.KV_RESERVED: "bright_black",
        Ink.OTHER: "magenta",
    },
    ("bright_blue", "blue", "cyan", "green", "yellow", "bright_magenta", "magenta"),
    "red",
)

_BOLD = frozenset({Ink.STRONG, Ink.ON_EDGE, Ink.STEER, Ink.WARNING, Ink.FAILURE, Ink.SLO, Ink.GOOD})
_QUIET = frozenset({Ink.DIM, Ink.FAINT, Ink.RULE, Ink.KV_RESERVED, Ink.HEAT_OPEN, Ink.HEAT_IMPLIED})
_REVERSE = frozenset(ink for ink in Ink if ink is Ink.BADGE or ink is Ink.HEAT_FAILED or ink.value.startswith("pill-"))

NO_COLOURS = Palette(
    "no colours",
    looks={ink: Look(bold=ink in _BOLD | _REVERSE, dim=ink in _QUIET, reverse=ink in _REVERSE) for ink in Ink},
    fills={},
)
