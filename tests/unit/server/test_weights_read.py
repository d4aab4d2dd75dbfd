"""How much of the weights is read: which files they are, and what a process has mapped or opened of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tui.server import weights_read
from tui.server.weights_read import WeightsRead, weight_files

PAGE = 4096


def written(folder: Path, **sizes: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, size in sizes.items():
        path = folder / name.replace("_of_", "-of-").replace("__", ".")
        path.write_bytes(bytes(size))
        paths.append(path)
    return paths


def names(found: dict[str, int]) -> set[str]:
    return {Path(path).name for path in found}


def test_a_folder_has_the_files_that_its_index_names_or_those_of_its_first_kind(tmp_path: Path) -> None:
    written(tmp_path, a__safetensors=10, b__safetensors=20, consolidated__safetensors=30, old__bin=7)
    assert names(weight_files(str(tmp_path), {})) == {"a.safetensors", "b.safetensors"}
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"x": "a.safetensors", "y": "a.safetensors"}}))
    assert weight_files(str(tmp_path), {}) == {os.path.realpath(tmp_path / "a.safetensors"): 10}
    index.write_text(json.dumps({"weight_map": {"x": "not-there.safetensors"}}))
    assert weight_files(str(tmp_path), {}) == {}, "what is not whole has no figure"
    index.write_text("{")
    assert weight_files(str(tmp_path), {}) == {}


def test_a_file_has_itself_or_all_its_parts(tmp_path: Path) -> None:
    for name in ("m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "other.gguf"):
        (tmp_path / name).write_bytes(b"12345")
    assert names(weight_files(str(tmp_path / "other.gguf"), {})) == {"other.gguf"}
    parts = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"}
    assert names(weight_files(str(tmp_path / "m-00001-of-00002.gguf"), {})) == parts


def test_a_name_at_hugging_face_has_what_is_in_the_cache_once_that_is_whole(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--org--model"
    blob = written(repository / "blobs", abc=12)[0]
    snapshot = repository / "snapshots" / "rev"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(blob)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("rev")
    assert weight_files("org/model", {"HF_HOME": str(tmp_path)}) == {os.path.realpath(blob): 12}
    assert weight_files("org/other", {"HF_HOME": str(tmp_path)}) == {}
    assert weight_files("../..", {"HF_HOME": str(tmp_path)}) == {}
    written(repository / "blobs", def__incomplete=1)
    assert weight_files("org/model", {"HF_HUB_CACHE": str(tmp_path / "hub")}) == {}


READER = """
import mmap, sys
kept = []
for line in sys.stdin:
    how, path, amount = line.split()
    if how == "map":
        file = open(path, "rb")
        kept.append(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        file.close()
    if how == "touch":
        for place in range(0, int(amount), 4096):
            kept[-1][place]
    if how == "drop":
        kept.pop().close()
    if how == "read":
        kept.append(open(path, "rb", buffering=0))
        kept[-1].read(int(amount))
    print("done", flush=True)
"""


class Reader:
    """A process that reads as it is told."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self.process.pid

    def does(self, how: str, path: Path, amount: int = 0) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{how} {path} {amount}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def end(self) -> None:
        self.process.communicate()


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="by /proc")
def test_what_is_mapped_counts_by_its_pages_and_whole_once_it_was_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights_read, "READS_FROM", 16 * PAGE)
    size = 4096 * PAGE  # the kernel maps up to 2 MB around a page that is touched
    first, second = written(tmp_path, a__safetensors=size, b__safetensors=size)
    read = WeightsRead(weight_files(str(tmp_path), {}))
    reader = Reader()
    try:
        assert read.look([reader.pid]) is None
        reader.does("map", first)
        assert read.look([reader.pid]) is None, "mapped is not read"
        reader.does("touch", first, size // 2)
        half = read.look([reader.pid])
        assert half is not None and size // 2 <= half < size
        reader.does("drop", first)
        assert read.look([reader.pid]) == size
        reader.does("read", second, size // 4)
        assert read.look([reader.pid]) == size + size // 4
        assert read.look([reader.pid, os.getpid()]) == size + size // 4, "who reads nothing is no reader"
    finally:
        reader.end()
    assert read.look([reader.pid]) == 2 * size


def test_the_process_that_is_furthest_behind_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_read, "READS_FROM", PAGE)
    monkeypatch.setattr(weights_read, "_mapped", lambda pid, files: [])
    monkeypatch.setattr(weights_read, "_opened", lambda pid, files: [("/w", {1: 5 * PAGE, 2: 3 * PAGE, 3: 100}[pid])])
    assert WeightsRead({"/w": 10 * PAGE}).look([1, 2, 3]) == 3 * PAGE
