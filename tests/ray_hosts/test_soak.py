"""Users ask for a long time from the nodes of a cluster, of which one is lost and comes back again and again."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter

import psutil
import pytest

from tests.fakes.paced_server import paced_server
from tests.ray_hosts.conftest import LocalCluster
from tests.ray_hosts.test_ray_hosts import asking
from tui.core.outcome import Outcome

SOAK_S = float(os.environ.get("VRAMP_TEST_SOAK_S", "0"))
USERS = 20
ROUND_S = 60.0


@pytest.mark.skipif(not SOAK_S, reason="VRAMP_TEST_SOAK_S says for how many seconds")
@pytest.mark.timeout(SOAK_S + 900)
async def test_nodes_lost_and_back_for_a_long_time(cluster: LocalCluster) -> None:
    async with paced_server(gap_s=0.1) as server, asking(cluster, server) as (held, _):
        await held.pool.set_users(USERS)
        ids: Counter[int] = Counter()
        ended: Counter[Outcome] = Counter()
        memory: list[int] = []
        until = time.monotonic() + SOAK_S
        rounds = losses = told_lost = 0
        while time.monotonic() < until:
            for word in ("remove", "add"):
                await asyncio.to_thread(cluster.program.do, word)
                await asyncio.sleep(ROUND_S / 2)
            async with asyncio.timeout(120):
                while [host.users_active for host in held.progress[-1].hosts] != [USERS / 2, USERS / 2]:
                    await held.news()
            rounds += 1
            for record in held.records:
                ids[record.request_id] += 1
                ended[record.outcome] += 1
            held.records.clear()
            held.progress[:-1] = []
            server.requests.clear()
            memory.append(psutil.Process().memory_info().rss)
            errors = [round((host.clock_error_s or 0) * 1e3, 2) for host in held.progress[-1].hosts]
            told = f"round {rounds}: {dict(ended)}, {memory[-1] / 1e6:.0f} MB, clocks ±{errors} ms"
            texts = [event.text for event in held.events]
            losses += sum("is lost: " in text for text in texts)
            told_lost += sum(int(each) for each in re.findall(r"(\d+) requests under way are lost", "\n".join(texts)))
            told = "; ".join([told, *(text for text in texts if "is lost: " in text)])
            held.events.clear()
            if path := os.environ.get("VRAMP_TEST_SOAK_LOG"):
                with open(path, "a") as log:  # noqa: PTH123
                    log.write(f"{told}\n")
        assert max(ids.values()) == 1 and len(ids) == max(ids)  # none lost, none twice
        assert set(ended) <= {Outcome.OK, Outcome.CLIENT_LIMIT}
        assert ended[Outcome.CLIENT_LIMIT] == told_lost
        # A node was taken away so often; a busy machine may hold up another one for five seconds now and then.
        assert rounds <= losses <= rounds * 1.2
        assert memory[-1] < memory[len(memory) // 3] * 1.2 + 5e6
        await held.pool.cut()
