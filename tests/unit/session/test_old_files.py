"""Sessions and exports that earlier states of the code made are read by this one, and say what they said."""

from __future__ import annotations

import gzip
import tomllib
from pathlib import Path

import pytest

from tui.core.outcome import Outcome
from tui.session import imported
from tui.session.database import FORMAT_VERSION
from tui.session.export import export_session
from tui.session.reader import SessionReader, SessionState
from tui.session.replay import snapshot
from tui.session.sides import read_side

CORPUS = Path(__file__).parents[2] / "corpus" / "sessions"
NAMES = sorted(
    (path.name.removesuffix(".vramp.gz") for path in CORPUS.glob("*.vramp.gz")),
    key=lambda name: int(name.partition("-")[0]),
)
_PAGE = (Path(__file__).parents[3] / "docs" / "session-format.md").read_text(encoding="utf-8")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def session(name: str, tmp_path: Path) -> Path:
    path = tmp_path / f"{name}.vramp"
    path.write_bytes(gzip.decompress((CORPUS / f"{name}.vramp.gz").read_bytes()))
    return path


def test_there_is_one_of_each_state() -> None:
    assert [name.split("-")[0] for name in NAMES] == [str(number) for number in range(1, len(NAMES) + 1)]
    assert len(NAMES) >= 8
    told = (CORPUS / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in told and (CORPUS / f"{name}.toml").is_file() for name in NAMES)


def test_the_page_says_which_version_this_is() -> None:
    assert f"Format {FORMAT_VERSION}" in _PAGE


def test_an_old_session_is_read_whole(session: Path) -> None:
    with SessionReader(session) as reader:
        assert reader.state is SessionState.ENDED and reader.meta.simulated
        cells = reader.cells()
        assert [(cell.users, cell.prompt_tokens, cell.outcome) for cell in cells] == [(1, 64, "ok"), (2, 64, "ok")]
        assert all(cell.tokens_per_s_total and cell.time_to_resolve_s and cell.requests_ok for cell in cells)
        requests = list(reader.requests())
        # Six bursts of one user and six of two; and perhaps those by which the server was tried.
        assert sum(request.tag != 0 and request.outcome is Outcome.OK for request in requests) == 18
        assert all(request.itl_max_s for request in requests if request.ok and request.events > 1)
        assert all(any(True for _ in kept) for kept in (reader.series(), reader.gpus(), reader.events()))
        assert reader.server is not None and reader.trend


def test_what_was_exported_of_it_then_is_what_it_says_now(name: str, session: Path) -> None:
    text = (CORPUS / f"{name}.toml").read_text(encoding="utf-8")
    then = imported.loads(text, name)
    with SessionReader(session) as reader:
        assert then.cells == reader.cells()
        assert then.session.id == reader.meta.session_id
    kept = tomllib.loads(text)["cells"]
    for told, cell in zip(kept, then.cells, strict=True):
        assert cell.time_to_resolve_s == told["time_to_resolve_s"]


def test_an_old_session_is_exported_compared_and_replayed(name: str, session: Path, tmp_path: Path) -> None:
    written = export_session(session, tmp_path / "out", formats=("toml", "csv", "md", "html", "vllm", "llm-d"))
    assert {path.name for path in written} >= {"session.toml", "requests.csv", "grid.md"}
    assert imported.read(tmp_path / "out" / "session.toml").session.id
    side, exported = read_side(str(session)), read_side(str(CORPUS / f"{name}.toml"))
    assert side.cells == exported.cells and side.circumstances == exported.circumstances
    with SessionReader(session) as reader:
        assert snapshot(reader).grid.cells
