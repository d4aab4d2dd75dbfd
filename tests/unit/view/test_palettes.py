"""Each palette paints everything, and what it paints can be read and told apart, by people who see few hues too."""

from __future__ import annotations

import itertools

import pytest
from rich.color import Color, ColorSystem

from tui.view.colours.few import DARK_16, DARK_256, LIGHT_16, LIGHT_256, NO_COLOURS
from tui.view.colours.paint import HEAT, HUES, TONES, Ink, Over, Tone
from tui.view.colours.palette import Palette
from tui.view.colours.true_colour import CONTRAST, DARK, LIGHT

GROUNDS = {DARK.name: "#12181f", LIGHT.name: "#fbfbf9", CONTRAST.name: "#000000", "dark of 256": "#121212"}
GROUNDS["light of 256"] = "#ffffff"
COLOURED = (DARK, LIGHT, CONTRAST, DARK_256, LIGHT_256)
ALL = (*COLOURED, DARK_16, LIGHT_16, NO_COLOURS)
CURVES = (Ink.TOTAL, Ink.EACH, Ink.USERS, Ink.TTFT, Ink.E2E, Ink.ITL, Ink.FAILURE)
TILES = (*CURVES, Ink.KV)
"""Side by side."""
MEMORY = (Ink.WEIGHTS, Ink.KV, Ink.KV_RESERVED, Ink.OTHER)
LEAST_DISTANCE = 5.5
"""In OKLab x 100; two patches side by side are told apart from about 2 on."""

Matrix = tuple[tuple[float, float, float], ...]
SEEN_BY: dict[str, Matrix] = {
    "all hues": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009, severity
1; on linear RGB."""


def _linear(colour: str) -> list[float]:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def _seen(colour: str, matrix: Matrix) -> tuple[float, float, float]:
    """Return a colour as somebody sees it, in OKLab (Ottosson 2020)."""
    linear = _linear(colour)
    red, green, blue = (min(1.0, max(0.0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in matrix)
    cones = (
        (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3),
        (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3),
        (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3),
    )
    rows = (
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )
    light, a, b = (sum(x * y for x, y in zip(row, cones, strict=True)) for row in rows)
    return light, a, b


def distance(one: str, other: str, matrix: Matrix) -> float:
    pairs = zip(_seen(one, matrix), _seen(other, matrix), strict=True)
    return float(100 * sum((x - y) ** 2 for x, y in pairs) ** 0.5)


def contrast(one: str, other: str) -> float:
    """Return the contrast of WCAG 2."""
    dark, light = sorted(
        0.2126 * red + 0.7152 * green + 0.0722 * blue for red, green, blue in (_linear(one), _linear(other))
    )
    return (light + 0.05) / (dark + 0.05)


def _fore(palette: Palette, ink: Ink) -> str:
    colour = palette.looks[ink].fore
    assert colour is not None
    return colour


def test_blue_and_green_of_one_lightness_are_told_apart_by_some_and_not_by_others() -> None:
    assert distance("#00a0a0", "#909090", SEEN_BY["all hues"]) > 2 * distance(
        "#00a0a0", "#909090", SEEN_BY["deuteranopia"]
    )


@pytest.mark.parametrize("palette", ALL, ids=lambda palette: palette.name)
def test_every_palette_paints_everything(palette: Palette) -> None:
    assert set(palette.looks) == set(Ink)
    assert palette.shaded or set(palette.fills) == set(HUES)
    for ink in Ink:
        palette.style(ink)
    for ink, step in itertools.product(HUES, range(TONES)):
        palette.style(Over(Ink.STRONG, Tone(ink, step)))
        palette.style(Over(Tone(ink, step), ink))
        assert palette.shaded or palette.style(Tone(ink, step)).bgcolor is not None


@pytest.mark.parametrize("seen_by", SEEN_BY)
@pytest.mark.parametrize("palette", COLOURED, ids=lambda palette: palette.name)
@pytest.mark.parametrize("inks", [TILES, MEMORY], ids=["tiles", "memory"])
def test_figures_are_told_apart_by_hue_whoever_looks(inks: tuple[Ink, ...], palette: Palette, seen_by: str) -> None:
    near = {
        (one, other): distance(_fore(palette, one), _fore(palette, other), SEEN_BY[seen_by])
        for one, other in itertools.combinations(inks, 2)
    }
    assert min(near.values()) >= LEAST_DISTANCE, sorted(near.items(), key=lambda pair: pair[1])[:4]


@pytest.mark.parametrize("palette", COLOURED, ids=lambda palette: palette.name)
def test_text_can_be_read_on_its_ground(palette: Palette) -> None:
    ground = GROUNDS[palette.name]
    graphic = {Ink.ON_EDGE, Ink.FAINT, Ink.RULE, Ink.KV_RESERVED, Ink.HEAT_OPEN, Ink.HEAT_IMPLIED, Ink.WEIGHTS}
    for ink in Ink:
        look = palette.looks[ink]
        if ink not in graphic:
            least = 4.5 if ink not in CURVES and ink not in HUES else 4.0 if "256" not in palette.name else 3.0
            assert contrast(_fore(palette, ink), look.back or ground) >= least, ink


@pytest.mark.parametrize("palette", COLOURED, ids=lambda palette: palette.name)
def test_points_are_seen_on_edges_and_on_areas(palette: Palette) -> None:
    for hue in HUES:
        assert contrast(_fore(palette, Ink.ON_EDGE), _fore(palette, hue)) >= 3.0, hue
        assert contrast(_fore(palette, Ink.PLAIN), palette.fills[hue][0]) >= (2.5 if "256" in palette.name else 3.0), (
            hue
        )


@pytest.mark.parametrize("palette", COLOURED, ids=lambda palette: palette.name)
def test_areas_fade_towards_the_ground_and_the_edge_stands_out(palette: Palette) -> None:
    ground = GROUNDS[palette.name]
    for hue in HUES:
        tones = palette.fills[hue]
        strengths = [contrast(tone, ground) for tone in tones]
        assert strengths == sorted(strengths, reverse=True), hue
        assert contrast(_fore(palette, hue), tones[0]) >= 1.5, hue


@pytest.mark.parametrize("palette", [DARK_256, LIGHT_256], ids=lambda palette: palette.name)
def test_colours_of_256_are_those_of_the_cube_and_the_ramp(palette: Palette) -> None:
    looks = palette.looks.values()
    used = {colour for look in looks for colour in (look.fore, look.back) if colour}
    for colour in used | {tone for tones in palette.fills.values() for tone in tones}:
        number = Color.parse(colour).downgrade(ColorSystem.EIGHT_BIT).number
        assert number is not None and number >= 16, colour
        triplet = Color.from_ansi(number).get_truecolor()
        # Rich rounds the lighter greys to the step below
        assert max(abs(a - b) for a, b in zip(triplet, Color.parse(colour).get_truecolor(), strict=True)) <= 10


@pytest.mark.parametrize("palette", ALL[:-1], ids=lambda palette: palette.name)
def test_heat_and_outcomes_are_told_apart(palette: Palette) -> None:
    inks = (*HEAT, Ink.HEAT_FAILED, Ink.HEAT_OPEN, Ink.HEAT_IMPLIED)
    assert len({palette.looks[ink] for ink in inks}) == len(inks)
    assert len({palette.looks[ink].back or palette.looks[ink].fore for ink in HEAT}) == len(HEAT)


def test_without_colours_there_are_none() -> None:
    assert not any(look.fore or look.back for look in NO_COLOURS.looks.values())
    assert NO_COLOURS.style(Over(Tone(Ink.TOTAL, 3), Ink.TOTAL)).bgcolor is None
