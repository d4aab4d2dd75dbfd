from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.view.shell import MIXTRAL, entry
from tui.core.errors import UsageError
from tui.view.profile_actions import attached_entry
from tui.view.screens.attach import ServerWanted
from tui.view.screens.profile_sheet import command_lines

_WORDS = st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30), min_size=1)


@given(words=_WORDS, width=st.integers(12, 120))
def test_a_wrapped_command_pasted_into_a_shell_is_the_command(words: list[str], width: int) -> None:
    assert shlex.split("\n".join(command_lines(words, width)).replace("\\\n", "")) == words


def test_an_option_and_its_value_stay_on_one_line() -> None:
    lines = command_lines(["vllm", "serve", "m", "--max-model-len", "4096", "--enforce-eager", "--port", "8000"], 34)
    assert lines == ["vllm serve m \\", "  --max-model-len 4096 \\", "  --enforce-eager --port 8000"]


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("ftp://host", "", "expected http://"),
        ("http://", "", "expected http://"),
        ("http://me:secret@host:8000", "", "kept in every session"),
        ("http://host:8000", "NO_SUCH_VARIABLE_AT_ALL", "no environment variable"),
    ],
)
def test_what_is_no_address_or_no_key_is_refused(url: str, key: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        attached_entry(entry(MIXTRAL), ServerWanted(url, key))
    assert "secret@" not in str(caught.value)
