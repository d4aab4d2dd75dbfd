from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tui.metrics.gpu_hosts import added_up, by_host, cards_in_words, in_order, rounds
from tui.metrics.gpu_trend import GpuTrends
from tui.metrics.reading import GpuReading, devices, vram_used_share


def card(host: str, index: int, **figures: object) -> GpuReading:
    return GpuReading(at_ns=0, index=index, name="NVIDIA L4", host=host, **figures)  # type: ignore[arg-type]


def test_hosts_are_sorted_as_people_count() -> None:
    hosts = ["node10", "node2", "", "gpu-b", "node1", "10.0.0.12", "10.0.0.3"]
    assert sorted(hosts, key=in_order) == ["", "10.0.0.3", "10.0.0.12", "gpu-b", "node1", "node2", "node10"]


def test_the_same_number_on_another_host_is_another_card() -> None:
    cut = card("a", 0, mig_mode=True, vram_total_bytes=24, vram_used_bytes=24)
    part = card("a", 0, mig_index=1, vram_total_bytes=12, vram_used_bytes=3)
    whole = card("b", 0, vram_total_bytes=24, vram_used_bytes=6)
    assert devices([cut, part, whole]) == [part, whole]
    assert vram_used_share([cut, part, whole]) == 9 / 36
    assert cards_in_words([cut, part, whole]) == "2 × NVIDIA L4"
    assert [one.place for one in (cut, part, whole)] == ["a/0", "a/0:1", "b/0"]
    assert list(by_host([whole, cut, part])) == ["b", "a"]


def test_cards_are_added_up_as_one() -> None:
    cards = [
        card("a", 0, vram_total_bytes=40, vram_used_bytes=30, active_share=1.0, power_w=200.0, temperature_c=60.0),
        card("a", 1, vram_total_bytes=40, vram_used_bytes=10, active_share=0.5, power_w=100.0, temperature_c=70.0),
    ]
    whole = added_up(cards, "a")
    assert (whole.name, whole.host) == ("2 × NVIDIA L4", "a")
    assert (whole.vram_used_bytes, whole.vram_total_bytes) == (40, 80)
    assert (whole.active_share, whole.power_w, whole.temperature_c) == (0.75, 300.0, 70.0)


def test_a_sum_that_would_lack_a_card_is_not_told() -> None:
    cards = [
        card("a", 0, vram_total_bytes=40, vram_used_bytes=30, vram_weights_bytes=12, power_w=200.0),
        card("a", 1, vram_total_bytes=40, vram_used_bytes=10),
        card("a", 2, lost=True, vram_total_bytes=40),
    ]
    whole = added_up(cards, "a")
    assert (whole.vram_used_bytes, whole.vram_total_bytes) == (40, 80)
    assert (whole.vram_weights_bytes, whole.power_w, whole.lost) == (None, None, False)
    assert added_up([card("a", 0, lost=True)], "a").lost is True


def test_what_holds_cards_back_is_named_once() -> None:
    throttled = [card("a", index, throttle=why) for index, why in enumerate(["", "too hot", "too hot", "power limit"])]
    assert added_up(throttled, "a").throttle == "too hot, power limit"


@dataclass(frozen=True)
class Seen:
    place: str
    number: int


@given(st.lists(st.sampled_from("abc")))
def test_rounds_lose_nothing_and_have_no_place_twice(places: list[str]) -> None:
    seen = [Seen(place, number) for number, place in enumerate(places)]
    found = list(rounds(seen))
    assert [one for group in found for one in group] == seen
    assert all(len({one.place for one in group}) == len(group) for group in found)


def test_several_hosts_have_a_trend_each_of_their_cards_together() -> None:
    trends = GpuTrends()
    for second in range(3):
        figures = {"active_share": 0.25 * second, "power_w": 100.0 + second}
        trends.take([card(host, index, **figures) for host in ("a", "b") for index in range(2)])
    found = trends.trends
    assert [(trend.host, trend.index) for trend in found] == [("a", 0), ("b", 0)]
    assert found[1].power_w == [200.0, 202.0, 204.0] and found[1].active_share == [0.0, 0.25, 0.5]
