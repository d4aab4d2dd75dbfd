"""Charts as elements of SVG, drawn by pygal, the only place that knows it; their colours are the page's style.

What pygal adds of its own (scripts, styles, addresses) is left out, so that a chart is shapes and words alone.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from tui.core.safe_text import safe_line
from tui.metrics.distribution import Distribution
from tui.report.elements import element

Point = tuple[float, float]
Line = tuple[str, Sequence[Point | None]]
"""A name and its points; None is a gap."""
SIZE, SMALL = (600, 330), (400, 240)
"""Width and height, in units in which text is 13 high; on the page a chart is as wide as its place."""
TEXT, TITLE_TEXT = 13, 15
MOST_LINES = 8
_SHAPES = frozenset({"svg", "g", "rect", "path", "text", "tspan", "title", "circle", "line"})
_LEFT_OUT = frozenset({"background", "plot tooltip-overlay", "plot text-overlay"})
_STEPS = (1, 2, 5)
_MOST_TICKS = 6
_LEGEND_COLUMNS = 4
_LEGEND_ROW = 20
_MARGIN = 12


def by_size(
    title: str, lines: Sequence[Line], across: str, up: str, beside: Mapping[str, Sequence[Point]] | None = None
) -> Element | None:
    """Return lines over powers of two, both axes logarithmic; None where there is nothing to draw.

    `beside` is what lies beside a line, by its name: drawn in its colour, dashed.
    """
    lines = [(name, kept) for name, points in lines if (kept := _positive(points))]
    if not lines:
        return None
    others = [
        (place, kept) for place, (name, _) in enumerate(lines) if (kept := _positive((beside or {}).get(name, ())))
    ]
    known = [*_known(lines), *(point for _, points in others for point in points)]
    places, values = sorted({x for x, _ in known}), [y for _, y in known]
    chart = _xy(title, across, up, logarithmic=True)
    chart.x_labels = _thinned(places)
    chart.y_labels = _log_ticks(min(values), max(values))
    # A little more, since a label on the very edge may be left out by rounding.
    chart.range = (chart.y_labels[0] * 0.999, chart.y_labels[-1] * 1.001)
    if len(places) == 1:
        chart.xrange = (places[0] / 2, places[0] * 2)
    _add(chart, lines)
    for _, points in others:
        chart.add(None, points)  # no name, for the legend has one of its colour
    return _drawn(chart, title, {len(lines) + nth: f"color-{place} beside" for nth, (place, _) in enumerate(others)})


def over_time(
    title: str, lines: Sequence[Line], up: str, until_s: float, marks: Iterable[tuple[float, str]] = ()
) -> Element | None:
    """Return lines over the session's seconds, from zero, with marks as upright lines; None where nothing is known."""
    lines = [(name, points) for name, points in lines if any(points)]
    if not lines:
        return None
    top = max(y for _, y in _known(lines)) or 1.0
    chart = _xy(title, "time, s", up, show_dots=False)
    until_s = max(until_s, 1.0)
    chart.x_labels = [tick for tick in _ticks(until_s) if tick <= until_s]
    chart.xrange = (0, until_s)
    chart.y_labels = _ticks(top)
    chart.range = (0, chart.y_labels[-1])
    _add(chart, lines)
    upright: list[Point | None] = [
        point for at_s, _ in marks for point in ((at_s, 0.0), (at_s, chart.y_labels[-1]), None)
    ]
    if upright:
        chart.add("warnings and errors", upright, allow_interruptions=True)
    return _drawn(chart, title, {len(lines): "mark"})


def histogram(title: str, distribution: Distribution | None) -> Element | None:
    """Return how often which latency was, a bar for each bin; None where nothing was counted."""
    if distribution is None:
        return None
    pygal = _pygal()
    bins = distribution.bins
    chart = pygal.Bar(**_config(title, "latency, s", "how often", SMALL), spacing=4)
    # A bar's label is where its bin begins; all of them do not fit.
    every = max(1, math.ceil(len(bins) / _MOST_TICKS))
    chart.x_labels = [_number(begin_s) if place % every == 0 else "" for place, (begin_s, _, _) in enumerate(bins)]
    chart.y_labels = _whole_ticks(max(count for _, _, count in bins))
    chart.range = (0, chart.y_labels[-1])
    chart.add("", [count for _, _, count in bins])
    return _drawn(chart, title)


