"""What a server that answers tells of itself, and what it does not offer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from tui.core.safe_text import safe_line
from tui.engines.base import ServerMetrics
from tui.engines.parts.questions import Content, Question, Questions
from tui.profile.simulator_table import SERVER_MARK
from tui.server.client import NoAnswer, ServerClient, ServerResponse

NAME_CHARS = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probe:
    """The answers; what is missing is said in words."""

    version: str = ""
    models: list[str] = field(default_factory=list)
    max_model_lens: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    status: int | None = None
    """Of the list of models: 401 and 403 mean that a key is wanted. None = it has no such list."""
    location: str = ""
    """Where the list of models is said to be instead; no redirect is followed."""
    arguments: dict[str, str] = field(default_factory=dict)
    """With which it says that it runs, by their flags without dashes before them."""
    simulated: bool = False
    """Whether it says that it is a simulated server of vramp's."""


async def ask(client: ServerClient, questions: Questions, kv_cache_tokens: int | None = None) -> Probe:
    """Return what the server tells; `kv_cache_tokens`: the size of its KV cache by its log. Raises NoAnswer when
    nothing answers."""
    listing = await first_answer(client, questions)
    asked = questions.models()
    found = asked.read(listing.status, listing.content) if asked is not None else None
    models = [safe_line(name, limit=NAME_CHARS) for name in found or []]
    lengths = await _limits(client, questions, found or [""], listing)
    missing = []
    if not lengths:
        missing.append("no max_model_len: prompts that are too long are found out by asking")
    version = await answer_to(client, questions.version())
    if version is None:
        missing.append("no /version")
    metrics = await figures_of(client, questions, kv_cache_tokens)
    if metrics is None or metrics == ServerMetrics():
        missing.append("no /metrics of its own: no queue, KV cache or server-side latency")
    elif untold := _untold(metrics):
        missing.append(f"its /metrics do not tell {untold}")
    if await answer_to(client, questions.count(models[0] if models else "", "a")) is None:
        missing.append("no /tokenize: prompt sizes are checked by usage only")
    arguments = await answer_to(client, questions.arguments())
    return Probe(
        version=safe_line(version or "", limit=NAME_CHARS),
        models=models,
        max_model_lens=lengths,
        missing=missing,
        status=listing.status if asked is not None else None,
        location=listing.location,
        arguments=arguments or {},
        simulated=listing.server == SERVER_MARK,
    )


def _untold(metrics: ServerMetrics) -> str:
    """Return, in words, which of the figures that are shown a server does not tell."""
    shown = {
        "how many requests run": metrics.running,
        "how many wait": metrics.waiting,
        "how full the KV cache is": metrics.kv_cache_usage,
    }
    return ", ".join(what for what, figure in shown.items() if figure is None)


async def answer_to(client: ServerClient, question: Question[T] | None) -> T | None:
    """Return the answer; None where there is none, or no such question."""
    if question is None:
        return None
    try:
        response = await client.fetch(
            question.path, question.body, port_offset=question.port_offset, patient=question.generates
        )
    except NoAnswer:
        return None
    return question.read(response.status, response.content)


async def figures_of(client: ServerClient, questions: Questions, kv_cache_tokens: int | None) -> ServerMetrics | None:
    """Return the server's own figures now; None where it tells none.

    `kv_cache_tokens`, the size of its KV cache, serves where it tells how many tokens it holds, and not their share.
    """
    metrics = await answer_to(client, questions.metrics())
    if metrics is None or metrics.kv_cache_usage is not None or not kv_cache_tokens:
        return metrics
    held = await answer_to(client, questions.held())
    return metrics if held is None else replace(metrics, kv_cache_usage=min(held / kv_cache_tokens, 1.0))


async def tokens_of(client: ServerClient, questions: Questions, model: str, content: Content) -> list[int] | None:
    """Return the token ids of a text, or of messages under the chat template; None where the server cannot say."""
    return await answer_to(client, questions.tokenize(model, content))


async def count_of(client: ServerClient, questions: Questions, model: str, content: Content) -> int | None:
    """Return how many tokens a text has, or messages under the chat template; None where the server cannot say."""
    return await answer_to(client, questions.count(model, content))


async def first_answer(client: ServerClient, questions: Questions) -> ServerResponse:
    """Ask for the models, or for what else there is to be asked, the front page when nothing is; return what comes.

    Raises NoAnswer when nobody answers.
    """
    question = questions.models() or questions.alive()
    return await client.fetch(question.path, question.body) if question is not None else await client.fetch("/")


async def _limits(
    client: ServerClient, questions: Questions, models: list[str], listing: ServerResponse
) -> dict[str, int]:
    """Return how many tokens each model can hold, where it tells; what stands in the list is not asked for again."""
    asked, question = questions.models(), questions.limits(models)
    if asked is not None and question is not None and question.path == asked.path:
        lengths = question.read(listing.status, listing.content)
    else:
        lengths = await answer_to(client, question)
    return {safe_line(model, limit=NAME_CHARS): length for model, length in (lengths or {}).items()}
