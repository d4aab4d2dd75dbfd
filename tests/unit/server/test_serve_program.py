"""What the program that starts Ray Serve makes of its arguments; it runs with real ones in tests/ray_serve."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tui.server import ray_program, serve_program


def config_of(*words: str) -> dict[str, Any]:
    return serve_program.config_of(*serve_program.options_of(["org/m", *words]))


def test_what_is_its_own_and_what_is_vllm_s_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", "/models")
    monkeypatch.delenv("NOT_SET", raising=False)
    config = config_of(
        *("--port", "8123", "--replicas", "2", "--max-ongoing-requests", "4", "--pass", "HF_HOME", "--pass", "NOT_SET"),
        *("--tensor-parallel-size", "2", "--enforce-eager", "--dtype=half", "--hf-overrides", '{"a": [1]}'),
        *("--gpu-memory-utilization", "0.9", "--no-enable-prefix-caching", "--revision", '"17"', "--seed", "-1"),
    )
    assert config["engine_kwargs"] == {
        "tensor_parallel_size": 2,
        "enforce_eager": True,
        "dtype": "half",
        "hf_overrides": {"a": [1]},
        "gpu_memory_utilization": 0.9,
        "enable_prefix_caching": False,
        "revision": "17",
        "seed": -1,
    }
    deployment = config["deployment_config"]
    assert (deployment["num_replicas"], deployment["max_ongoing_requests"]) == (2, 4)
    assert deployment["max_constructor_retry_count"] == 1 and "max_queued_requests" not in deployment
    assert config["runtime_env"] == {"env_vars": {**serve_program.NO_ECHO, "HF_HOME": "/models"}}
    assert config["model_loading_config"] == {"model_id": "org/m", "model_source": "org/m"}
    assert "accelerator_config" not in config and "accelerator_type" not in config


def test_a_model_may_have_another_name_and_need_no_gpu() -> None:
    config = config_of("--served-model-name", "mine", "--cpu", "--accelerator-type", "L4")
    assert config["model_loading_config"] == {"model_id": "mine", "model_source": "org/m"}
    assert config["accelerator_config"] == {"kind": "cpu"} and config["accelerator_type"] == "L4"
    assert config["engine_kwargs"] == {}


def test_the_mark_goes_to_the_replicas_whose_engines_are_jobs_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(serve_program.JOB, '{"metadata": {"vramp-launch": "m"}}')
    env = config_of()["runtime_env"]["env_vars"]
    assert env == {**serve_program.NO_ECHO, serve_program.JOB: '{"metadata": {"vramp-launch": "m"}}'}


def test_a_word_that_belongs_to_no_flag_is_refused() -> None:
    with pytest.raises(SystemExit, match="unrecognized arguments: stray"):
        serve_program.options_of(["org/m", "--enforce-eager=true", "stray"])


class Serve:
    """One that loses its first answers."""

    def __init__(self, lost: int) -> None:
        self._lost = lost

    def status(self) -> str:
        self._lost -= 1
        if self._lost >= 0:
            threading.Event().wait(5)
        return "told"


def test_an_answer_that_is_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_program, "ANSWER_S", 0.05)
    assert serve_program.status_of(Serve(lost=2)) == "told"
    with pytest.raises(SystemExit, match="does not answer"):
        serve_program.status_of(Serve(lost=100))


class Actor:
    """Of a cluster's store."""

    def __init__(self, name: str, namespace: str = "serve") -> None:
        self.name, self.ray_namespace = name, namespace


class Store:
    """A cluster on which actors end when they are killed."""

    def __init__(self, *actors: Actor) -> None:
        self.actors = list(actors)
        self.killed: list[str] = []
        self.busy: list[str] = []
        self.forgotten = 0

    def jobs_of(self, key: str, mark: str) -> dict[bytes, object]:
        return {b"1": object()}

    def groups_of(self, jobs: object) -> list[dict[str, object]]:
        return []

    def actors_of(self, jobs: object) -> list[Actor]:
        return list(self.actors)

    def forget_serve(self) -> None:
        self.forgotten += 1


class Ray:
    """What `release` asks of Ray."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get_actor(self, name: str, namespace: str) -> Actor:
        if name in self._store.busy:
            self._store.busy.remove(name)
            raise RuntimeError("Ray is at it")
        return next(actor for actor in self._store.actors if (actor.name, actor.ray_namespace) == (name, namespace))

    def kill(self, actor: Actor, *, no_restart: bool) -> None:
        assert no_restart
        self._store.killed.append(actor.name)
        self._store.actors.remove(actor)


def released(monkeypatch: pytest.MonkeyPatch, *actors: Actor, but: str = "", busy: str = "") -> Store:
    store = Store(*actors)
    store.busy = [busy] if busy else []
    monkeypatch.setattr(ray_program, "importlib", SimpleNamespace(import_module=lambda name: Ray(store)))
    monkeypatch.setattr(ray_program, "PAUSE_S", 0.0)
    monkeypatch.setattr(ray_program, "RELEASE_S", 0.2)
    ray_program.release(store, "key", "mark", but=but)  # type: ignore[arg-type]
    return store


def test_the_controller_ends_first_and_what_it_wrote_down_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    store = released(
        monkeypatch,
        Actor("replica"),
        Actor("caretaker"),
        Actor(ray_program.CONTROLLER),
        Actor("proxy"),
        but="caretaker",
    )
    # Any other that it finds dead it would start anew.
    assert store.killed == [ray_program.CONTROLLER, "replica", "proxy"]
    assert [actor.name for actor in store.actors] == ["caretaker"] and store.forgotten == 1


def test_workers_of_another_server_are_no_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    store = released(monkeypatch, Actor("vllm_Worker_0", ""))
    assert store.killed == ["vllm_Worker_0"] and store.forgotten == 0


def test_an_actor_without_a_name_ends_with_its_owner_and_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    store = released(monkeypatch, Actor(""))
    assert store.killed == [] and len(store.actors) == 1


def test_what_cannot_be_ended_at_once_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = released(monkeypatch, Actor("replica"), Actor("proxy"), busy="replica")
    assert store.killed == ["proxy", "replica"] and store.forgotten == 1
