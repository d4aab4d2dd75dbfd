"""The presentation screen, for an audience: how many ask, what they get, what it costs the GPUs. Nothing to scroll.

All four figures are of one size, the largest that the screen has room for; there is no word on it that an audience has
to be told first.
"""

from __future__ import annotations

from itertools import product

from tui.metrics.reading import devices
from tui.metrics.snapshot import Phase, Snapshot
from tui.view import formatting
from tui.view.panes.carried import carried
from tui.view.panes.memory_end import MemoryEnd, memory_end, people
from tui.view.panes.stage_words import news_for_all
from tui.view.panes.state_words import cards_of
from tui.view.script import Script
from tui.view.widgets.bars import bar, stacked
from tui.view.widgets.big_digits import big, low
from tui.view.widgets.lines import Ink, Line, cut, flowed, plain, spread, width_of, wrapped

_MARGIN = 4
_SCALES = (3, 2, 1, 0)
"""Rows of a dot of the large figures, the largest first; 0 = half a row."""
_CAPTION_ROWS = 4
"""So many the longest caption takes on the narrowest screen; where they leave no room for the figures it is cut."""


def presentation_lines(
    snapshot: Snapshot,
    width: int,
    height: int,
    *,
    users_wanted: int,
    words_per_token: float | None = None,
    replay: bool = False,
    script: Script | None = None,
) -> list[Line]:
    """Return the whole screen, blocks spread over the height. `words_per_token` tells tokens as words."""
    inner = max(10, width - 2 * _MARGIN)
    end = memory_end(snapshot)
    brief = script is not None
    who = _who(snapshot, inner, words_per_token, replay=replay, told=end is not None, brief=brief)
    captions = [_caption(script, inner, most) for most in ((_CAPTION_ROWS, 2) if script else (0,))]
    for caption, scale, rows in product(captions, _SCALES, (2, 1)):
        shown = _gave_out(end, inner, scale) if end else _figures(snapshot, inner, scale, users_wanted, words_per_token)
        below = [_memory(snapshot, inner), carried(snapshot, inner, rows=rows)]
        blocks = [block for block in (who, caption, *shown, *below) if block]
        if sum(len(block) for block in blocks) + len(blocks) - 1 <= height:
            break
    while len(blocks) > 2 and sum(len(block) for block in blocks) > height:
        blocks.pop()
    return _spread_over(blocks, inner, height)


def _spread_over(blocks: list[list[Line]], width: int, height: int) -> list[Line]:
    gap, extra = divmod(max(0, height - sum(len(block) for block in blocks)), len(blocks) + 1)
    lines: list[Line] = []
    for place, block in enumerate(blocks):
        lines += [[]] * (gap + (1 if 0 < place <= extra else 0))
        lines += [[(" " * _MARGIN, Ink.PLAIN), *cut(line, width)] for line in block]
    return lines[:height]


def _who(
    snapshot: Snapshot, width: int, words_per_token: float | None, *, replay: bool, told: bool, brief: bool
) -> list[Line]:
    """Return title and state; `told`: how the server is stands below in large letters; `brief`: without the cards."""
    badges: Line = [(" REPLAY ", Ink.BADGE), (" ", Ink.PLAIN)] if replay else []
    badges += [(" SIMULATED ", Ink.BADGE)] if snapshot.simulated else []
    title = plain(snapshot.profile_title or snapshot.profile_name, max(1, width - width_of(badges) - 1))
    ratio = "" if words_per_token is None else f"a word = {1 / words_per_token:.2g} tokens"
    below: Line = [("" if brief else plain(cards_of(snapshot), max(1, width - len(ratio) - 1)), Ink.DIM)]
    if news := news_for_all(snapshot, words_per_token):
        below = [(plain(news, width - len(ratio) - 1), Ink.WARNING)]
    if replay:
        below = [("as it was then; nothing runs now", Ink.DIM)]
    elif told:
        below = []
    elif snapshot.server.phase is not Phase.READY:
        below = [(f"the server is {snapshot.server.phase.value}", Ink.WARNING)]
    elif snapshot.server.silent_s is not None:
        below = [(f"no word from the server for {snapshot.server.silent_s:.0f} seconds", Ink.WARNING)]
    elif snapshot.load.users_before:
        below = [(f"the server is back; {people(snapshot.load.users_before)} wait to ask again", Ink.WARNING)]
    lines = [spread([(title, Ink.STRONG)], badges, width)]
    return lines + ([spread(below, [(ratio, Ink.DIM)], width)] if ratio or any(text for text, _ in below) else [])


