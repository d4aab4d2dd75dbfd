"""Attaching to a server that runs already: who is there, which model is asked, and whether it is still there."""

from __future__ import annotations

import asyncio

from tui.core.address import ServerAddress, addresses_of
from tui.engines.base import FailureClass
from tui.metrics.snapshot import FailureReport
from tui.profile.schema import AttachTable
from tui.server import probe, wrong_door
from tui.server.asked import AskedServer
from tui.server.client import NoAnswer
from tui.server.launch_failure import LaunchFailed, expect_secret, failure_report

ATTACHED_PERIOD_S = 2.0
ATTACHED_MISSES = 3
MODELS_NAMED = 5


async def attach_to(server: AskedServer, attach: AttachTable) -> None:
    """Find the server that runs at the profile's address, and which of its models to ask. Raises LaunchFailed."""
    for variable in server.auth.variables:
        expect_secret(variable)
    try:
        await _ask_who_is_there(server, attach)
    except NoAnswer as error:
        advice = "Check the address, and that the server runs."
        raise LaunchFailed(
            failure_report(FailureClass.CRASH, f"Nothing answers at {server.base_url}", str(error), advice)
        ) from None
    if server.told.status in (401, 403):
        summary = f"The server refuses us: HTTP {server.told.status}"
        advice = "Name the environment variable that holds its key: api_key_env in [attach], or --api-key-env."
        raise LaunchFailed(failure_report(FailureClass.BAD_VALUE, summary, "", advice))
    _choose_model(server, attach, await _what_else_is_there(server, attach))


async def wait_lost(server: AskedServer) -> FailureReport:
    """Return why, once it cannot be reached any more."""
    assert server.client is not None
    misses = 0
    while misses < ATTACHED_MISSES:
        await asyncio.sleep(ATTACHED_PERIOD_S)
        try:
            await probe.first_answer(server.client, server.engine.questions)
            misses = 0
        except NoAnswer as error:
            misses += 1
            reason = str(error)
    summary = f"{server.base_url} cannot be reached any more"
    return failure_report(FailureClass.CRASH, summary, reason, "See to that server.")


async def _ask_who_is_there(server: AskedServer, attach: AttachTable) -> None:
    """Ask at each place that the address may mean until one lists models; else the likeliest is kept.

    Raises NoAnswer when nothing answers.
    """
    found: list[tuple[ServerAddress, probe.Probe]] = []
    for address in addresses_of(attach.base_url):
        client = await server.turn_to(address, attach.verify)
        server.told = await probe.ask(client, server.engine.questions)
        if server.told.models or server.told.status in (401, 403):
            break
        found.append((address, server.told))
    else:
        address, server.told = found[0]
        client = await server.turn_to(address, attach.verify)
        server.other_addresses = [address for address, _ in found[1:]]
    if client.proxy_variable:
        server.notes.append(
            f"{client.proxy_variable} is used for questions to the server; measured requests go directly"
        )


async def _what_else_is_there(server: AskedServer, attach: AttachTable) -> str:
    """Return, in words, what other system answers; one as good as any is not asked unless it lacks models."""
    lacking = not server.told.models and attach.model is None
    if server.client is None or (server.engine.mark is None and not lacking):
        return ""
    found = await wrong_door.what_else(server.client, server.engine)
    if found:
        server.notes.append(f'{found}; the profile says "{server.engine.name}"')
    return found


def _choose_model(server: AskedServer, attach: AttachTable, else_found: str) -> None:
    models = server.told.models
    if attach.model is not None:
        server.model = attach.model
    elif models:
        server.model = models[0]
        if len(models) > 1:
            others = ", ".join(models[1:MODELS_NAMED])
            more = f" and {len(models) - MODELS_NAMED} more" if len(models) > MODELS_NAMED else ""
            server.notes.append(f"{len(models)} models are offered: {models[0]} is asked, not {others}{more}")
    else:
        summary = f"The server at {server.base_url} lists no model (HTTP {server.told.status})"
        line = f"a redirect to {server.told.location} is not followed" if server.told.location else ""
        advice = f"Correct the profile: {else_found}." if else_found else "Name one: model in [attach], or --model."
        raise LaunchFailed(failure_report(FailureClass.MODEL_MISSING, summary, line, advice))