def few_of(values: Sequence[int], most: int = MOST_LINES) -> list[int]:
    """Return at most so many of the values, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return sorted({values[round(step * (len(values) - 1) / (most - 1))] for step in range(most)})


def _pygal() -> Any:
    """Import pygal without the hook for its plugins that it hangs into Python's import: it is of Python 2's kind."""
    before = list(sys.meta_path)
    import pygal
    import pygal.style

    sys.meta_path[:] = [finder for finder in sys.meta_path if finder in before or hasattr(finder, "find_spec")]
    return pygal


def _config(title: str, across: str, up: str, size: tuple[int, int] = SIZE) -> dict[str, Any]:
    style = _pygal().style.Style
    return {
        # By which it leaves room for words; how they look is told by the page's style.
        "style": style(
            label_font_size=TEXT, major_label_font_size=TEXT, legend_font_size=TEXT, title_font_size=TITLE_TEXT
        ),
        "css": [],
        "js": [],
        "no_prefix": True,
        "title": safe_line(title, limit=120),
        "x_title": across,
        "y_title": up,
        "width": size[0],
        "height": size[1],
        "margin": _MARGIN,
        "margin_right": 30,
        "truncate_legend": 24,
        "value_formatter": _number,
        "x_value_formatter": _number,
    }


def _xy(title: str, across: str, up: str, **more: Any) -> Any:
    return _pygal().XY(**_config(title, across, up), legend_at_bottom=True, dots_size=3, **more)


def _add(chart: Any, lines: Sequence[Line]) -> None:
    for name, points in lines:
        chart.add(safe_line(name, limit=40), list(points), allow_interruptions=True)


def _known(lines: Sequence[Line]) -> list[Point]:
    return [point for _, points in lines for point in points if point is not None]


def _positive(points: Sequence[Point | None]) -> list[Point]:
    return [point for point in points if point is not None and point[0] > 0 and point[1] > 0]


def _drawn(chart: Any, title: str, looks: Mapping[int, str] | None = None) -> Element:
    """Return the shapes and words of a chart, with a name for those who hear it.

    `looks` are the classes that some lines have in the place of their own colour's, by their number.
    """
    named = sum("title" in told and told["title"] is not None for _, told in chart.raw_series)
    chart.show_legend = named > 1 or len(chart.raw_series) > 1
    chart.legend_at_bottom_columns = columns = min(_LEGEND_COLUMNS, max(1, named))
    if chart.show_legend and named % columns:
        chart.margin_bottom = _MARGIN + _LEGEND_ROW  # it makes room for whole rows only
    found = _shapes(chart.render_tree())
    found.set("role", "img")
    found.set("aria-label", title)
    found.set("class", "chart")
    own = {f"color-{number}": look for number, look in (looks or {}).items()}
    for shape in found.iter() if own else ():
        if classes := shape.get("class", "").split():
            shape.set("class", " ".join(own.get(name, name) for name in classes))
    return found


def _shapes(source: Any) -> Element:
    made = element(source.tag)
    for name, value in source.attrib.items():
        if name in ("id", "xmlns") or name.startswith("on") or "href" in name:
            continue
        made.set(name, _rounded(name, str(value)))
    made.text = source.text
    for child in source:
        # A comment has no name; styles and scripts are not wanted, nor what only those would show.
        if not isinstance(child.tag, str) or child.tag not in _SHAPES or child.get("class") in _LEFT_OUT:
            continue
        if source.tag == "svg" and child.tag == "title":
            continue
        made.append(_shapes(child))
    return made


def _rounded(name: str, value: str) -> str:
    """Return coordinates to a tenth: pygal tells a dozen digits."""
    if name == "d":
        return " ".join(_rounded("", part) for part in value.split())
    head, number = (value[:1], value[1:]) if value[:1].isalpha() else ("", value)
    try:
        return f"{head}{float(number):.1f}"
    except ValueError:
        return value


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _thinned(places: Sequence[float]) -> list[float]:
    """Return those places of a logarithmic axis whose labels do not touch."""
    reach = math.log(places[-1] / places[0]) or 1.0
    kept = [places[0]]
    for place in places[1:]:
        if math.log(place / kept[-1]) >= 0.075 * reach:
            kept.append(place)
    return kept


def _log_ticks(least: float, most: float) -> list[float]:
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    ticks = [step * 10.0**power for power in range(low, high + 1) for step in _STEPS]
    below = max(place for place, tick in enumerate(ticks) if tick <= least)
    above = min(place for place, tick in enumerate(ticks) if tick >= most and place > below)
    found = ticks[below : above + 1]
    return found if len(found) <= 2 * _MOST_TICKS else [found[0], *(t for t in found[1:-1] if _is_ten(t)), found[-1]]


def _is_ten(tick: float) -> bool:
    return math.isclose(math.log10(tick), round(math.log10(tick)))


def _ticks(top: float) -> list[float]:
    """Return round numbers from 0 to the first that is not below `top`."""
    power = 10.0 ** math.floor(math.log10(top / 5))
    step = next(power * of for of in (1, 2, 2.5, 5, 10) if top / (power * of) <= 5)
    return [step * count for count in range(math.ceil(top / step - 1e-9) + 1)]


def _whole_ticks(top: int) -> list[float]:
    return [tick for tick in _ticks(max(top, 5)) if tick == int(tick)]
