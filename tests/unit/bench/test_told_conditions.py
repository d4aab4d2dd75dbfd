"""What a profile and its server say of the conditions."""

from __future__ import annotations

import pytest

from tui.bench.told_conditions import conditions_of
from tui.metrics.conditions import Conditions
from tui.metrics.snapshot import Phase, ServerSettings, ServerStatus
from tui.profile.schema import AttachTable, LoadTable, Profile, ServerTable


def test_the_servers_word_stands_beside_the_profiles() -> None:
    server = ServerTable(model="acme/Seven-7B", args={"gpu-memory-utilization": 0.95, "max-num-seqs": 64})
    told = {"gpu-memory-utilization": "0.90", "max-num-seqs": "64", "data-parallel-size": "2"}
    status = ServerStatus(
        phase=Phase.READY,
        version="0.32.0",
        kv_cache_tokens=1600,
        settings=ServerSettings(arguments=told, kv_cache_blocks=98, block_size=16),
    )
    assert conditions_of(Profile(name="p", engine="vllm", server=server), status, 14_000) == Conditions(
        version="0.32.0",
        kv_pool_tokens=1600,
        kv_pool_blocks=98,
        block_size=16,
        max_num_seqs=128,  # by each of two engines
        weights_estimated_bytes=14_700_000_000,
        weights_told_bytes=14_000,
        over_loopback=True,
        differences=["gpu-memory-utilization: the profile says 0.95, the server runs 0.90"],
    )


def test_of_an_attached_server_there_is_nothing_to_compare_with() -> None:
    profile = Profile(name="p", engine="vllm", attach=AttachTable(base_url="http://10.0.0.1:1"))
    status = ServerStatus(phase=Phase.READY, settings=ServerSettings(arguments={"max-num-seqs": "many"}))
    assert conditions_of(profile, status, None) == Conditions()


@pytest.mark.parametrize(
    ("url", "hosts", "over_loopback"),
    [
        ("http://127.0.0.1:8000", "local", True),
        ("http://[::1]:8000", "local", True),
        ("http://10.0.0.1:8000", "local", False),
        ("http://10.0.0.1:8000", ["ssh://gpu1"], False),
    ],
)
def test_whether_requests_leave_the_machine_is_known(url: str, hosts: str | list[str], over_loopback: bool) -> None:
    profile = Profile(name="p", engine="vllm", attach=AttachTable(base_url=url), load=LoadTable(hosts=hosts))
    assert conditions_of(profile, ServerStatus(phase=Phase.READY), None).over_loopback is over_loopback


def test_what_is_launched_is_asked_over_loopback_unless_others_ask_too() -> None:
    server = ServerTable(model="m", host="10.0.0.5")
    for load, expected in ((LoadTable(), True), (LoadTable(hosts=["ssh://gpu1", "local"]), False)):
        profile = Profile(name="p", engine="vllm", server=server, load=load)
        assert conditions_of(profile, ServerStatus(phase=Phase.READY), None).over_loopback is expected
