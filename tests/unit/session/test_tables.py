"""A value with a struct of its own in a field: kept as JSON in one column, exported as a column for each inner one."""

from __future__ import annotations

import msgspec
import pytest

from tui.core.errors import SessionError
from tui.session import export_csv
from tui.session.tables import STRUCT_LIMIT, Table


class Inner(msgspec.Struct, frozen=True, kw_only=True):
    share: float | None = None
    said: list[str] = []


class Outer(msgspec.Struct, frozen=True, kw_only=True):
    users: int
    inner: Inner | None = None


TABLE = Table("outer", Outer, "at_ns", own_time=True)


def kept(value: Outer) -> Outer:
    row = TABLE.row(value, 7)
    return TABLE.value(["users", "inner"], row[1:])


@pytest.mark.parametrize("inner", [None, Inner(), Inner(share=0.1 + 0.2, said=["one", "two"])])
def test_an_inner_struct_comes_back_as_it_was(inner: Inner | None) -> None:
    value = Outer(users=3, inner=inner)
    assert kept(value) == value


def test_a_file_that_lacks_the_column_has_the_default() -> None:
    assert TABLE.value(["users"], [3]) == Outer(users=3)


def test_what_is_kept_and_read_has_no_control_characters() -> None:
    assert "\x1b" not in str(TABLE.row(Outer(users=1, inner=Inner(said=["a\x1b[2Jb"])), 7))
    read = TABLE.value(["users", "inner"], [1, r'{"said": ["a\u001b[2Jb"]}'])
    assert read.inner is not None and "\x1b" not in read.inner.said[0]


@pytest.mark.parametrize("text", ["{", '{"share": "much"}', "[1]", "x" * (STRUCT_LIMIT + 1), '{"share": 1e999}'])
def test_what_is_no_such_struct_is_refused(text: str) -> None:
    with pytest.raises(SessionError):
        TABLE.value(["users", "inner"], [3, text])


def test_an_inner_struct_is_a_column_for_each_of_its_fields() -> None:
    assert export_csv.flat(Outer(users=1)) == {"users": 1, "inner_share": None, "inner_said": None}
    row = export_csv.flat(Outer(users=1, inner=Inner(share=0.5, said=["a", "b"])))
    assert row == {"users": 1, "inner_share": 0.5, "inner_said": "a; b"}
