"""What an audience is shown: figures of one size, how far it went, and the end of the memory in large letters."""

from __future__ import annotations

import msgspec
import pytest

from tests.fakes import snapshots
from tests.fakes.snapshots import mid_ramp, oom_grid
from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.metrics.cell import CellResult
from tui.metrics.edge import Carried
from tui.metrics.snapshot import LoadStatus, Phase, ServerDeath, Snapshot, StageProgress, SweepStatus
from tui.profile.demo_table import MAX_CAPTION_CHARS, DemoStep, DemoTable
from tui.view.panes.carried import carried
from tui.view.panes.memory_end import SHOWN_S, memory_end
from tui.view.panes.presentation import presentation_lines
from tui.view.panes.stage_words import end_for_all, news_for_all
from tui.view.script import Script
from tui.view.widgets.big_digits import big
from tui.view.widgets.lines import Ink, Line, text_of, width_of

SIZES = [(60, 16), (80, 24), (120, 40), (200, 50), (300, 80)]


def stage(snapshot: Snapshot, width: int, height: int, wanted: int = 32) -> list[Line]:
    return presentation_lines(snapshot, width, height, users_wanted=wanted)


def died(at: float = 0.0, phase: Phase = Phase.RELAUNCHING, outcome: Outcome = Outcome.OOM_RUNTIME) -> Snapshot:
    """Return a server that died of 64 users, `at` seconds ago."""
    base = mid_ramp()
    point = msgspec.structs.replace(base.series[-1], at_ns=base.at_ns - round((at + 1) * NS_PER_S), users_wanted=64)
    death = ServerDeath(at_ns=base.at_ns - round(at * NS_PER_S), outcome=outcome, cause="CUDA out of memory")
    server = msgspec.structs.replace(base.server, phase=phase)
    return msgspec.structs.replace(base, series=[point], deaths=[death], server=server)


def rows_in(lines: list[Line], ink: Ink) -> list[str]:
    return [text.strip() for line in lines for text, paint in line if paint is ink and set(text) <= set("█▀▄ ")]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_four_figures_are_of_one_size_and_fill_the_screen(width: int, height: int) -> None:
    lines = stage(mid_ramp(), width, height)
    assert len(lines) <= height and all(width_of(line) <= width for line in lines)
    heights = {len(rows_in(lines, ink)) for ink in (Ink.USERS, Ink.TOTAL, Ink.EACH, Ink.TTFT)}
    assert heights == {{16: 3, 24: 5, 40: 10, 50: 15, 80: 15}[height]}
    text = text_of(lines)
    for told in ("people ask, 32 wanted", "tokens a second in all", "tokens a second each", "first token"):
        assert told in text
    assert not any(jargon in text for jargon in ("TTFT", "p50", "KV", "E2E", "OOM"))


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("make", [mid_ramp, died, oom_grid])
def test_simulated_figures_are_marked(make: object, width: int, height: int) -> None:
    assert callable(make)
    assert "SIMULATED" in text_of(stage(make(), width, height))


def test_one_person_asks() -> None:
    base = mid_ramp()
    one = msgspec.structs.replace(base, load=LoadStatus(users_wanted=1, users_active=1))
    assert "person asks" in text_of(stage(one, 80, 24, wanted=1))


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_end_of_the_memory_is_in_large_letters_with_what_was_done(width: int, height: int) -> None:
    lines = stage(died(), width, height)
    letters = rows_in(lines, Ink.FAILURE)
    dots = len(letters[0]) // len(big("OUT OF MEMORY", wide=1)[0])
    tall = len(letters) // 10
    assert letters == [
        row.strip() for part in ("OUT OF MEMORY", "AT 64 PEOPLE") for row in big(part, wide=dots, tall=tall)
    ]
    assert "It is being started again." in " ".join(text_of(lines).split())
    assert "relaunching" not in text_of(lines)


@pytest.mark.parametrize(
    ("snapshot", "said"),
    [
        (died(phase=Phase.READY, at=SHOWN_S - 1), "started again, and answers."),
        (died(phase=Phase.FAILED), "was not started again"),
        (died(phase=Phase.ENDED), "the session is over"),
    ],
)
def test_what_was_done_is_told_as_it_was(snapshot: Snapshot, said: str) -> None:
    found = memory_end(snapshot)
    assert found is not None and said in found.done and found.users == 64


def test_who_waits_and_what_a_launch_does_is_told() -> None:
    back = died(phase=Phase.READY)
    back = msgspec.structs.replace(back, load=msgspec.structs.replace(back.load, users_before=64))
    found = memory_end(back)
    assert found is not None and "64 people wait to ask again" in found.done
    loading = died()
    stages = [StageProgress(name="weights", state="current")]
    loading = msgspec.structs.replace(loading, server=msgspec.structs.replace(loading.server, stages=stages))
    found = memory_end(loading)
    assert found is not None and "(step 1 of 1)" in found.done


@pytest.mark.parametrize(
    "snapshot",
    [mid_ramp(), died(phase=Phase.READY, at=SHOWN_S + 1), died(outcome=Outcome.ENGINE_DEAD)],
    ids=["none", "long over", "another death"],
)
def test_what_is_no_end_of_the_memory_or_is_long_over_is_not_told(snapshot: Snapshot) -> None:
    assert memory_end(snapshot) is None


