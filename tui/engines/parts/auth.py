"""How requests prove themselves: headers that are the same for all, or a signature of each finished request.

Values of secrets are read from the environment where they are used, in the bench and in the load workers; what is
handed on between processes, kept and shown are the names of the variables.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol, cast

import msgspec

from tui.core.errors import UsageError
from tui.core.secret_value import secret_of


class SecretHeader(msgspec.Struct, frozen=True):
    """A header whose value is in an environment variable."""

    name: str
    variable: str
    prefix: str = ""
    """What stands before the secret, e.g. "Bearer "."""


class Signer(Protocol):
    """Signs requests one by one, as SigV4 does."""

    def __call__(
        self, settings: dict[str, str], method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> list[tuple[str, str]]:
        """Return the headers that are to be added to a finished request. Raises UsageError where a secret is absent."""


class Auth(msgspec.Struct, frozen=True):
    """What is added to each request."""

    secret_headers: list[SecretHeader] = []
    headers: list[tuple[str, str]] = []
    """Those that are no secret."""
    signer: str = ""
    """Where the signer is, "module:attribute"; "" = none. Its module is imported when it is first needed."""
    settings: dict[str, str] = {}
    """What the signer needs besides secrets, e.g. a region."""
    signer_variables: list[str] = []
    """The environment variables that the signer reads."""
    signer_package: str = ""
    """What the signer's module imports that may not be installed."""

    @property
    def variables(self) -> list[str]:
        """Return the names of the environment variables that hold its secrets."""
        return [*(header.variable for header in self.secret_headers), *self.signer_variables]

    def head(self) -> list[tuple[str, str]]:
        """Return the headers that all requests share. Raises UsageError, without the value, for one that cannot be."""
        found = list(self.headers)
        for header in self.secret_headers:
            value = secret_of(header.variable)
            if value is not None:
                found.append((header.name, header.prefix + value))
        return found

    def lacks_to_sign(self) -> str:
        """Return what the signer lacks here, in words; "" = nothing, or there is no signer. Imports nothing."""
        if self.signer_package and find_spec(self.signer_package) is None:
            return f"{self.signer_package} is not installed"
        absent = [name for name in self.signer_variables if not os.environ.get(name)]
        return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not set" if absent else ""

    def load_signer(self) -> Signer | None:
        """Return the signer, if there is one. Raises UsageError where it cannot be imported."""
        if not self.signer:
            return None
        module, _, attribute = self.signer.partition(":")
        try:
            return cast("Signer", getattr(importlib.import_module(module), attribute))
        except (ImportError, AttributeError, ValueError) as error:
            raise UsageError(f"requests cannot be signed: {error}") from error
