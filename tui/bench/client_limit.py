"""When a cell says more of the client than of the server. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

# A worker that uses more of its core than this cannot be trusted to have asked in time.
MAX_CPU_SHARE = 0.95
# Tokens have the kernel's stamp, so lag alone moves none of them; but when it exceeds the gap between two tokens,
# both are read at once and get the stamp of the later. Below this, it is the noise of a machine with other work.
MIN_LAG_S = 0.05


def client_limit(cpu_shares: Sequence[float], lags_p99_s: Sequence[float], itl_p50_s: float | None) -> str:
    """Return why the client was the limit of a cell, by readings taken once a second; empty = it was not.

    `cpu_shares`: of one core, the busiest worker's; `lags_p99_s`: from a token's arrival to its processing. Half of
    the lags must be too long, for a single hiccup spoils no cell.
    """
    share = max(cpu_shares, default=0.0)
    if share > MAX_CPU_SHARE:
        return f"a load worker used {share:.0%} of its core; the limit is {MAX_CPU_SHARE:.0%}"
    lag_s = median(lags_p99_s) if lags_p99_s else 0.0
    limit_s = max(itl_p50_s or 0.0, MIN_LAG_S)
    if lag_s > limit_s:
        late = f"tokens were read {lag_s * 1e3:.0f} ms late (p99); the limit is {limit_s * 1e3:.0f} ms"
        return f"{late}. The busiest load worker used {share:.0%} of a core" if cpu_shares else late
    return ""
