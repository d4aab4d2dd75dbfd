"""What is asked by hand: the line it is typed in, the answer as it comes, and its times beside those of the load."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from tui.metrics.aside import MAX_QUESTION_CHARS, Aside
from tui.metrics.cell import users_in_words
from tui.metrics.snapshot import Snapshot
from tui.view import formatting
from tui.view.widgets.canvas import Canvas
from tui.view.widgets.lines import Ink, Line, cut, pack, plain, spread, wrapped

LEAST_ROWS, MOST_ROWS = 4, 10
_SEEN_CHARS = 1500
"""More of a paragraph does not fit into the rows."""
_NEVER = -1


class AsideBox(Vertical):
    """Stands above the keys while a question is typed, asked or answered."""

    DEFAULT_CSS = """
    AsideBox {
        height: auto; display: none; padding: 0 1; background: $surface;
        border: round $accent; border-title-color: $foreground; border-title-style: bold;
        border-subtitle-color: $text-muted; border-subtitle-align: right;
    }
    AsideBox.-open { display: block; }
    AsideBox Input { border: none; height: 1; padding: 0; background: $surface; display: none; }
    AsideBox.-typing Input { display: block; }
    AsideBox Canvas { background: $surface; display: none; }
    AsideBox.-shown Canvas { display: block; }
    """

    class Asked(Message):
        """A whole question."""

        def __init__(self, question: str) -> None:
            self.question = question
            super().__init__()

    def __init__(self) -> None:
        super().__init__(id="aside")
        self.border_title = "you and the model, in no figure"
        self.typing = False
        self._closed_at_ns = _NEVER
        """When the aside was asked that is not wanted to be seen any more."""
        self._aside: Aside | None = None

    def compose(self) -> ComposeResult:
        """The line, and below it the answer."""
        yield Input(placeholder="your question", max_length=MAX_QUESTION_CHARS, compact=True, id="question")
        yield Canvas(id="answer")

    @property
    def line(self) -> Input:
        """Return where the question is typed."""
        return self.query_one(Input)

    @property
    def shown(self) -> bool:
        """Say whether there is an aside to be seen."""
        return self._aside is not None and self._aside.asked_at_ns != self._closed_at_ns

    def open(self) -> None:
        """Take a question; what was typed before is gone."""
        self.typing = True
        self.line.value = ""
        self._arrange()

    def close(self) -> None:
        """Take no question, and show none; the next one is shown again."""
        self.typing = False
        if self._aside is not None:
            self._closed_at_ns = self._aside.asked_at_ns
        self._arrange()

    def show(self, snapshot: Snapshot) -> None:
        """Show how the question of a snapshot stands."""
        self._aside = snapshot.aside
        self._arrange()
        if self.shown:
            canvas = self.query_one(Canvas)
            width = max(1, self.app.size.width - 4)
            lines = aside_lines(snapshot, width, min(MOST_ROWS, max(LEAST_ROWS, self.app.size.height // 4)))
            if canvas.styles.height is None or canvas.styles.height.value != len(lines):
                canvas.styles.height = len(lines)
                self.call_after_refresh(canvas.paint, lines)
            else:
                canvas.paint(lines)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Hand a question on; nothing is no question."""
        event.stop()
        if question := event.value.strip():
            self.typing = False
            self._arrange()
            self.post_message(self.Asked(question))

    def _arrange(self) -> None:
        self.set_class(self.typing or self.shown, "-open")
        self.set_class(self.typing, "-typing")
        self.set_class(self.shown, "-shown")
        self.border_subtitle = "enter asks, esc leaves it" if self.typing else "esc ends it, i asks again"


def aside_lines(snapshot: Snapshot, width: int, most_rows: int) -> list[Line]:
    """Return question, the latest of the answer and the times, in at most so many rows (>= 4)."""
    aside = snapshot.aside
    if aside is None:
        return []
    badge: Line = [(" SIMULATED ", Ink.BADGE)] if snapshot.simulated else []
    question: Line = [("you  ", Ink.DIM), (plain(aside.question, max(1, width - 5 - 12)), Ink.STRONG)]
    answer = [line for part in aside.answer.split("\n") for line in (wrapped(part[-_SEEN_CHARS:], width) or [[]])]
    answer = answer or [[("no word yet", Ink.DIM)]]
    if aside.failed:
        answer += wrapped(aside.over, width, Ink.FAILURE)
    rows = most_rows - 3
    return [spread(question, badge, width), *(cut(line, width) for line in answer[-rows:]), *_times(snapshot, width)]


def _times(snapshot: Snapshot, width: int) -> list[Line]:
    aside, figures = snapshot.aside, snapshot.figures
    assert aside is not None
    waits_s = None if aside.over else max(0, snapshot.at_ns - aside.asked_at_ns) / 1e9
    first: Line = [("first token ", Ink.DIM), (f"{formatting.fixed(aside.ttft_s, 6, 2)} s", Ink.TTFT)]
    if aside.ttft_s is None and waits_s is not None:
        first = [("waits for ", Ink.DIM), (f"{formatting.fixed(waits_s, 0, 1)} s", Ink.TTFT)]
    rate: Line = [(f"{formatting.fixed(aside.tokens_per_s, 6, 1)} tokens/s", Ink.EACH)]
    state: Line = [("" if aside.failed else aside.over or "is answered", Ink.DIM)]
    yours = pack([[("yours".ljust(11), Ink.STRONG)], first, rate, [(f"{aside.tokens} tokens", Ink.DIM)], state], width)
    users = users_in_words(snapshot.load.users_active)
    theirs: list[Line] = [
        [(plain(users, 11).ljust(11), Ink.STRONG)],
        [("first token ", Ink.DIM), (f"{formatting.fixed(figures.ttft_p50_s, 6, 2)} s", Ink.TTFT)],
        [(f"{formatting.fixed(figures.tokens_per_s_per_user, 6, 1)} tokens/s", Ink.EACH)],
        [("each", Ink.DIM)],
    ]
    return [yours, pack(theirs, width)]