def test_a_server_that_lives_on_without_memory_is_told_by_its_cell() -> None:
    base = mid_ramp()
    cell = CellResult(
        users=64,
        prompt_tokens=296,
        output_tokens=100,
        outcome=Outcome.OOM_RUNTIME,
        mode="burst",
        started_at_ns=base.at_ns - 5 * NS_PER_S,
        duration_s=2.0,
    )
    found = memory_end(msgspec.structs.replace(base, grid=msgspec.structs.replace(base.grid, cells=[cell])))
    assert found is not None and found.users == 64 and "goes on" in found.done


def test_each_number_of_people_has_a_block_and_failures_are_told_in_words_and_marks() -> None:
    base = snapshots.oom_grid()
    at_480 = msgspec.structs.replace(base, load=msgspec.structs.replace(base.load, prompt_tokens=2193))
    lines = carried(at_480, 72, rows=2)
    assert len(lines) == 4 and all(width_of(line) <= 72 for line in lines)
    assert "✕✕✕" in text_of(lines) and "╱╱╱" in text_of(lines) and "███" in text_of(lines)
    assert "out of memory at" in text_of(lines)


def test_a_long_axis_shows_the_part_around_the_present_number() -> None:
    base = mid_ramp()
    grid = msgspec.structs.replace(base.grid, users=list(range(1, 65)))
    lines = carried(msgspec.structs.replace(base, grid=grid), 52, rows=1)
    assert "32" in text_of(lines) and all(width_of(line) <= 52 for line in lines)
    assert carried(msgspec.structs.replace(base, grid=msgspec.structs.replace(grid, users=[])), 52, rows=1) == []


@pytest.mark.parametrize(("width", "height"), SIZES[1:])
def test_a_script_has_its_caption_and_leaves_the_figures_large(width: int, height: int) -> None:
    table = DemoTable(step=[DemoStep(caption="More than it can hold was asked of it. " * 3)])
    script = Script(table)
    script.run()
    lines = presentation_lines(mid_ramp(), width, height, users_wanted=32, script=script)
    assert "More than it can hold" in text_of(lines) and "step 1 of 1, runs" in text_of(lines)
    assert len(rows_in(lines, Ink.USERS)) >= 5 and "SIMULATED" in text_of(lines)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_longest_caption_is_whole_or_says_that_it_is_not(width: int, height: int) -> None:
    said = "a caption as long as it may be, every word of which counts, for so it was written " * 3
    caption = said[: MAX_CAPTION_CHARS - 5] + " end."
    script = Script(DemoTable(step=[DemoStep(caption=caption)]))
    script.run()
    text = text_of(presentation_lines(mid_ramp(), width, height, users_wanted=32, script=script))
    assert "end." in text or (height == 16 and "…" in text)
    assert "tokens a second in all" in text and "first token" in text


def test_what_a_search_measured_beside_the_axis_has_no_block() -> None:
    base = mid_ramp()
    grid = msgspec.structs.replace(base.grid, users=[1, 2, 8, 57, 59, 61, 64], asked_users=[1, 8, 64])
    numbers = text_of(carried(msgspec.structs.replace(base, grid=grid), 72, rows=1)[:1])
    assert numbers.split() == ["1", "8", "64"]


JARGON = ("oom", "KV", "TTFT", "p90", "SLO", "http", "engine", "sweep", "cell", "token-ids")


@pytest.mark.parametrize(
    "notice",
    [
        "too long: 4000 prompt + 100 output tokens exceed 4096",
        "21 users at 822 tokens, then TTFT p90 passes 1 s: prefill",
    ],
)
def test_what_the_bench_says_to_who_steers_is_not_on_stage(notice: str) -> None:
    snapshot = msgspec.structs.replace(mid_ramp(), notice=notice)
    assert notice not in text_of(stage(snapshot, 120, 40)) and "prefill" not in text_of(stage(snapshot, 120, 40))


def news(**changes: object) -> str:
    return news_for_all(msgspec.structs.replace(mid_ramp(), **changes))


def test_an_audience_is_told_what_it_understands() -> None:
    edges = [
        Carried(prompt_tokens=64, users=90, users_least=90, known=True),
        Carried(prompt_tokens=1024, users=21, users_least=20, known=True),
        Carried(prompt_tokens=2048, users=4, users_least=4),
    ]
    searching = SweepStatus(looks_for_edge=True)
    told = news(edges=edges, sweep=searching)
    assert told == "21 people are served well at once, with questions of 1,024 tokens."
    assert "750 words" not in told
    snapshot = msgspec.structs.replace(mid_ramp(), edges=edges, sweep=searching)
    assert news_for_all(snapshot, 0.75).endswith("questions of 768 words.")
    assert told in text_of(stage(snapshot, 80, 24))
    assert news(edges=edges) == "", "a sweep looks for no edge"
    assert news(edges=[], sweep=searching) == "" == news()
    none = [Carried(prompt_tokens=9, users=0, users_least=0, known=True)]
    assert news(edges=none, sweep=searching).startswith("Nobody is served well")
    assert news(unkept="disk full") == "From now on nothing is written down."
    assert news(sweep=SweepStatus(failed="engine oom")) == "Measuring has stopped."
    base = mid_ramp()
    cells = [CellResult(users=1, prompt_tokens=4000, output_tokens=100, mode="burst", outcome=Outcome.TOO_LONG)]
    grid = msgspec.structs.replace(base.grid, cells=cells)
    load = msgspec.structs.replace(base.load, prompt_tokens=4000, users_active=0)
    assert news(grid=grid, load=load) == "Questions of this length are too long for the model."


@pytest.mark.parametrize("outcome", [one for one in Outcome if not one.is_oom])
def test_each_end_is_told_without_jargon(outcome: Outcome) -> None:
    assert not any(word in end_for_all(outcome) for word in (*JARGON, "-"))
