"""A real vLLM behind Ray Serve: `python vllm_app.py PORT MODEL`, by the Python of an environment that has both.

It says READY once it serves, and ends with its input.
"""

import signal
import sys

import ray
from ray import serve
from ray.serve.llm import LLMConfig, build_openai_app

MAX_MODEL_LEN = 512
ONGOING = 4
STORE_BYTES = 100 * 2**20


def main(port: int, model: str) -> None:
    """Serve until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # as ignored, their children would inherit it
    config = LLMConfig(
        model_loading_config={"model_id": "tiny", "model_source": model},
        accelerator_config={"kind": "cpu"},
        deployment_config={
            "num_replicas": 1,
            "max_ongoing_requests": ONGOING,
            "max_queued_requests": ONGOING,
            "ray_actor_options": {"num_cpus": 1},
        },
        engine_kwargs={"max_model_len": MAX_MODEL_LEN, "enforce_eager": True, "kv_cache_memory_bytes": 64 * 2**20},
        runtime_env={"env_vars": {"HF_HUB_OFFLINE": "1", "VLLM_TARGET_DEVICE": "cpu", "VLLM_HOST_IP": "127.0.0.1"}},
    )
    # Before the app is built: that would start a cluster of its own.
    ray.init(num_cpus=6, include_dashboard=False, _node_ip_address="127.0.0.1", object_store_memory=STORE_BYTES)
    app = build_openai_app({"llm_configs": [config]})
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    serve.run(app, name="llm", route_prefix="/", blocking=False)
    print("READY 1", flush=True)  # noqa: T201
    sys.stdin.read()
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
