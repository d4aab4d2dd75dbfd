"""vLLM's CPU, which Ray may hand out as if it were a GPU: a platform plugin of vLLM's, for machines without GPUs.

vLLM's own CPU platform names no resource of Ray's, and so refuses `--distributed-executor-backend ray`. Nothing else of
vLLM differs: its engine, its workers on their nodes and the gloo between them are the real ones.
https://docs.vllm.ai/en/latest/design/plugin_system.html
"""

import os


def register() -> str | None:
    """Return the platform's class, where a test asks for it."""
    return f"{__name__}_platform.CpuOverRay" if os.environ.get("VRAMP_TEST_CPU_OVER_RAY") else None
