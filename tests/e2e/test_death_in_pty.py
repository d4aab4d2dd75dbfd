"""A server that runs out of memory under load, as the operator sees it: its end, its cause, its return."""

from __future__ import annotations

import re
from collections import Counter

from tests.e2e.conftest import World, choose
from tests.e2e.profiles import write_simulated
from tests.fakes.terminal import Terminal

USERS = re.compile(r"(?:(\d+) of +)?(\d+) users +prompt")
"""Where one number stands, all are there that are wanted."""
DELIVERED = re.compile(r"delivered +(?!0\.0)\d")
STEADY = re.compile(r"unchanged +\d")


def rules(text: str) -> int:
    """Return how many rows the longest vertical line of a chart has that is neither a frame nor an axis."""
    inside = [line[8:] for line in text.splitlines()]
    columns = Counter(at for line in inside for at, char in enumerate(line) if char == "│")
    return max(columns.values(), default=0)


def test_a_death_under_load_is_seen_with_its_cause_and_the_users_come_back_by_choice(world: World) -> None:
    folder = world.root / "config" / "vramp" / "profiles"
    folder.mkdir(parents=True)
    path = write_simulated(folder, "brittle", users="[1, 2]", prompt_tokens="[30, 300]", mode="steady")
    path.write_text(path.read_text().replace("step_base_s = 0.004", "step_base_s = 0.1"))
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        choose(terminal, "brittle")
        terminal.send("\r")
        terminal.wait_for("READY", 60)
        terminal.send("u2\r")
        terminal.wait_until(lambda text: bool(DELIVERED.search(text) and STEADY.search(text)), "delivered users")
        terminal.send(">")
        terminal.wait_for("prompt  300 tok")
        terminal.send("u8\r")  # 8 x 320 tokens into a memory for 1000

        dying = terminal.wait_for("RELAUNCHING")
        assert not DELIVERED.search(dying) and not STEADY.search(dying)
        back = terminal.wait_for("8 users asked before", 60)
        assert "READY" in back and USERS.search(back).groups() == (None, "0")  # type: ignore[union-attr]
        assert not DELIVERED.search(back) and not STEADY.search(back)

        terminal.send("1m")
        terminal.wait_until(lambda text: rules(text) >= 20, "a rule in the chart at the time of death")
        terminal.send("5")
        requests = terminal.wait_for("after: torch.OutOfMemoryError: CUDA out of memory")
        first = next(line for line in requests.splitlines() if "engine-dead" in line)
        assert re.match(r" *\d+ × engine-dead after: torch", first)
        assert "disconnect" not in requests and "refused" not in requests

        terminal.send("<")
        terminal.wait_for("prompt   30 tok")
        terminal.send("U")
        terminal.wait_until(
            lambda text: (found := USERS.search(text)) is not None and found.groups() == (None, "8"), "users back"
        )
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0
