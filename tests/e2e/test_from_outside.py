"""A session that runs, steered, told in lines and scraped by processes of their own."""

from __future__ import annotations

import json

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.conftest import World
from tests.e2e.profiles import write_simulated


def test_a_run_is_watched_steered_and_ended_from_outside(world: World) -> None:
    sizes = list(range(30, 90))  # more than are measured before it is told to end
    profile = write_simulated(world.root, users="[1, 2]", prompt_tokens=str(sizes), mode="steady")
    running = world.start("run", str(profile), "--json")
    assert running.stderr is not None
    assert any("server ready" in line for line in running.stderr)
    plain = world.start("attach", "--plain", "--every", "1")
    scraped = world.start("metrics", "--port", "0")
    assert plain.stdout is not None and scraped.stdout is not None
    address = scraped.stdout.readline().strip()
    lines = []
    for line in plain.stdout:
        lines.append(line)
        if line.startswith("cell "):
            break
    assert lines, plain.communicate()[1]
    assert "SIMULATED" in lines[-1] and "to resolve" in lines[-1]
    families = {family.name: family for family in text_string_to_metric_families(httpx.get(address).text)}
    assert {sample.labels["figures"] for sample in families["vramp_users"].samples} == {"SIMULATED"}
    status = world.run("ctl", "status", "--json")
    assert json.loads(status.stdout)["sweep"]["cells_total"] == 120
    stopped = world.run("ctl", "stop")
    assert stopped.returncode == 0, stopped.stderr
    rest, _ = plain.communicate(timeout=30)
    assert plain.returncode == 0 and "the session is over: " in rest and "stopped the session" in rest
    scraped.communicate(timeout=30)
    assert scraped.returncode == 0
    table, _ = running.communicate(timeout=60)
    assert json.loads(table)["cells"]
