"""What a session keeps of its machine: enough to read its figures by, and nobody's name."""

from __future__ import annotations

import getpass
import platform
import tomllib

import pytest

from tui.bench.environment import environment_of, gpu_summary_of
from tui.profile.catalogue import entries
from tui.profile.loader import parse_profile


def test_neither_the_machine_nor_its_user_is_named() -> None:
    told = environment_of()
    assert set(told) == {"python", "system", "machine", "cpus"} and all(told.values())
    assert not {platform.node(), getpass.getuser()} & set(told.values())


@pytest.mark.parametrize(("gpus", "words"), [("", ""), ("gpus = [3]", "1 GPU"), ("gpus = [0, 1]", "2 GPUs")])
def test_gpus_that_nothing_is_known_of_are_counted(gpus: str, words: str) -> None:
    text = f'name = "p"\nengine = "vllm"\n[server]\nmodel = "m"\n{gpus}\n[load]\nusers = [1]\nprompt_tokens = [10]\n'
    assert gpu_summary_of(parse_profile(text, "p")) == words


def test_simulated_gpus_are_named() -> None:
    twins = [entry for entry in entries() if entry.profile is not None and entry.profile.simulator is not None]
    assert twins
    for twin in twins:
        assert twin.profile is not None and twin.profile.server is not None
        said = tomllib.loads(twin.path.read_text()).get("simulator", {}).get("gpu", "")
        if twin.profile.server.gpus and said:
            assert said in gpu_summary_of(twin.profile)
