"""Runs Ray Serve's own server of language models, `ray.serve.llm`, until it is told to end: a program of its own.

    PYTHON serve_program.py MODEL --host HOST --port PORT [--replicas N] ... [--on-cluster] [vLLM's arguments]

It runs in the environment that has Ray, Ray Serve and vLLM, and so imports nothing of vramp. Ray is started on this
machine and ends with this process; with --on-cluster the one of RAY_ADDRESS is used, where Serve's actors are detached:
they outlive the program that asked for them. So a caretaker beside them, an actor too, ends them when this program has
gone without having done it, however that was. All that it starts there bears the mark of this job's metadata.
Whatever is no flag of its own is vLLM's, as `vllm serve` takes it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import queue
import secrets
import signal
import sys
import threading
import time
from typing import Any

JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"
APP, NAMESPACE = "llm", "serve"
STORE_BYTES = 256 * 2**20
"""Of Ray's store of objects on this machine, through which no token goes; Ray would take a third of the memory."""
PLACED_S = 30.0
"""So long replicas may wait for room; Serve would wait for ever."""
PERIOD_S = 0.5
ANSWER_S, ASKED_TIMES = 10.0, 6
LAST_S = 60.0
"""A caretaker that Ray does not answer goes all the same."""
ONE_TRY = {"max_constructor_retry_count": 1}
"""A start that has failed is told; Serve would try it again."""
NO_ECHO = {"RAY_LOG_TO_DRIVER": "0"}
"""An engine over several nodes joins the cluster by itself, and would say again what its workers have said here."""


class Caretaker:
    """The actor that ends what a job has left on the cluster, once the job has ended."""

    def __init__(self, program: Any, address: str, job: str, key: str, mark: str) -> None:
        """Begin. `program`: the module that finds and ends what bears a mark.

        Not by a call, which would be lost with a program that is killed before its caretaker stands.
        """
        self._cluster = program.Cluster(address)
        self._program, self._job, self._key, self._mark = program, job, key, mark
        threading.Thread(target=self._keep).start()

    def stands(self) -> None:
        """Return at once: it is there."""

    def _keep(self) -> None:
        try:
            while self._cluster.runs(self._job):
                time.sleep(1.0)  # to be told of it would take another process
            threading.Timer(LAST_S, os._exit, (1,)).start()
            self._program.release(self._cluster, self._key, self._mark, but=caretaker_of(self._mark))
        finally:
            os._exit(0)


def caretaker_of(mark: str) -> str:
    """Return the name of the actor that ends what bears a mark."""
    return f"vramp-caretaker-{mark}"


def options_of(words: list[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return this program's own options, and vLLM's arguments by the names that its engine has for them."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--max-ongoing-requests", type=int)
    parser.add_argument("--max-queued-requests", type=int)
    parser.add_argument("--accelerator-type")
    parser.add_argument("--cpu", action="store_true", help="no GPU is asked for")
    parser.add_argument("--pass", dest="passed", action="append", default=[], help="a variable that replicas get")
    parser.add_argument("--on-cluster", action="store_true")
    options, rest = parser.parse_known_args(words)
    return options, engine_arguments(rest)


def engine_arguments(words: list[str]) -> dict[str, Any]:
    """Return flags as an engine's arguments: a bare one is true, a number a number, JSON what it holds."""
    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("-"):
            raise SystemExit(f"error: unrecognized arguments: {name}")
        key = name.lstrip("-").replace("-", "_")
        if equals:
            found[key] = value_of(value)
        elif rest and not rest[0].startswith("--"):
            found[key] = value_of(rest.pop(0))
        elif key.startswith("no_"):
            found[key[3:]] = False
        else:
            found[key] = True
    return found


def value_of(text: str) -> Any:
    """Return what JSON makes of a text, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def config_of(options: argparse.Namespace, engine: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of `ray.serve.llm` for one model."""
    deployment = {
        "num_replicas": options.replicas,
        "max_ongoing_requests": options.max_ongoing_requests,
        "max_queued_requests": options.max_queued_requests,
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": 5.0,
        **ONE_TRY,
    }
    names = engine.pop("served_model_name", None) or options.model
    passed = {name: os.environ[name] for name in (*options.passed, JOB) if name in os.environ}
    config = {
        "model_loading_config": {"model_id": str(names), "model_source": options.model},
        "deployment_config": {name: value for name, value in deployment.items() if value is not None},
        "engine_kwargs": engine,
        "runtime_env": {"env_vars": {**NO_ECHO, **passed}},
    }
    if options.cpu:
        config["accelerator_config"] = {"kind": "cpu"}
    if options.accelerator_type:
        config["accelerator_type"] = options.accelerator_type
    return config


def start_ray(ray: Any, options: argparse.Namespace, engine: dict[str, Any]) -> None:
    """Start Ray on this machine, to end with this process."""
    os.environ.pop("RAY_ADDRESS", None)
    # Else Ray writes one into the home folder.
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(16))
    devices = int(engine.get("tensor_parallel_size", 1)) * int(engine.get("pipeline_parallel_size", 1))
    ray.init(
        address="local",
        namespace=NAMESPACE,
        include_dashboard=False,
        # What Ray counts as a CPU is no core: so many actors may be here at once.
        num_cpus=max(os.cpu_count() or 1, options.replicas * (devices + 1)),
        object_store_memory=STORE_BYTES,
        _node_ip_address="127.0.0.1",
    )


