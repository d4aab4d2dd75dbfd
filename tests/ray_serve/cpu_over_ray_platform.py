"""The class that `cpu_over_ray` names, apart from it: vLLM is not to be imported before it asks."""

from vllm.platforms.cpu import CpuPlatform


class CpuOverRay(CpuPlatform):
    """The CPU, in the place of the GPU that a node says it has."""

    ray_device_key = "GPU"

    @classmethod
    def device_control_id_to_physical_device_id(cls, device_id: str) -> int:
        """Return the number that Ray gave."""
        return int(device_id)
