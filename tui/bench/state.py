"""How the server and the load are at this moment, for a snapshot: put together of what testbed and scheduler know."""

from __future__ import annotations

import msgspec

from tui.bench.scheduler import Scheduler
from tui.bench.testbed import Testbed
from tui.metrics.snapshot import LoadStatus, Phase, ServerStatus
from tui.metrics.window import LiveWindow


def server_status(testbed: Testbed, scheduler: Scheduler, *, is_launching: bool, closed: bool) -> ServerStatus:
    """Return how the server is. `closed`: the session is over."""
    status = testbed.status
    metrics = testbed.metrics_now if testbed.ready else None
    if closed:
        status = msgspec.structs.replace(status, phase=Phase.ENDED)
    elif status.phase is Phase.FAILED and (scheduler.activity != "idle" or scheduler.relaunching):
        status = msgspec.structs.replace(status, phase=Phase.RELAUNCHING)  # died under load: it will be back
    elif status.phase is Phase.FAILED and is_launching:
        # It is still being ended, its failure explained, and its cells given their outcome: who sees a failed
        # server may leave.
        again = status.launches > 1
        status = msgspec.structs.replace(status, phase=Phase.RELAUNCHING if again else Phase.LAUNCHING, failure=None)
    status = msgspec.structs.replace(status, silent_s=testbed.silent_s)
    if metrics is None:
        return status
    return msgspec.structs.replace(
        status,
        running=metrics.running,
        waiting=metrics.waiting,
        kv_cache_usage=metrics.kv_cache_usage,
        preemptions_total=metrics.preemptions_total,
    )


def load_status(testbed: Testbed, scheduler: Scheduler, window: LiveWindow, now_ns: int, *, closed: bool) -> LoadStatus:
    """Return what is asked and how that goes at session time `now_ns`. `closed`: the session is over."""
    progress = testbed.progress
    answers = testbed.ready and testbed.silent_s is None and not closed
    return LoadStatus(
        users_wanted=scheduler.users,
        users_active=progress.users_active if progress else 0,
        in_flight=progress.in_flight if progress else 0,
        prompt_tokens=scheduler.prompt_tokens,
        output_tokens=testbed.profile.load.output_tokens,
        users_before=scheduler.users_before if testbed.ready else 0,
        activity=scheduler.activity,
        delivered_concurrency=window.delivered_concurrency(now_ns) if answers else None,
        settling=scheduler.settling,
        precision=scheduler.precision,
        steady_for_s=scheduler.standing_for_s() if answers else None,
        client_ceiling_share=testbed.gauge.share,
        client_lag_p99_s=progress.lag_p99_s if progress else None,
        client_users_max=testbed.gauge.users_max,
        workers=progress.workers if progress else 0,
        stamps=progress.stamps if progress else "",
        hosts=progress.hosts if progress else [],
    )
