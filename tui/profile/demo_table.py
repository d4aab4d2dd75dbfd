"""The `[demo]` table of a profile: what is shown to an audience, step by step. It may be a file of its own, too."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MAX_STEPS = 200
MAX_CAPTION_CHARS = 200
MAX_ASKED_CHARS = 2000
_MAX_SECONDS = 24 * 3600.0

Wait = Literal["ready", "steady", "oom", "grid-full", "walked", "answered"]
"""What a step waits for: a server that is ready; users who all ask and have stood still; memory that gives out; no cell
without an outcome; the end of the walk that was begun; the answer to what was asked."""
Do = Literal["sweep", "ramp", "find-edge", "stop"]
View = Literal["stage", "panes", "tokens", "latency", "memory", "grid"]


class DemoStep(BaseModel):
    """One step: what is asked of the bench, what is shown, and when it is over."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    caption: Annotated[str, Field(max_length=MAX_CAPTION_CHARS)] = ""
    """What the audience reads meanwhile; empty = as before."""
    users: Annotated[int, Field(ge=0, le=100_000)] | None = None
    prompt_tokens: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """Of each request from now on; with find-edge, the one size at which it is looked for."""
    do: Do | None = None
    ask: Annotated[str, Field(max_length=MAX_ASKED_CHARS)] = ""
    """A question by hand; empty = none."""
    view: View | None = None
    at: Annotated[float, Field(ge=0, le=_MAX_SECONDS)] = 0.0
    """It begins no earlier, s from the begin of the script."""
    seconds: Annotated[float, Field(ge=0, le=_MAX_SECONDS)] = 5.0
    """It lasts no shorter."""
    wait: Wait | None = None
    """It lasts until that, too."""
    at_most: Annotated[float, Field(gt=0, le=_MAX_SECONDS)] = 180.0
    """It lasts no longer, come what is waited for or not."""


class DemoTable(BaseModel):
    """The whole script."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    step: Annotated[list[DemoStep], Field(min_length=1, max_length=MAX_STEPS)]
