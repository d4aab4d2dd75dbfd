"""What can be asked of a server besides requests. Pure: a path and a body out, a value in.

A system that lacks something says so by None, and that is no failure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from tui.engines.parts.dialect import MOST_TOLD

if TYPE_CHECKING:
    from tui.engines.base import ServerMetrics

T = TypeVar("T")
OK = 200

Content = str | list[dict[str, str]]
"""A text, or the messages of a chat."""


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """One request that is no load, and how to read what comes back."""

    path: str
    """As the server has it at its root, e.g. "/v1/models"."""
    read: Callable[[int, bytes], T | None]
    """Takes status and body; None = that is no answer. Raises nothing."""
    body: Mapping[str, object] | None = None
    """What is posted as JSON; None = it is a GET."""
    port_offset: int = 0
    """It is asked on the port so many above that of the requests."""
    generates: bool = False
    """It makes the server generate: a first one may take as long as what a server puts off until it is asked."""


class Questions:
    """What can be asked. By default nothing."""

    def alive(self) -> Question[bool] | None:
        """Ask whether requests are taken."""
        return None

    def models(self) -> Question[list[str]] | None:
        """Ask for the names of the models, the one to be taken by default first."""
        return None

    def version(self) -> Question[str] | None:
        """Ask for the version of the serving system."""
        return None

    def tokenize(self, model: str, content: Content) -> Question[list[int]] | None:
        """Ask for the token ids of a text, or of messages under the chat template."""
        return None

    def count(self, model: str, content: Content) -> Question[int] | None:
        """Ask how many tokens a prompt of this text, or of these messages, has; by default its ids are counted."""
        asked = self.tokenize(model, content)
        if asked is None:
            return None
        read = asked.read

        def length_in(status: int, content: bytes) -> int | None:
            ids = read(status, content)
            return None if ids is None else len(ids)

        return Question(asked.path, length_in, asked.body, asked.port_offset, asked.generates)

    def metrics(self) -> Question[ServerMetrics] | None:
        """Ask for the server's own figures."""
        return None

    def held(self) -> Question[int] | None:
        """Ask how many tokens the KV cache holds of the requests that run, where `metrics` does not tell its share."""
        return None

    def arguments(self) -> Question[dict[str, str]] | None:
        """Ask with which arguments it runs, by their flags without dashes before them."""
        return None

    def limits(self, models: Sequence[str]) -> Question[dict[str, int]] | None:
        """Ask how many tokens prompt and answer may have together, of those models of which it is told."""
        return None


class OpenAiQuestions(Questions):
    """What servers of OpenAI's API can be asked: their models."""

    def alive(self) -> Question[bool] | None:
        """Ask for the models: whatever comes back shows that somebody is there."""
        return Question("/v1/models", lambda status, content: True)

    def models(self) -> Question[list[str]] | None:
        """Ask for the list of models."""
        return Question("/v1/models", models_in)

    def limits(self, models: Sequence[str]) -> Question[dict[str, int]] | None:
        """Ask for what some servers tell beside a model's name."""
        return Question("/v1/models", max_model_lens_in)


def owned_by(owner: str) -> Question[bool]:
    """Return the question whether the list of models says whose they are, as many systems do by their own name."""
    return Question(
        "/v1/models",
        lambda status, content: any(row.get("owned_by") == owner for row in _rows(status, content) or []),
    )


def healthy(status: int, content: bytes) -> bool:
    """Say whether a status means that a server is well."""
    return status == OK


def json_in(status: int, content: bytes) -> Any:
    """Return the JSON of a good answer; None for everything else."""
    if status != OK:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def object_in(status: int, content: bytes) -> dict[str, Any]:
    """Return the JSON object of a good answer; empty for everything else."""
    found = json_in(status, content)
    return found if isinstance(found, dict) else {}


def tokens_in(status: int, content: bytes) -> list[int] | None:
    """Return the token ids of an answer `{"tokens": [...]}`."""
    tokens = object_in(status, content).get("tokens")
    if isinstance(tokens, list) and all(isinstance(token, int) for token in tokens):
        return tokens
    return None


def models_in(status: int, content: bytes) -> list[str] | None:
    """Return the names in a list of models, OpenAI's or a bare one, of names even; None where there is no list."""
    rows = _rows(status, content)
    if rows is None:
        return None
    return [row["id"] for row in rows if isinstance(row.get("id"), str)]


def max_model_lens_in(status: int, content: bytes) -> dict[str, int]:
    """Return the `max_model_len` of each model in a list of models that has one."""
    rows = _rows(status, content) or []
    return lengths_of(rows, "id", "max_model_len")


def only_limit(models: Sequence[str], length: int | None) -> dict[str, int]:
    """Return the limit of a server of one model, by its name."""
    return {} if length is None else dict.fromkeys(models[:1], length)


def lengths_of(rows: Iterable[Mapping[str, object]], name: str, length: str) -> dict[str, int]:
    """Return the number of tokens that each row tells of what it names."""
    told = ((row.get(name), length_in(row, length)) for row in rows)
    return {model: tokens for model, tokens in told if isinstance(model, str) and tokens is not None}


def length_in(told: Mapping[str, object], key: str) -> int | None:
    """Return a number of tokens; None where it is none, or not told."""
    length = told.get(key)
    return length if isinstance(length, int) and not isinstance(length, bool) and 0 < length <= MOST_TOLD else None


def _rows(status: int, content: bytes) -> list[dict[str, Any]] | None:
    found = json_in(status, content)
    if isinstance(found, dict):
        found = next((rows for key in ("data", "models") if isinstance(rows := found.get(key), list)), None)
    if not isinstance(found, list):
        return None
    named = [{"id": row} if isinstance(row, str) else row for row in found]
    return [row for row in named if isinstance(row, dict)]
