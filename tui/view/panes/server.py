"""The set-up of the run: what serves, how it was started, and what the client that measures it is doing."""

from __future__ import annotations

from typing import ClassVar

from tui.core.paths import from_home
from tui.metrics import hosts
from tui.metrics.snapshot import Phase, ServerStatus, Snapshot
from tui.profile.overrides import arguments_in_words
from tui.view import formatting
from tui.view.panes.pane import Pane
from tui.view.widgets.lines import Ink, Line, cut, pack, plain, plain_end, wrapped

_STATES = {
    "done": ("✓", Ink.GOOD),
    "current": ("▸", Ink.STEER),
    "failed": ("✕", Ink.FAILURE),
    "pending": ("·", Ink.DIM),
}


class ServerPane(Pane):
    """Facts, one a line; the failure first when there is one."""

    KEY: ClassVar[str] = "7"
    NAME: ClassVar[str] = "server"
    HELP: ClassVar[str] = (
        "What is known of the server under test: its command, version, limits, and how it failed when it did."
    )

    def title(self, snapshot: Snapshot) -> str:
        """Return the title with the phase."""
        return f"server and client · {snapshot.server.phase.value}"

    def lines(self, snapshot: Snapshot, width: int, height: int) -> list[Line]:
        """Return as many facts as fit, the telling ones first."""
        return [*_failure(snapshot, width), *_stages(snapshot, width), *_facts(snapshot, width)][:height]


def _failure(snapshot: Snapshot, width: int) -> list[Line]:
    failure = snapshot.server.failure
    if failure is None:
        return []
    code = "" if failure.exit_code is None else f" (exit code {failure.exit_code})"
    return [
        *wrapped(f"FAILED  {failure.summary}{code}", width, Ink.FAILURE),
        *wrapped(failure.advice, width, Ink.STRONG, indent=2)[:3],
        *wrapped(failure.line, width, Ink.PLAIN, indent=2)[:3],
    ]


def _stages(snapshot: Snapshot, width: int) -> list[Line]:
    if snapshot.server.phase is Phase.READY:
        return []
    parts: list[Line] = []
    for stage in snapshot.server.stages:
        mark, ink = _STATES.get(stage.state, ("·", Ink.DIM))
        told = f" {stage.progress * 100:.0f} %" if stage.progress is not None else ""
        if stage.seconds is not None:
            told += f" {stage.seconds:.0f} s"
        parts.append([(f"{mark} ", ink), (plain(stage.name, 20), Ink.PLAIN), (told, Ink.DIM)])
    return [pack(parts, width, gap=2)] if parts else []


def _kv_cache(server: ServerStatus) -> str:
    if not server.kv_cache_tokens:
        return ""
    times = formatting.fixed(server.max_concurrency, 0, 1)
    return f"{formatting.count(server.kv_cache_tokens)} tokens = {times} × context"


def _by_its_own_count(snapshot: Snapshot) -> str:
    """Return what the server says of itself that has no place beside our own figures; means of the last second."""
    if not snapshot.series:
        return ""
    point = snapshot.series[-1]
    told = [
        f"{name} {formatting.milliseconds(value_s).strip()} ms"
        for name, value_s in (("TTFT", point.server_ttft_mean_s), ("ITL", point.server_itl_mean_s))
        if value_s is not None
    ]
    if point.prefix_cache_hits_total is not None:
        told.append(f"{formatting.count(point.prefix_cache_hits_total)} tokens hit its prefix cache")
    return ", ".join(told)


def _facts(snapshot: Snapshot, width: int) -> list[Line]:
    server, load = snapshot.server, snapshot.load
    whose = "attached, not ours to stop" if server.attached else f"pid {server.pid}" if server.pid else ""
    overridden = arguments_in_words(server.overrides)
    lag_ms = formatting.milliseconds(load.client_lag_p99_s)
    share = formatting.percent(load.client_ceiling_share)
    facts = [
        ("engine", f"{snapshot.engine} {server.version}".strip()),
        ("model", server.model),
        ("override", f"{overridden} in place of the profile's" if overridden else ""),
        ("at", "  ".join(part for part in (server.base_url, whose) if part)),
        ("nodes", ", ".join(f"{host}: {gpus} GPU{'' if gpus == 1 else 's'}" for host, gpus in server.nodes.items())),
        ("context", f"{formatting.count(server.max_model_len)} tokens" if server.max_model_len else ""),
        (
            "KV cache",
            _kv_cache(server),
        ),
        ("server's own figures", _by_its_own_count(snapshot)),
        (
            "load generator",
            f"{share.strip()} % busy, p99 lag {lag_ms.strip()} ms, "
            f"{load.workers} worker{'' if load.workers == 1 else 's'}",
        ),
        ("hosts", hosts.in_words(load.hosts)),
        ("stamps", f"taken by the {load.stamps}" if load.stamps else ""),
        ("GPU read", f"{formatting.milliseconds(snapshot.gpu_sample_s).strip()} ms a round"),
        ("session", plain_end(from_home(snapshot.session_file), width - 10)),
    ]
    lines = [
        cut([(f"{name:<9} ", Ink.DIM), (plain(text, max(1, width - max(9, len(name)) - 1)), Ink.PLAIN)], width)
        for name, text in facts
        if text
    ]
    lines += [[("note      ", Ink.WARNING), (plain(what, max(1, width - 10)), Ink.PLAIN)] for what in server.notes[:3]]
    lines += [
        [("missing   ", Ink.WARNING), (plain(what, max(1, width - 10)), Ink.PLAIN)] for what in server.missing[:3]
    ]
    command = wrapped(snapshot.command_line, max(1, width - 10), Ink.PLAIN)
    for place, line in enumerate(command[:6]):
        lines.append([("command   " if place == 0 else " " * 10, Ink.DIM), *line])
    return lines
