"""The `[server.container]` table of a profile: the server runs in a container, by the runtime's own command line."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


class Runtime(StrEnum):
    """What runs the container."""

    DOCKER = "docker"
    PODMAN = "podman"
    APPTAINER = "apptainer"
    """As on clusters: no daemon, the user's own rights, the host's network and processes."""


class Entrypoint(StrEnum):
    """What the image's own entrypoint is to the server's command."""

    REPLACED = "replaced"
    """It is not used: the engine's executable is run in its place."""
    WRAPPER = "wrapper"
    """It sets the image up and runs what it is given: it gets the whole command (Triton's images)."""
    SERVER = "server"
    """It is the server: it gets the arguments alone (vLLM's and TGI's images)."""


def _a_word(text: str) -> str:
    if text.startswith("-") or any(map(str.isspace, text)):
        raise ValueError("expected a name without spaces that does not begin with a dash")
    return text


def _a_volume(text: str) -> str:
    source, colon, target = text.partition(":")
    if not source or not colon or not target.startswith("/"):
        raise ValueError('expected "HOST_FOLDER:/FOLDER_IN_THE_CONTAINER", with ":ro" behind it where it is only read')
    return _a_word(text)


class ContainerTable(BaseModel):
    """The container that a server is launched in."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    image: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_a_word)]
    """As the runtime names it; apptainer takes a .sif file or docker://NAME."""
    runtime: Annotated[Runtime, Field(strict=False)] = Runtime.DOCKER
    entrypoint: Annotated[Entrypoint, Field(strict=False)] = Entrypoint.REPLACED
    gpus: bool = True
    """Whether it gets GPUs: those that `gpus` in [server] lists, else all."""
    volumes: Annotated[list[Annotated[str, AfterValidator(_a_volume)]], Field(max_length=64)] = []
    """`HOST:CONTAINER[:ro]`; a leading ~ is the home folder here."""
    shm_size: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,14}[bkmgBKMG]?$")] | None = None
    """Of /dev/shm, e.g. "16g"; None = the host's (`--ipc=host`)."""
    env: Annotated[list[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]], Field(max_length=256)] = []
    """Names of variables of vramp's own environment that it gets; their values are on no command line."""
    extra_args: list[str] = []
    """For the runtime, before the image."""

    @model_validator(mode="after")
    def _fits_the_runtime(self) -> Self:
        if self.runtime is Runtime.APPTAINER and self.shm_size is not None:
            raise ValueError("expected no shm_size, since apptainer has the host's /dev/shm")
        return self
