"""Keys as a terminal really sends them, and what is no key at all."""

from __future__ import annotations

import re

from tests.e2e.conftest import World, choose
from tests.e2e.test_lost_terminal import GIVEN_BACK, TAKEN, sent
from tests.fakes.terminal import Terminal


def test_bytes_that_are_no_keys_are_ignored_and_the_next_key_works_at_once(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        for byte in range(0x80, 0x100):
            terminal.send(bytes([byte]))
        for byte in range(0x20, 0x100):
            terminal.send(b"\x1b[M" + bytes([byte]) * 3)
        terminal.send(b"\xff\xfe\x1b[M\xff\xff\xff\x1b[99999999999;1;99999999999u")
        terminal.send("?")
        terminal.wait_for("time to first token", timeout_s=4.0)
        assert "Traceback" not in terminal.raw.decode(errors="replace")
        terminal.send("q")
        terminal.wait_gone("time to first token")
        terminal.send("q")
        assert terminal.wait_exit() == 0
    assert b"Traceback" not in terminal.raw


def test_digits_never_set_users_and_a_number_that_may_not_be_meant_is_asked_about(world: World) -> None:
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        for key in "426":
            terminal.send(key)
        terminal.send("\r999999\r")
        terminal.send("u999\r")
        terminal.wait_for("have 999 users")
        terminal.send("\x1b")
        terminal.wait_gone("have 999 users")
        assert re.search(r" {7}0 users +prompt", terminal.text)
        terminal.send("u3\r")
        terminal.wait_until(lambda text: re.search(r" {7}3 users +prompt", text) is not None, "three users")
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0


def test_a_prompt_size_that_is_too_long_is_said_and_the_users_stay(world: World) -> None:
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        terminal.send("++")
        terminal.wait_until(lambda text: re.search(r" {7}2 users +prompt", text) is not None, "two users")
        for size in ("256", "1024", "2048"):
            terminal.send(">")
            terminal.wait_for(f"prompt {size:>4} tok")
        terminal.send(">")
        terminal.wait_for("too long")
        terminal.wait_for("prompt 2048 tok")
        assert re.search(r" {7}2 users +prompt", terminal.text)
        terminal.send("4\x1b[C\r")  # the first arrow picks where the run stands, enter opens it
        terminal.wait_for("2 users × 2,048 prompt tokens")
        terminal.send("\x1b")
        terminal.wait_for("READY")
        terminal.send("q")
        terminal.wait_for("stop all and leave")
        terminal.send("s")
        assert terminal.wait_exit(60) == 0


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_takes_it_again(world: World) -> None:
    """What started the app stops with it: a `make` that goes on waiting would leave the terminal blank."""
    job = 'sh -c \'"$@"; echo left by $?\' sh "$@"; for i in 1 2; do echo shell has it $i; read line; fg; done'
    with Terminal(["/bin/bash", "-m", "-c", job, "bash", *world.command()], env=world.env) as terminal:
        for again in (1, 2):
            terminal.wait_for("simulated")
            terminal.send("\x1a")
            terminal.wait_for(f"shell has it {again}")
            assert terminal.raw.count(GIVEN_BACK) == again
            terminal.send("\n")
            terminal.wait_until(sent(TAKEN, terminal, again + 1), "the screen again")
        terminal.wait_for("simulated")
        terminal.send("q")
        terminal.wait_for("left by 0")
        assert terminal.wait_exit() == 0


def test_ctrl_z_does_nothing_where_no_shell_could_bring_the_app_back(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        terminal.send("\x1a")
        terminal.wait_for("there is no shell below")
        terminal.send("q")
        assert terminal.wait_exit() == 0


def test_ctrl_c_asks_as_q_does_and_again_detaches(world: World) -> None:
    with Terminal(world.command("demo", "--no-ramp"), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("READY")
        terminal.send("u\x03")
        terminal.wait_for("stop all and leave")
        terminal.send("\x03")
        assert terminal.wait_exit(60) == 0
        assert "come back by: vramp attach" in terminal.text
    for bench in world.running("tui.bench"):
        bench.terminate()


def test_ctrl_c_on_the_list_leaves_and_on_a_form_says_never_mind(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        terminal.send("n")
        terminal.wait_for("new profile")
        terminal.send("\x03")
        terminal.wait_gone("new profile")
        terminal.send("\x03")
        assert terminal.wait_exit() == 0


def test_ctrl_l_draws_over_what_another_program_wrote(world: World) -> None:
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        terminal.wait_for("simulated")
        terminal.screen.cursor_position(3, 1)
        terminal.screen.draw("Message from root@here: " * 20)
        assert "Message from root" in terminal.text
        terminal.send("\x0c")
        terminal.wait_gone("Message from root", timeout_s=5)
        terminal.wait_for("simulated", timeout_s=5)
        terminal.send("q")
        assert terminal.wait_exit() == 0


def test_after_a_failed_launch_the_keys_of_the_list_work(world: World) -> None:
    profiles = world.root / "config" / "vramp" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "failing.toml").write_text(
        'name = "failing"\nengine = "simulated"\n[server]\nmodel = "m"\n[simulator]\nfail = "oom-weights"\n'
    )
    with Terminal(world.command(), env=world.env, cwd=str(world.root)) as terminal:
        choose(terminal, "failing")
        terminal.send("\r")
        terminal.wait_for("why it failed")
        terminal.send("b")
        terminal.wait_for("profiles")
        terminal.send("n")
        terminal.wait_for("new profile")
        terminal.send("\x1b")
        terminal.wait_gone("new profile")
        terminal.send("q")
        assert terminal.wait_exit(60) == 0
