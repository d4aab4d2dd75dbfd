"""The server's own figures under vLLM's metric names; times in modelled seconds."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from tui.profile.simulator_table import SimulatorTable
from tui.simulator.model import Engine

# The buckets of vLLM 0.32.0 (tests/corpus/vllm/metrics-idle.txt).
_TTFT = (
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    20,
    40,
    80,
    160,
    640,
    2560,
)
_ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
_E2E = (0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
_ITERATION = (1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384)
_PREEMPTIONS = (1, 2, 3, 4, 5, 10, 20)
NULL_BLOCKS = 1
"""vLLM counts one that no request can have; the model's pool holds those that they can."""
_LABELS = ("engine", "model_name")


class Gauges:
    """The metrics of one engine."""

    def __init__(self, model: str, table: SimulatorTable) -> None:
        self._registry = CollectorRegistry()
        self._told = (0, 0, 0, 0)
        self._queued_s, self._queued = 0.0, 0
        self._values = ("0", model)
        self.running = self._gauge("num_requests_running", "Number of requests in model execution batches.")
        self.waiting = self._gauge("num_requests_waiting", "Number of requests waiting to be processed.")
        self.kv_usage = self._gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.")
        self.prefix_queries = self._counter("prefix_cache_queries", "Prefix cache queries, in tokens.")
        self.prefix_hits = self._counter("prefix_cache_hits", "Prefix cache hits, in tokens.")
        self.preemptions = self._counter("num_preemptions", "Cumulative number of preemption from the engine.")
        self.prompt_tokens = self._counter("prompt_tokens", "Number of prefill tokens processed.")
        self.cached_tokens = self._counter("prompt_tokens_cached", "Number of cached prompt tokens.")
        self.generation_tokens = self._counter("generation_tokens", "Number of generation tokens processed.")
        self.ttft_s = self._histogram("time_to_first_token_seconds", "Time to first token in seconds.", _TTFT)
        self.itl_s = self._histogram("inter_token_latency_seconds", "Inter-token latency in seconds.", _ITL)
        self.tpot_s = self._histogram("request_time_per_output_token_seconds", "Time per output token, s.", _ITL)
        self.e2e_s = self._histogram("e2e_request_latency_seconds", "E2E request latency in seconds.", _E2E)
        self.queue_s = self._histogram("request_queue_time_seconds", "Time spent in WAITING phase.", _E2E)
        self.inference_s = self._histogram("request_inference_time_seconds", "Time spent in RUNNING phase.", _E2E)
        self.prefill_s = self._histogram("request_prefill_time_seconds", "Time spent in PREFILL phase.", _E2E)
        self.decode_s = self._histogram("request_decode_time_seconds", "Time spent in DECODE phase.", _E2E)
        self.request_preemptions = self._histogram("request_num_preemptions", "Preemptions of a request.", _PREEMPTIONS)
        self.request_prompt = self._histogram("request_prompt_tokens", "Number of prefill tokens processed.", _TOKENS)
        self.request_output = self._histogram("request_generation_tokens", "Number of generation tokens.", _TOKENS)
        self.iteration = self._histogram("iteration_tokens_total", "Number of tokens per engine_step.", _ITERATION)
        labels = (*_LABELS, "finished_reason")
        success = Counter("vllm:request_success", "Count of processed requests.", labels, registry=self._registry)
        reasons = ("stop", "length", "abort", "error", "repetition")
        self.success = {reason: success.labels(*self._values, reason) for reason in reasons}
        rejections = Counter(
            "vllm:admission_rejections",
            "Number of admission attempts rejected by a queue limit.",
            ("model_name", "reason"),
            registry=self._registry,
        )
        self.rejections = rejections.labels(model, "max_num_queued_reqs")
        self._config_info(table)

    def text(self, engine: Engine) -> bytes:
        """Return the Prometheus text of this moment."""
        self.running.set(len(engine.running))
        self.waiting.set(len(engine.waiting))
        self.kv_usage.set(engine.kv_usage)
        totals = (
            engine.prefix_queries_total,
            engine.prefix_hits_total,
            engine.prefix_hits_total,
            engine.preemptions_total,
        )
        counters = (self.prefix_queries, self.prefix_hits, self.cached_tokens, self.preemptions)
        for counter, before, total in zip(counters, self._told, totals, strict=True):
            counter.inc(total - before if total >= before else total)  # another engine counts from nothing
        self._told = totals
        return generate_latest(self._registry)

    @property
    def queued(self) -> tuple[float, float]:
        """Return how long finished requests have waited together, modelled s, and how many they were."""
        return self._queued_s, self._queued

    def note_finished(self, *, queued_s: float) -> None:
        """Count a finished request that waited so long."""
        self.queue_s.observe(queued_s)
        self._queued_s += queued_s
        self._queued += 1

    def _config_info(self, table: SimulatorTable) -> None:
        info = {
            "block_size": str(table.block_size),
            "enable_prefix_caching": "True",
            "engine": "0",
            "gpu_memory_utilization": "0.92",
            "num_gpu_blocks": str(table.kv_cache_tokens // table.block_size + NULL_BLOCKS),
            "kv_cache_max_concurrency": str(round(table.kv_cache_tokens / table.max_model_len, 2)),
            "kv_cache_size_tokens": str(table.kv_cache_tokens // table.block_size * table.block_size),
            "simulated": "True",
        }
        name = "vllm:cache_config_info"
        gauge = Gauge(name, "Information of the LLMEngine CacheConfig", list(info), registry=self._registry)
        gauge.labels(**info).set(1)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"vllm:{name}", text, _LABELS, registry=self._registry).labels(*self._values)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, _LABELS, registry=self._registry).labels(*self._values)

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        histogram = Histogram(f"vllm:{name}", text, _LABELS, buckets=buckets, registry=self._registry)
        return histogram.labels(*self._values)