def join_cluster(ray: Any, program: Any) -> None:
    """Join the cluster of RAY_ADDRESS, as the only one who serves on it, with a caretaker on its head."""
    ray.init(namespace=NAMESPACE)
    here = ray.get_runtime_context()
    cluster = program.Cluster(here.gcs_address)
    if program.serves(cluster.actors_of()):
        raise SystemExit("error: the Ray cluster has a Ray Serve already, of which it can have one")
    head, ips = cluster.head(), {node["node"]: node["ip"] for node in cluster.nodes()}
    if ips.get(head) != ips.get(here.get_node_id()):
        raise SystemExit(f"error: Ray Serve answers on the head of its cluster, {ips.get(head)}, not on this machine")
    cloudpickle: Any = importlib.import_module("ray.cloudpickle")
    strategies: Any = importlib.import_module("ray.util.scheduling_strategies")
    cloudpickle.register_pickle_by_value(program)
    [(key, mark)] = json.loads(os.environ[JOB])["metadata"].items()
    caretaker = ray.remote(Caretaker).options(
        name=caretaker_of(mark),
        namespace=NAMESPACE,
        lifetime="detached",
        num_cpus=0,
        scheduling_strategy=strategies.NodeAffinitySchedulingStrategy(head, soft=False),
    )
    ray.get(caretaker.remote(program, here.gcs_address, here.get_job_id(), key, mark).stands.remote())


def deploy(serve: Any, llm: Any, config: dict[str, Any], http: dict[str, Any]) -> None:
    """Start Serve and the model's application."""
    app = llm.build_openai_app(
        {
            "llm_configs": [config],
            # It has room wherever the model has.
            "ingress_deployment_config": {"ray_actor_options": {"num_cpus": 0}, **ONE_TRY},
        }
    )
    quiet = {"enable_access_log": False}
    serve.start(proxy_location="HeadOnly", http_options=http, logging_config=quiet)
    target = serve.RunTarget(app, name=APP, route_prefix="/", logging_config=quiet)
    serve.run_many([target], wait_for_applications_running=False)


def wait_until_it_runs(ray: Any, serve: Any, program: Any) -> None:
    """Return once the application runs."""
    here = ray.get_runtime_context()
    cluster, by = program.Cluster(here.gcs_address), time.monotonic() + PLACED_S
    while (found := status_of(serve).applications.get(APP)) is None or found.status != "RUNNING":
        if found is not None and found.status == "DEPLOY_FAILED":
            raise SystemExit(f"error: the application was not deployed: {found.message}")
        if not (waiting := cluster.waiting(here.get_job_id())):
            by = time.monotonic() + PLACED_S
        elif time.monotonic() > by:
            asked, free = in_words(waiting[0]), in_words(cluster.free())
            raise SystemExit(f"error: no node has room for a replica within {PLACED_S:.0f} s: {asked}; free are {free}")
        time.sleep(PERIOD_S)


def status_of(serve: Any) -> Any:
    """Return what Serve says of itself. A question whose answer is lost, as on a busy machine, would be waited for for
    ever: it is asked again."""
    for _ in range(ASKED_TIMES):
        told: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=lambda told=told: told.put(serve.status()), daemon=True).start()
        with contextlib.suppress(queue.Empty):
            return told.get(timeout=ANSWER_S)
    raise SystemExit("error: the controller of Ray Serve does not answer")


def in_words(resources: dict[str, float]) -> str:
    """Return e.g. "2 CPU, 1 GPU"."""
    return ", ".join(f"{resources.get(kind, 0.0):g} {kind}" for kind in ("CPU", "GPU"))


def main() -> None:
    """Serve until told to end."""
    program: Any = importlib.import_module("ray_program")  # which takes this folder out of sys.path
    options, engine = options_of(sys.argv[1:])
    ray: Any = importlib.import_module("ray")
    serve: Any = importlib.import_module("ray.serve")
    llm: Any = importlib.import_module("ray.serve.llm")
    if options.on_cluster:
        join_cluster(ray, program)
    else:
        start_ray(ray, options, engine)
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: sys.exit(0))
        http = {"host": options.host or "0.0.0.0", "port": options.port}  # noqa: S104 - as the profile says
        deploy(serve, llm, config_of(options, engine), http)
        wait_until_it_runs(ray, serve, program)
        print(f"Serving on port {options.port}", flush=True)  # noqa: T201
        threading.Event().wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
