"""Values for tests of the session: by hand, and by hypothesis."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from tui.core.clock import NS_PER_S
from tui.core.outcome import Outcome
from tui.core.safe_text import safe_text
from tui.metrics.cell import CellResult
from tui.metrics.distribution import Distribution, Distributions
from tui.metrics.reading import Event, GpuReading, SeriesPoint
from tui.metrics.record import RequestRecord, gaps_between
from tui.profile.schema import Profile
from tui.session.meta import SessionMeta
from tui.session.store import SessionWriter

START_NS = 1_000 * NS_PER_S
PROFILE = Profile.model_validate(
    {
        "name": "demo",
        "title": "A demo",
        "engine": "simulated",
        "server": {"model": "m"},
        "load": {"users": [1, 2], "prompt_tokens": [31, 63], "mode": "burst"},
    }
)


def meta(**changes: Any) -> SessionMeta:
    value = SessionMeta(
        session_id="2026-11-20-180400-demo-ab12",
        started_at="2026-11-20T18:04:00+00:00",
        started_at_ns=START_NS,
        vramp_version="0.1.0",
        profile_name="demo",
        profile_toml='name = "demo"\n',
        profile_json=PROFILE.model_dump_json(),
        engine="simulated",
        simulated=True,
        environment={"python": "3.11"},
    )
    return msgspec.structs.replace(value, **changes)


def request(number: int = 1, **changes: Any) -> RequestRecord:
    """A request that ran in second `number` of the session, its 4 tokens 100 ms apart."""
    start_ns = START_NS + number * NS_PER_S
    stamps_ns = [start_ns + step * NS_PER_S // 10 for step in range(1, 5)]
    value = RequestRecord(
        request_id=number,
        worker=0,
        user=0,
        tag=1,
        intended_start_ns=start_ns,
        start_ns=start_ns + 1_000,
        first_token_ns=stamps_ns[0],
        last_token_ns=stamps_ns[-1],
        end_ns=stamps_ns[-1] + 1_000,
        prompt_tokens=31,
        output_tokens_asked=4,
        prompt_tokens_usage=31,
        output_tokens=4,
        events=4,
        **msgspec.structs.asdict(gaps_between(stamps_ns)),
        outcome=Outcome.OK,
        http_status=200,
    )
    return msgspec.structs.replace(value, **changes)


def cell(users: int = 1, prompt_tokens: int = 31, **changes: Any) -> CellResult:
    value = CellResult(
        users=users,
        prompt_tokens=prompt_tokens,
        output_tokens=100,
        mode="burst",
        outcome=Outcome.OK,
        tag=1,
        started_at_ns=START_NS + NS_PER_S,
        time_to_resolve_s=0.1 + 0.2,
        tokens_per_s_total=33.3,
        requests_ok=users,
        simulated=True,
    )
    return msgspec.structs.replace(value, **changes)


def point(second: int, **changes: Any) -> SeriesPoint:
    value = SeriesPoint(
        at_ns=START_NS + second * NS_PER_S, users_wanted=1, users_active=1, in_flight=1, prompt_tokens=31
    )
    return msgspec.structs.replace(value, **changes)


def gpu(second: int, index: int = 0) -> GpuReading:
    return GpuReading(
        at_ns=START_NS + second * NS_PER_S, index=index, name="Virtual", simulated=True, vram_used_bytes=second
    )


def event(second: int, text: str = "so it is") -> Event:
    return Event(at_ns=START_NS + second * NS_PER_S, source="bench", text=text)


def session(path: Path, *, requests: list[RequestRecord] | None = None, cells: list[CellResult] | None = None) -> Path:
    """Write a closed session with one of everything, or with just what was given."""
    writer = SessionWriter(path, meta())
    writer.add_requests([request(n) for n in range(1, 4)] if requests is None else requests)
    for number, result in enumerate([cell()] if cells is None else cells, start=1):
        writer.add_cell(result, START_NS + number * NS_PER_S)
    writer.add_series(point(1))
    writer.add_gpus([gpu(1)])
    writer.add_event(event(1))
    writer.close("finished")
    assert writer.failure == ""
    return path


@contextmanager
def altered(path: Path) -> Iterator[sqlite3.Connection]:
    """Change a closed session as somebody would who wants it to be believed: its checksum goes."""
    connection = sqlite3.connect(path)
    try:
        with connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone():
                connection.execute("DELETE FROM meta WHERE key = 'checksum'")
            yield connection
    finally:
        connection.close()


_count = st.integers(0, 2**40)
_figure = st.none() | st.floats(allow_nan=False, allow_infinity=False)
_text = st.text(max_size=40)


def _of_struct(struct: type[Any], **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Any value of a struct, field by field, so that a new field is tested without a word here."""
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "IntType": _count,
        "FloatType": st.floats(allow_nan=False, allow_infinity=False),
        "BoolType": st.booleans(),
        "StrType": _text,
    }

    def of_type(one: msgspec.inspect.Type) -> st.SearchStrategy[Any]:
        match one:
            case msgspec.inspect.NoneType():
                return st.none()
            case msgspec.inspect.EnumType(cls=members):
                return st.sampled_from(list(members))
            case msgspec.inspect.StructType(cls=inner_struct):
                return _of_struct(inner_struct)
            case msgspec.inspect.ListType(item_type=item):
                return st.lists(of_type(item), max_size=3)
            case _:
                return kinds[type(one).__name__]

    fields = {}
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        if field.name in fixed:
            fields[field.name] = fixed[field.name]
            continue
        inner = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        fields[field.name] = st.one_of(*map(of_type, inner))
    return st.builds(struct, **fields)


def text_cleaned(value: Any) -> Any:
    """Return a value with its texts, those of inner structs and lists included, as a session keeps them."""
    if isinstance(value, str) and not isinstance(value, StrEnum):
        return safe_text(value)
    if isinstance(value, list):
        return [text_cleaned(inner) for inner in value]
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return msgspec.structs.replace(value, **{name: text_cleaned(getattr(value, name)) for name in names})
    return value


def any_cell() -> st.SearchStrategy[CellResult]:
    outcomes = [o for o in Outcome if not o.is_open and o is not Outcome.IMPLIED]
    latencies_s = st.lists(st.floats(0, 1e6), max_size=30).map(sorted)
    distribution = st.builds(Distribution.of_ordered_s, latencies_s)
    distributions = st.builds(Distributions, ttft=distribution, itl=distribution, e2e=distribution)
    return _of_struct(CellResult, outcome=st.sampled_from(outcomes), distributions=st.none() | distributions)


def any_cells(*, max_size: int) -> st.SearchStrategy[list[CellResult]]:
    """Cells of different measures: of one that is told again the last telling counts."""
    return st.lists(
        any_cell(), max_size=max_size, unique_by=lambda cell: (cell.tag, cell.mode, cell.users, cell.prompt_tokens)
    )


def any_request() -> st.SearchStrategy[RequestRecord]:
    gaps = st.lists(st.integers(0, 10**12), max_size=20).map(lambda stamps: gaps_between(sorted(stamps)))
    return _of_struct(
        RequestRecord,
        outcome=st.sampled_from(list(Outcome)),
        event_gaps_us=gaps.map(lambda each: each.event_gaps_us),
        gaps_histogram=gaps.map(lambda each: each.gaps_histogram),
    )