def _caption(script: Script | None, width: int, most: int) -> list[Line]:
    """Return what a script has to say in at most so many lines, and where it is."""
    if script is None:
        return []
    lines = flowed([(plain(script.caption), Ink.STRONG)], width, 0, most)
    state: Line = [(script.in_words, Ink.DIM)]
    if lines and width_of(lines[-1]) + width_of(state) + 2 <= width:
        return [*lines[:-1], spread(lines[-1], state, width)]
    return [*lines, spread([], state, width)]


# ---- the four figures


def _figures(
    snapshot: Snapshot, width: int, scale: int, users_wanted: int, words_per_token: float | None
) -> list[list[Line]]:
    """Return two rows of two figures each, in digits of one size."""
    load, figures = snapshot.load, snapshot.figures
    noun, factor = ("token", 1.0) if words_per_token is None else ("word", words_per_token)
    total, each = (
        None if value is None else value * factor
        for value in (figures.tokens_per_s_total, figures.tokens_per_s_per_user)
    )
    ttft_s = figures.ttft_p50_s
    asking = "person asks" if load.users_active == 1 else "people ask at once"
    if users_wanted != load.users_active:
        asking = f"people ask, {users_wanted} wanted"
    half = (width - 4) // 2
    first = "the first" if half >= 26 else "first"
    told = [
        (str(load.users_active), asking, Ink.USERS),
        (formatting.fixed(total, 0), f"{noun}s a second in all", Ink.TOTAL),
        (formatting.fixed(each, 0, 1 if each is not None and each < 9.95 else 0), f"{noun}s a second each", Ink.EACH),
        (formatting.fixed(ttft_s, 0, _decimals(ttft_s)), f"seconds to {first} {noun}", Ink.TTFT),
    ]
    dot = min(_dot(max(3, len(text)), half, scale) for text, _, _ in told)
    left = max(half, 1)
    return [
        [*_beside(_digits(one, dot, scale), _digits(two, dot, scale), left), _beside_labels(one[1], two[1], left)]
        for one, two in (told[:2], told[2:])
    ]


def _decimals(seconds: float | None) -> int:
    if seconds is None or seconds < 0.0995:
        return 2
    return 1 if seconds < 9.95 else 0


def _dot(glyphs: int, width: int, scale: int) -> int:
    """Return how many cells a dot is wide: as fits, and no wider than looks like a figure."""
    return max(1, min(max(1, scale * 3 - 1) if scale > 1 else 3, width // max(1, 4 * glyphs - 1)))


def _digits(told: tuple[str, str, Ink], dot: int, scale: int) -> list[Line]:
    text, _, ink = told
    rows = low(text) if scale == 0 else big(text, wide=dot, tall=scale)
    return [[(row, ink)] for row in rows]


def _beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    return [
        [*cut(one, width), (" " * max(0, width - width_of(one)) + "    ", Ink.PLAIN), *two]
        for one, two in zip(left, right, strict=True)
    ]


def _beside_labels(left: str, right: str, width: int) -> Line:
    return _beside([[(left, Ink.STRONG)]], [[(right, Ink.STRONG)]], width)[0]


# ---- the end of the memory


def _gave_out(end: MemoryEnd, width: int, scale: int) -> list[list[Line]]:
    """Return it in large letters, at how many people it was, and in words what was done about it."""
    parts = ["OUT OF MEMORY", *([f"AT {people(end.users).upper()}"] if end.users else [])]
    dot = max(1, min(width // len(big(part, wide=1)[0]) for part in parts))
    letters: list[Line] = []
    for place, part in enumerate(parts):
        letters += [[]] if place else []
        letters += [[(row, Ink.FAILURE)] for row in big(part, wide=min(dot, 3), tall=max(1, min(scale, dot)))]
    return [letters, [*wrapped(end.done, width, Ink.WARNING)]]


# ---- what stands below


def _memory(snapshot: Snapshot, width: int) -> list[Line]:
    known = [gpu for gpu in devices(snapshot.gpus) if gpu.vram_used_bytes is not None and gpu.vram_total_bytes]
    if not known:
        usage = snapshot.server.kv_cache_usage
        if usage is None:
            return []
        tail: Line = [(f"  {formatting.percent(usage)} %", Ink.STRONG)]
        return [[("cache   ", Ink.PLAIN), *bar(usage, width - 16, Ink.KV), *tail]]
    used = sum(gpu.vram_used_bytes or 0 for gpu in known)
    total = sum(gpu.vram_total_bytes or 0 for gpu in known)
    weights = sum(gpu.vram_weights_bytes or 0 for gpu in known)
    parts = [(float(weights), "█", Ink.WEIGHTS), (float(used - weights), "▓" if weights else "█", Ink.KV)]
    share = formatting.percent(used / total)
    return [[("memory  ", Ink.PLAIN), *stacked(parts, float(total), width - 16), (f"  {share} %", Ink.STRONG)]]
