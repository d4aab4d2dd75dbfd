"""The presentation screen, for an audience: how many ask, what they get, what it costs the GPUs. Nothing to scroll."""

from __future__ import annotations

from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.reading import devices
from tui.metrics.snapshot import Phase, Snapshot
from tui.view import formatting
from tui.view.panes.state_words import cards_of, news_of
from tui.view.widgets.bars import bar, stacked
from tui.view.widgets.big_digits import big
from tui.view.widgets.lines import Ink, Line, cut, pack, plain, spread, wrapped

_MARGIN = 4


def presentation_lines(
    snapshot: Snapshot,
    width: int,
    height: int,
    *,
    users_wanted: int,
    words_per_token: float | None = None,
    replay: bool = False,
) -> list[Line]:
    """Return the whole screen, blocks spread over the height. `words_per_token` tells tokens as words."""
    inner = max(10, width - 2 * _MARGIN)
    blocks = [
        _who(snapshot, inner, replay=replay),
        _asking(snapshot, users_wanted),
        _rate(snapshot, inner, height, words_per_token),
        _each(snapshot, inner, words_per_token),
        _memory(snapshot, inner),
        _found(snapshot, inner),
    ]
    blocks = [block for block in blocks if block]
    gap, extra = divmod(max(0, height - sum(len(block) for block in blocks)), len(blocks) + 1)
    lines: list[Line] = []
    for place, block in enumerate(blocks):
        lines += [[]] * (gap + (1 if 0 < place <= extra else 0))
        lines += [[(" " * _MARGIN, Ink.PLAIN), *cut(line, inner)] for line in block]
    return lines[:height]


def _who(snapshot: Snapshot, width: int, *, replay: bool) -> list[Line]:
    badge: Line = [(" SIMULATED ", Ink.BADGE)] if snapshot.simulated else []
    title = plain(snapshot.profile_title or snapshot.profile_name, max(1, width - 14))
    lines = [spread([(title, Ink.STRONG)], badge, width)]
    news = news_of(snapshot)
    if news:
        lines += wrapped(news, width, Ink.WARNING)[:2]
    elif replay:
        lines.append([("a replay of a session that is over", Ink.DIM)])
    elif snapshot.server.phase is not Phase.READY:
        lines.append([(f"the server is {snapshot.server.phase.value}", Ink.WARNING)])
    elif cards_of(snapshot):
        lines.append([(plain(cards_of(snapshot), width), Ink.DIM)])
    return lines


def _asking(snapshot: Snapshot, users_wanted: int) -> list[Line]:
    active = snapshot.load.users_active
    line: Line = [
        (str(active), Ink.STEER),
        (" person is asking" if active == 1 else " people are asking at once", Ink.PLAIN),
    ]
    if users_wanted != active:
        line.append((f", {users_wanted} wanted", Ink.DIM))
    return [line]


def _rate(snapshot: Snapshot, width: int, height: int, words_per_token: float | None) -> list[Line]:
    value = snapshot.figures.tokens_per_s_total
    if value is not None and words_per_token is not None:
        value *= words_per_token
    text = formatting.fixed(value, 0)
    tall = 2 if height >= 34 else 1
    wide = max(1, min(4 * tall if width >= 110 else 3, (width - 20) // max(1, 4 * len(text))))
    rows = big(text, wide=wide, tall=tall)
    unit = "tokens a second" if words_per_token is None else "words a second"
    lines: list[Line] = [[(row, Ink.STRONG)] for row in rows]
    lines[-2].append(("   " + unit, Ink.PLAIN))
    lines[-1].append(("   all together", Ink.DIM))
    return lines


def _each(snapshot: Snapshot, width: int, words_per_token: float | None) -> list[Line]:
    each = snapshot.figures.tokens_per_s_per_user
    if each is not None and words_per_token is not None:
        each *= words_per_token
    noun = "token" if words_per_token is None else "word"
    ttft_s = snapshot.figures.ttft_p50_s
    ratio = "" if words_per_token is None else f"a word = {1 / words_per_token:.2g} tokens"
    parts: list[Line] = [
        [(formatting.per_second(each, 0), Ink.STRONG), (f" {noun}s a second for each of them", Ink.PLAIN)],
        [
            (f"first {noun} after ", Ink.PLAIN),
            (formatting.fixed(ttft_s, 0, 1 if ttft_s is None or ttft_s >= 0.1 else 2), Ink.STRONG),
            (" s", Ink.PLAIN),
        ],
        [(ratio, Ink.DIM)],
    ]
    return [pack(parts, width, gap=4)]


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


def _found(snapshot: Snapshot, width: int) -> list[Line]:
    """Return how far the present prompt size has been carried: one mark for each number of users."""
    grid = snapshot.grid
    prompt = snapshot.load.prompt_tokens
    cells = {cell.users: cell for cell in grid.cells if cell.prompt_tokens == prompt}
    parts: list[Line] = []
    for users in grid.users:
        mark, ink, said = _mark(cells.get(users))
        running = users == snapshot.grid.current_users
        mark = "▣" if running and mark == "·" else mark
        parts.append([(f"{users} ", Ink.STRONG if running else Ink.DIM), (mark, ink), (said, ink)])
    return [pack(parts, width, gap=2)] if parts else []


def _mark(cell: CellResult | None) -> tuple[str, Ink, str]:
    if cell is None or cell.outcome is Outcome.PENDING:
        return "·", Ink.DIM, ""
    if cell.outcome is Outcome.RUNNING:
        return "▣", Ink.STEER, ""
    if cell.outcome is Outcome.OK:
        return "■", Ink.GOOD, ""
    if cell.outcome is Outcome.IMPLIED:
        return "╱", Ink.DIM, ""
    return "✕", Ink.FAILURE, " out of memory" if cell.outcome.is_oom else f" {cell.outcome.value}"
