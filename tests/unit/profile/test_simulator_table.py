from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tui.profile.simulator_table import FailOnPurpose, SimulatorTable


def test_a_table_without_keys_is_whole() -> None:
    table = SimulatorTable.model_validate({})
    assert table.kv_cache_tokens >= table.max_model_len


def test_a_way_to_fail_is_read_from_its_name() -> None:
    assert SimulatorTable.model_validate({"fail": "hang"}).fail is FailOnPurpose.HANG


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({"gpu": "A100"}, "gpu"),
        ({"fail": "hangs"}, "fail"),
        ({"step_bass_s": 0.1}, "step_bass_s"),
        ({"step_base_s": -0.1}, "step_base_s"),
        ({"step_base_s": float("nan")}, "step_base_s"),
        ({"kv_cache_tokens": 0}, "kv_cache_tokens"),
        ({"max_num_seqs": "8"}, "max_num_seqs"),
    ],
)
def test_mistakes_are_errors(values: dict[str, Any], place: str) -> None:
    with pytest.raises(ValidationError) as error:
        SimulatorTable.model_validate(values)
    assert [each["loc"][0] for each in error.value.errors()] == [place]
