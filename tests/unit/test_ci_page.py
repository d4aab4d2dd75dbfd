"""docs/ci.md: its workflow is YAML, and what it runs are commands, options and gates that there are."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tui.cli import cli
from tui.metrics.gate import parse_gate

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
(WORKFLOW,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def steps() -> list[dict[str, Any]]:
    document = yaml.safe_load(WORKFLOW)
    (job,) = document["jobs"].values()
    assert document[True] == {"pull_request": {"paths": ["serving/**"]}}  # YAML 1.1 reads "on" so
    return list(job["steps"])


def commands() -> list[list[str]]:
    """Return all commands of vramp of the page, in its workflow and in its text, without what the shell does."""
    lines = [line for step in steps() for line in step.get("run", "").replace("\\\n", " ").splitlines()]
    lines += list(re.findall(r"`(vramp [^`]+)`", PAGE))
    words = [shlex.split(line, comments=True) for line in lines]
    return [[*(each if ">>" not in each else each[: each.index(">>")])] for each in words if each[:1] == ["vramp"]]


def test_every_step_uses_an_action_or_runs_something() -> None:
    for step in steps():
        assert ("uses" in step) != ("run" in step), step


def test_the_steps_measure_compare_and_keep_the_session() -> None:
    told = [command[1] for command in commands()]
    assert told.count("run") == 2 and told.count("compare") == 2 and "export" in told


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_a_command_of_the_page_is_one_that_there_is(command: list[str]) -> None:
    with cli.make_context("vramp", command[1:], resilient_parsing=False) as context:
        name, found, arguments = cli.resolve_command(context, command[1:])
        assert name is not None and found is not None
        with found.make_context(name, arguments, parent=context) as own:
            for gate in own.params.get("gates", ()):
                parse_gate(gate)


def test_an_option_that_there_is_not_would_be_seen() -> None:
    with pytest.raises(click.NoSuchOption):
        test_a_command_of_the_page_is_one_that_there_is(["vramp", "run", "demo", "--precison", "0.1"])
