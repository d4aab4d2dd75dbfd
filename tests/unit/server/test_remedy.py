"""What of a diagnosis can be done at once: by which log lines, with which values, and when nothing can."""

from __future__ import annotations

import pytest

from tui.engines.base import Change, Diagnosis, FailureClass
from tui.engines.catalogue import launch_for
from tui.profile.overrides import given_argument, with_arguments
from tui.profile.schema import LoadTable, Profile, ServerTable
from tui.server.remedy import remedy_of

CORE = "(EngineCore pid=7) ERROR 11-20 20:42:18 [core.py:1510] "
TOO_LONG = (
    CORE + "ValueError: To serve at least one request with the models's max seq len (32768), (4.00 GiB KV cache is "
    "needed, which is larger than the available KV cache memory (1.20 GiB). Based on the available memory, the "
    "estimated maximum model length is 9824."
)
OTHERS = (
    CORE + "ValueError: Free memory on device cuda:0 (20.00/79.00 GiB) on startup is less than desired GPU memory "
    "utilization (0.9, 71.1 GiB)."
)
NO_BLOCKS = CORE + "ValueError: No available memory for the cache blocks."
REMOTE_CODE = CORE + "ValueError: Loading it contains custom code which must be executed: trust_remote_code=True"


def server(extra_args: list[str] | None = None, **args: bool | int | float | str) -> ServerTable:
    named = {flag.replace("_", "-"): value for flag, value in args.items()}
    return ServerTable(model="m", args=named, extra_args=extra_args or [])


def remedied(line: str, table: ServerTable) -> dict[str, str]:
    found = launch_for("vllm").diagnose([line], started=False, exit_code=1)
    assert found is not None
    return remedy_of(found, table)


@pytest.mark.parametrize(
    ("line", "table", "remedy"),
    [
        (TOO_LONG, server(), {"max-model-len": "9824"}),
        (TOO_LONG, server(max_model_len=9824), {}),
        (OTHERS, server(), {"gpu-memory-utilization": "0.25"}),
        (NO_BLOCKS, server(), {"gpu-memory-utilization": "0.95"}),
        (NO_BLOCKS, server(gpu_memory_utilization=0.8), {"gpu-memory-utilization": "0.85"}),
        (NO_BLOCKS, server(["--gpu-memory-utilization=0.5"]), {"gpu-memory-utilization": "0.55"}),
        (NO_BLOCKS, server(gpu_memory_utilization=0.95), {}),
        (REMOTE_CODE, server(), {}),
    ],
)
def test_what_a_log_advises_is_an_argument_where_it_can_be_one(
    line: str, table: ServerTable, remedy: dict[str, str]
) -> None:
    assert remedied(line, table) == remedy


LLAMA_KV = (
    "0.00.473.051 E llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache"
)
LLAMA_COMPUTE = "0.0 E llama_init_from_model: failed to initialize the context: failed to allocate compute pp buffers"
TGI_WARM_UP = (
    "ERROR warmup: text_generation_router: Server error: Not enough memory to handle 16384 prefill tokens. You need"
)
TGI_PORT = "OSError: [Errno 98] Address already in use"


@pytest.mark.parametrize(
    ("engine", "line", "table", "remedy"),
    [
        ("llama-cpp", LLAMA_KV, server(ctx_size=131072), {"ctx-size": "65536"}),
        ("llama-cpp", LLAMA_KV, server(), {"ctx-size": "8192"}),
        ("llama-cpp", LLAMA_KV, server(ctx_size=0), {"ctx-size": "8192"}),
        ("llama-cpp", LLAMA_KV, server(ctx_size=300), {}),
        ("llama-cpp", LLAMA_COMPUTE, server(), {"ubatch-size": "256"}),
        ("llama-cpp", LLAMA_COMPUTE, server(ubatch_size=20), {}),
        ("llama-cpp", LLAMA_COMPUTE, server(ubatch_size="many"), {}),
        ("tgi", TGI_WARM_UP, server(), {"max-batch-prefill-tokens": "8192"}),
        ("tgi", TGI_WARM_UP, server(max_batch_prefill_tokens=4096), {"max-batch-prefill-tokens": "2048"}),
        ("tgi", TGI_PORT, server(), {"master-port": "29501"}),
    ],
)
def test_other_systems_have_remedies_too(engine: str, line: str, table: ServerTable, remedy: dict[str, str]) -> None:
    found = launch_for(engine).diagnose([line], started=False, exit_code=1)
    assert found is not None
    assert remedy_of(found, table) == remedy


@pytest.mark.parametrize("value", ["?", "0", "", "$(rm -rf)", "--help", "a b", "1" * 60])
def test_a_log_line_brings_nothing_but_a_plain_value_into_a_command(value: str) -> None:
    told = Diagnosis(FailureClass.OOM_KV, "l", "a", remedy=(Change("max-model-len", value),))
    assert remedy_of(told, server()) == {}
    assert remedy_of(told, None) == {}


def test_an_argument_takes_the_place_of_the_profiles_wherever_that_stands() -> None:
    table = server(["--max-model-len", "32768", "-v", "--swap-space=4"], dtype="half", max_model_len=1)
    profile = Profile(name="p", engine="vllm", server=table, load=LoadTable())
    changed = with_arguments(profile, {"max-model-len": "2048", "gpu-memory-utilization": "0.85"}).server
    assert changed is not None
    assert changed.args == {"dtype": "half", "max-model-len": 2048, "gpu-memory-utilization": 0.85}
    assert changed.extra_args == ["-v", "--swap-space=4"]
    assert given_argument(changed, "max-model-len") == "2048"
    assert given_argument(table, "max-model-len") == "32768"
    assert given_argument(table, "swap-space") == "4"
    assert given_argument(table, "seed") is None
