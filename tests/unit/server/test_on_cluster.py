"""What a launch has on other machines: asked of a cluster that is made up, by a real program."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.ray import actor, fake_python, node, placed
from tui.engines.base import FailureClass, LaunchPlan, RayJob
from tui.server import on_cluster as module
from tui.server.launch_failure import LaunchFailed
from tui.server.on_cluster import OnCluster
from tui.server.ray_cluster import ClusterUnknown, RayCluster, python_of

JOB = RayJob("auto", "abcd")
PLAN = LaunchPlan(("vllm",), {"RAY_ADDRESS": "auto"}, "http://127.0.0.1:1", ray=JOB)
NODES = [node("a"), node("b")]
FULL = {"nodes": [node("a", free=0), node("b", free=2)], "jobs": 1, "address": "a:6379"}


class Told:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, text: str, level: str) -> None:
        self.lines.append((level, text))


def on(python: str) -> tuple[OnCluster, Told]:
    told = Told()
    return OnCluster([python], PLAN, JOB, told), told


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines()


async def test_room_enough_is_told(tmp_path: Path) -> None:
    cluster, told = on(fake_python(tmp_path, {"nodes": NODES, "address": "a:6379"}))
    await cluster.expect_room(8)
    assert told.lines == [("info", "the Ray cluster at a:6379 has 8 free of 8 on 2 nodes")]


async def test_too_little_room_is_no_launch(tmp_path: Path) -> None:
    cluster, _ = on(fake_python(tmp_path, FULL))
    with pytest.raises(LaunchFailed) as failed:
        await cluster.expect_room(4)
    report = failed.value.report
    assert report.failure == FailureClass.TOO_MANY_GPUS
    assert report.summary == "4 GPUs are asked for and the cluster has 2 free of 8 on 2 nodes"


async def test_a_cluster_has_one_ray_serve(tmp_path: Path) -> None:
    state = {"nodes": NODES, "address": "a:6379", "serves": True}
    cluster, _ = on(fake_python(tmp_path / "other", state))
    await cluster.expect_room(8)  # vLLM by itself is no matter
    serving = OnCluster([fake_python(tmp_path / "serve", state)], PLAN, RayJob("auto", "abcd", serves=True), Told())
    with pytest.raises(LaunchFailed) as failed:
        await serving.expect_room(8)
    report = failed.value.report
    assert report.failure == FailureClass.RAY and "has a Ray Serve already" in report.summary
    assert "Attach to it" in report.advice


async def test_what_takes_no_gpu_is_not_said_to_hold_none(tmp_path: Path) -> None:
    cluster, told = on(fake_python(tmp_path, {"nodes": NODES, "address": "a:6379"}))
    await cluster.expect_room(0)
    await cluster.look()
    assert [text for level, text in told.lines if level == "warning"] == []


async def test_a_program_that_is_still_connected_is_something_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RELEASE_TIMEOUT_S", 0.0)
    cluster, told = on(fake_python(tmp_path, {"nodes": NODES, "programs": [{"ip": "b", "pid": 7}]}))
    await cluster.ended()
    assert told.lines[-1] == ("error", "could not be ended: a program of it on b (pid 7)")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"error": "ConnectionError: no cluster\x1b[1m here"}, "ConnectionError: no cluster here"),
        ("not JSON", "gave no answer"),
        ('{"nodes": 3}', "gave no answer"),
    ],
)
async def test_a_cluster_that_cannot_be_asked_is_no_launch(tmp_path: Path, answer: object, words: str) -> None:
    assert isinstance(answer, str | dict)
    cluster, _ = on(fake_python(tmp_path, answer))
    with pytest.raises(LaunchFailed) as failed:
        await cluster.expect_room(4)
    assert failed.value.report.failure == FailureClass.RAY and words in failed.value.report.line


async def test_on_which_nodes_it_runs_is_told(tmp_path: Path) -> None:
    state = {"nodes": NODES, "jobs": 1, "groups": placed(a=4, b=4), "actors": [actor("a", 0)]}
    cluster, told = on(fake_python(tmp_path, state))
    await cluster.look()
    assert cluster.nodes == {"a": 4, "b": 4}
    assert cluster.workers == {"a": [100]}
    assert told.lines == [("info", "it holds 4 GPUs of a, 4 of b")]
    assert asked(tmp_path) == ["state auto vramp-launch abcd"]


async def test_workers_are_looked_for_again_but_not_too_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"nodes": NODES, "jobs": 1, "groups": placed(a=1, b=1)}
    before, after = [actor("a", 0), actor("b", 1)], [actor("a", 0), actor("b", 7), actor("b", 8)]
    python = fake_python(tmp_path, {**state, "actors": before}, {"error": "busy"}, {**state, "actors": after}, {})
    cluster, told = on(python)
    await cluster.look()
    assert cluster.workers == {"a": [100], "b": [101]}

    async def look_again() -> None:
        cluster.look_again()
        async with asyncio.timeout(30):
            while cluster._looking is not None and not cluster._looking.done():
                await asyncio.sleep(0.01)

    await look_again()
    assert cluster.workers == {"a": [100], "b": [101]}
    await look_again()
    assert len(asked(tmp_path)) == 2
    monkeypatch.setattr(module, "LOOK_AGAIN_S", 0.0)
    await look_again()
    assert cluster.workers == {"a": [100], "b": [107, 108]}
    assert len(told.lines) == 1
    cluster.look_again()
    await cluster.ended()
    assert told.lines[-1] == ("info", "nothing of it is left on the cluster's 0 nodes")


async def test_that_nothing_is_left_is_waited_for_and_told(tmp_path: Path) -> None:
    still = {"nodes": NODES, "jobs": 1, "groups": placed(a=1), "actors": [actor("a", 0)]}
    cluster, told = on(fake_python(tmp_path, still, still, {"nodes": NODES, "jobs": 1}))
    await cluster.ended()
    assert told.lines == [("info", "nothing of it is left on the cluster's 2 nodes")]
    assert len(asked(tmp_path)) == 3


async def test_what_ray_leaves_is_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELEASE_TIMEOUT_S", 0.0)
    still = {"nodes": NODES, "jobs": 1, "groups": placed(b=2), "actors": [actor("b", 3)]}
    cluster, told = on(fake_python(tmp_path, still, {"nodes": NODES}, {"nodes": NODES}))
    await cluster.ended()
    left = "RayWorkerProc on b (pid 103), a placement group with 2 GPUs of b"
    assert told.lines == [
        ("warning", f"Ray is told to end what is left: {left}"),
        ("info", "nothing of it is left on the cluster's 2 nodes"),
    ]
    assert asked(tmp_path)[1].startswith("release ")


async def test_what_stays_in_spite_of_all_is_told_as_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELEASE_TIMEOUT_S", 0.0)
    cluster, told = on(fake_python(tmp_path, {"nodes": [node("a")], "actors": [actor("a", 1)]}))
    await cluster.ended()
    assert told.lines[-1] == ("error", "could not be ended: RayWorkerProc on a (pid 101)")


async def test_a_cluster_that_is_gone_too_proves_nothing(tmp_path: Path) -> None:
    cluster, told = on(fake_python(tmp_path, {"error": "no cluster"}))
    await cluster.ended()
    assert told.lines == [("warning", "whether anything of it is left on the cluster is not known: no cluster")]


def test_two_nodes_of_one_address_are_told_apart(tmp_path: Path) -> None:
    nodes = [{**node("a"), "ip": "127.0.0.1"}, {**node("b"), "ip": "127.0.0.1"}]
    state = RayCluster([fake_python(tmp_path, {"nodes": nodes, "groups": placed(a=1, b=2)})], "auto").state("m")
    assert state.taken == {"127.0.0.1 (aaaaaa)": 1, "127.0.0.1 (bbbbbb)": 2}


def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.server.ray_cluster.ASK_TIMEOUT_S", 0.2)
    program = tmp_path / "python3"
    program.write_text("#!/bin/sh\nsleep 60 & wait\n")
    program.chmod(0o755)
    with pytest.raises(ClusterUnknown, match="did not answer within"):
        RayCluster([str(program)], "auto").state()


def test_the_python_of_a_command_is_what_runs_it(tmp_path: Path) -> None:
    python = fake_python(tmp_path / "env", {})

    def script(name: str, head: str) -> str:
        path = tmp_path / name
        path.write_text(head)
        path.chmod(0o755)
        return str(path)

    assert python_of([python, "x.py"]) == python
    assert python_of([script("vllm", f"#!{python}\nimport sys\n"), "serve"]) == python
    long = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\nimport sys\n"
    assert python_of([script("long", long)]) == python
    assert python_of([script("shell", "#!/bin/sh\nexec true\n")]) is None
    assert python_of([script("gone", "#!/nowhere/python3\n")]) is None
    assert python_of(["/nowhere/vllm"]) is None and python_of([]) is None
