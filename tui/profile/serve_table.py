"""The `[server.serve]` table of a profile: what Ray Serve itself has to know of a model, beside vLLM's arguments."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class ServeTable(BaseModel):
    """How `ray.serve.llm` serves a model."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """So many engines with the whole model each; it does not change by itself."""
    max_ongoing_requests: _Count | None = None
    """That a replica takes at once; None = Ray's own, which is no limit."""
    max_queued_requests: _Count | None = None
    """That wait beyond those; more are refused. None = none is."""
    accelerator_type: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,60}$")] | None = None
    """As Ray calls it, e.g. "L4": replicas are placed where such a one is."""
