from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.gpu.simulated import MAX_PAYLOAD_BYTES, readings
from tui.profile.simulator_table import MAX_CARDS

GPU = {
    "index": 0,
    "name": "A100 40GB",
    "vram_total_bytes": 40,
    "vram_weights_bytes": 12,
    "vram_kv_cache_bytes": 20,
    "vram_other_bytes": 3,
    "active_share": 0.98,
    "power_w": 287,
    "energy_j": 1234.5,
    "temperature_c": 64,
}


def payload(*gpus: dict[str, object]) -> bytes:
    return json.dumps(gpus).encode()


def test_the_parts_add_up_to_what_is_used() -> None:
    second, first = GPU | {"index": 1}, GPU
    found = readings(payload(second, first), at_ns=7)
    assert [reading.index for reading in found] == [0, 1]
    assert found[0].simulated is True
    assert found[0].at_ns == 7
    assert found[0].vram_used_bytes == 35
    assert found[0].vram_free_bytes == 5
    assert found[0].power_w == 287.0
    assert found[0].temperature_c == 64.0


def test_what_is_not_told_is_none() -> None:
    (reading,) = readings(payload({"index": 0, "name": "x", "vram_total_bytes": 40, "vram_weights_bytes": 3}), 0)
    assert reading.vram_weights_bytes == 3
    assert (reading.vram_used_bytes, reading.vram_free_bytes, reading.power_w) == (None, None, None)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"{}",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'["' + b"x" * MAX_PAYLOAD_BYTES + b'"]',
        payload(GPU | {"index": -1}),
        payload(GPU | {"index": "0"}),
        payload(GPU | {"active_share": 2}),
        payload(GPU | {"vram_total_bytes": -1}),
        payload(GPU | {"vram_total_bytes": 10**30}),
        payload(GPU | {"name": None}),
        payload(GPU | {"power_w": "much"}),
        b'[{"index":0,"name":"x","power_w":1e999}]',
    ],
)
def test_what_is_malformed_gives_no_readings(content: bytes) -> None:
    assert readings(content, 0) == []


def test_more_cards_than_a_profile_can_have_are_none() -> None:
    assert len(readings(payload(*[GPU] * MAX_CARDS), 0)) == MAX_CARDS
    assert readings(payload(*[GPU] * (MAX_CARDS + 1)), 0) == []


def test_cards_of_several_nodes_come_node_by_node() -> None:
    cards = [GPU | {"index": index, "host": host} for index in (1, 0) for host in ("node10", "node2\x1b[1m")]
    found = readings(payload(*cards), 0)
    assert [reading.place for reading in found] == ["node2/0", "node2/1", "node10/0", "node10/1"]


def test_a_name_is_made_safe() -> None:
    (reading,) = readings(payload(GPU | {"name": "\x1b[31mred\n\u202e" + "x" * 500}), 0)
    assert reading.name.startswith("red x")
    assert len(reading.name) == 80


@given(st.binary(max_size=200))
def test_no_bytes_raise(content: bytes) -> None:
    assert isinstance(readings(content, 0), list)
