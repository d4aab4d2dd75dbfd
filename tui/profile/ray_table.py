"""The `[server.ray]` table of a profile: the server runs on several machines, those of a Ray cluster."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

AUTO = "auto"
_ADDRESS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>[0-9]{1,5})")


def _an_address(text: str) -> str:
    if text.startswith("ray://"):
        raise ValueError(
            'expected "auto" or the HOST:PORT of the head itself, as `ray start` prints it: a server of several '
            "machines runs in the cluster, not as a client of it"
        )
    found = _ADDRESS.fullmatch(text)
    if text != AUTO and (found is None or not 0 < int(found["port"]) < 65536):
        raise ValueError('expected "auto", for the cluster that this machine is part of, or HOST:PORT of its head')
    return text


class RayTable(BaseModel):
    """The cluster over which a server is launched; this machine is one of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    address: Annotated[str, AfterValidator(_an_address)] = AUTO
    """"auto" = that of this machine; else HOST:PORT of its head."""
