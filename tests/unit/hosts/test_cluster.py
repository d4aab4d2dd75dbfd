"""A cluster that cannot be reached, as the bench's side tells it; tests/ray_hosts has one that can."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tui.hosts.cluster import Cluster
from tui.profile.load_hosts import RayPlace


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed here")
async def test_without_ray_it_is_told_what_to_install() -> None:
    way = Cluster(RayPlace("auto"))
    try:
        with pytest.raises(OSError, match=r"^the Ray cluster needs Ray: pip install 'vramp\[ray\]' \(Module") as told:
            await way.open()
        assert "\n" not in str(told.value) and "Traceback" not in str(told.value)
    finally:
        await way.close()


async def test_a_bridge_that_does_not_start_is_told() -> None:
    way = Cluster(RayPlace("ray://head:10001"), python="/no/such/python")
    with pytest.raises(OSError, match="No such file"):
        await way.open()
    await way.close()
