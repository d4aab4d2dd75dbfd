"""The result of one cell of the grid: users x prompt size, measured in one way."""

from __future__ import annotations

import msgspec

from tui.core.outcome import Outcome
from tui.metrics.conditions import Conditions
from tui.metrics.distribution import Distributions
from tui.metrics.earlier import EarlierMeasure
from tui.metrics.limits import Verdict
from tui.metrics.occupancy import Occupancy
from tui.metrics.precision import Precision, Repeats
from tui.metrics.saturation import RateFigures


class CellResult(msgspec.Struct, frozen=True, kw_only=True):
    """One measurement of a cell. Figures come from its successful requests; what could not be had is None."""

    users: int
    prompt_tokens: int
    output_tokens: int
    mode: str
    """burst, steady or rate; a grid never mixes them."""
    measured_by: str = "sweep"
    """sweep or operator."""
    outcome: Outcome
    evidence: str = ""
    """For every outcome but ok: the log line, exit code or signal, HTTP status, NVML reading."""
    tag: int = 0
    """The number its requests bear; 0 = none were sent."""
    started_at_ns: int = 0
    duration_s: float | None = None
    """Measured time, warm-up cut; in mode burst, from the first start to the last end, summed over repeats."""
    warm_up_s: float | None = None
    time_to_resolve_s: float | None = None
    """Mean E2E latency of the requests; in mode burst the published tables' figure."""
    tokens_per_s_total: float | None = None
    tokens_per_s_per_user: float | None = None
    ttft_p50_s: float | None = None
    ttft_p90_s: float | None = None
    ttft_p99_s: float | None = None
    ttft_mean_s: float | None = None
    """To lay beside the server's own, which tells no percentiles."""
    tpot_p50_s: float | None = None
    tpot_p90_s: float | None = None
    tpot_p99_s: float | None = None
    itl_p50_s: float | None = None
    itl_p90_s: float | None = None
    itl_p99_s: float | None = None
    e2e_p50_s: float | None = None
    e2e_p90_s: float | None = None
    e2e_p99_s: float | None = None
    distributions: Distributions | None = None
    """How often which latency was; None where no request was answered, and in older session files."""
    requests_ok: int = 0
    requests_failed: int = 0
    requests_dropped: int = 0
    """Planned by an open loop, but never started."""
    delivered_concurrency: float | None = None
    """Mean number of requests under way, rebuilt from raw start and end times."""
    delivered_concurrency_max: int | None = None
    steady: bool | None = None
    """Whether a steady state was reached; None in mode burst."""
    output_tokens_mean: float | None = None
    """Of the answers as they were; a server that is not made to give `output_tokens` may end them by itself."""
    output_tokens_std: float | None = None
    """The spread of the same: their standard deviation."""
    output_forced: bool | None = None
    """Whether the requests made the server give exactly `output_tokens`."""
    counted_by: str = ""
    """Who counted the output tokens: usage (the server), events (nobody, one is taken to be in each), or both."""
    tokens_per_event: float | None = None
    """Where tokens are counted by events: how many one bears by the server's tokenizer, in one answer after a cell.
    No figure is changed by it."""
    requests_in_one_read: int = 0
    """Answers of several tokens that came all at once, as through a gateway that buffers streams."""
    caveats: str = ""
    """What must be known to read the figures rightly, in words; empty where all is as asked."""
    events_packed: bool = False
    """Whether some events bore more than one token: ITL is then per event, not per token."""
    client_cpu_share: float | None = None
    client_lag_p99_s: float | None = None
    client_delay_p99_s: float | None = None
    server_ttft_mean_s: float | None = None
    server_itl_mean_s: float | None = None
    server_queue_mean_s: float | None = None
    """How long a request waited for a place, by the server; tells of queues too short to be seen waiting."""
    server_prefix_hit_share: float | None = None
    """Of the prompt tokens that the server looked up in its prefix cache, 0 to 1; near 0 for prompts of our making."""
    server_output_tokens: float | None = None
    """Tokens that the server itself counted as generated while the cell was measured."""
    server_waiting_max: float | None = None
    """The most requests that the server said to be waiting for a place in its KV cache or batch."""
    kv_cache_usage_max: float | None = None
    preemptions: float | None = None
    vram_used_max_bytes: int | None = None
    """Of the fullest GPU of the server, or slice of one."""
    energy_j: float | None = None
    energy_per_token_j: float | None = None
    """Of all GPUs of the server, idle draw included, per output token."""
    goodput_requests_per_s: float | None = None
    """Requests per second that met the profile's SLO; None without an SLO."""
    slo_met: bool | None = None
    cost_per_1k_tokens: float | None = None
    """Of tokens processed, input and output (`metrics/cost.py`)."""
    cost_per_1m_tokens: float | None = None
    currency: str = ""
    prompt_tokens_exact: bool | None = None
    """Whether the server's own count of every prompt was as asked; None when it gave none."""
    reference_s: float | None = None
    """The published figure for this cell, if the profile names a table."""
    simulated: bool = False
    verdict: Verdict | None = None
    """What limited it; None for a cell that was not measured, or by a vramp that did not say."""
    occupancy: Occupancy | None = None
    """What the server said of its requests meanwhile."""
    conditions: Conditions | None = None
    precision: Precision | None = None
    """How sure tokens/s and the median latency are; None in mode burst."""
    repeats: Repeats | None = None
    """Where it was measured several times for one result."""
    rate: RateFigures | None = None
    """In mode rate."""
    earlier: EarlierMeasure | None = None
    """The measure before this one, where the cell was asked for again."""

    @property
    def measured(self) -> bool:
        """Say whether requests were sent for it; else it is implied, or known by arithmetic or by a failed launch."""
        return was_measured(self.outcome, self.tag)


def users_in_words(users: int) -> str:
    """Return e.g. "1 user", "1,000 users"."""
    return f"{users:,} user" + ("" if users == 1 else "s")


def requests_in_words(requests: int) -> str:
    """Return e.g. "1 request", "1,000 requests"."""
    return f"{requests:,} request" + ("" if requests == 1 else "s")


def cells_in_words(cells: int) -> str:
    """Return e.g. "1 cell", "1,000 cells"."""
    return f"{cells:,} cell" + ("" if cells == 1 else "s")


_KNOWN_UNASKED = frozenset({Outcome.TOO_LONG, Outcome.OOM_LAUNCH, Outcome.OOM_KV, Outcome.OOM_HOST})


def was_measured(outcome: str, tag: int) -> bool:
    """Say whether a cell that ended so, its requests bearing this tag (0 = none were sent), was measured."""
    return outcome != Outcome.IMPLIED and (tag != 0 or outcome not in _KNOWN_UNASKED)
