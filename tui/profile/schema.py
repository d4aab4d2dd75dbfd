"""A profile as a value: what INTERFACE calls the profile's tables, typed and checked.

Everything is strict: an unknown key, a wrong type or a value out of range is an error, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tui.core.address import address_of
from tui.core.nearest import did_you_mean
from tui.profile.container_table import ContainerTable
from tui.profile.demo_table import DemoTable
from tui.profile.engine_names import SIMULATED, installed_engines
from tui.profile.load_hosts import LOCAL, OnHostLoss, checked_hosts, far_hosts
from tui.profile.ray_table import RayTable
from tui.profile.serve_table import ServeTable
from tui.profile.simulator_table import MAX_CARDS, SimulatorTable


class Endpoint(StrEnum):
    """Which of the server's two ways to ask is used."""

    COMPLETIONS = "completions"
    CHAT = "chat"


class Mode(StrEnum):
    """How a cell is measured."""

    BURST = "burst"
    """N requests at once, as in the published tables."""
    STEADY = "steady"
    """N users, each asking again as soon as it was answered, for a time."""
    RATE = "rate"
    """Requests at a given rate, whether earlier ones were answered or not."""


class Arrivals(StrEnum):
    """How planned requests are spread in mode `rate`."""

    CONSTANT = "constant"
    POISSON = "poisson"


def _sorted_distinct(values: list[int]) -> list[int]:
    if len(set(values)) != len(values):
        raise ValueError("expected each value once")
    return sorted(values)


def _url_of(host: str) -> str:
    return f"http://[{host}]" if ":" in host else f"http://{host}"


def _a_host(host: str) -> str:
    if host:
        address_of(_url_of(host))  # raises ValueError in words
    return host


def _an_address(url: str) -> str:
    address_of(url)  # raises ValueError in words
    return url


def _installed(name: str) -> str:
    known = sorted(installed_engines())
    if name not in known:
        expected = " or ".join([", ".join(f'"{each}"' for each in known[:-1]), f'"{known[-1]}"'])
        hint = did_you_mean(name, known, cutoff=0.55, shown=lambda each: f'"{each}"')
        raise ValueError(f"expected {expected}{hint}")
    return name


_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_UNFIT_FOR_HEADERS = re.compile(r"[\x00-\x1f\x7f]|[^\x00-\xff]")
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-encoding", "expect"})
_OWN_FIELDS = ("stream", "prompt", "messages")

MAX_USERS = 100_000
MAX_TOKENS = 10_000_000
MAX_SECONDS = 30 * 24 * 3600.0
_Users = Annotated[int, Field(ge=1, le=MAX_USERS)]
_Tokens = Annotated[int, Field(ge=1, le=MAX_TOKENS)]
_UsersAxis = Annotated[list[_Users], Field(min_length=1, max_length=64), AfterValidator(_sorted_distinct)]
_TokensAxis = Annotated[list[_Tokens], Field(min_length=1, max_length=64), AfterValidator(_sorted_distinct)]
_Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]


class _Table(BaseModel):
    # TOML gives 5 where 5.0 is meant; pydantic's strict float takes an int, and its strict enum wants use of
    # strings allowed, which `validate_python(..., strict=True)` does not, so enums are set lax one by one.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ServerTable(_Table):
    """A server that vramp launches."""

    model: Annotated[str, Field(min_length=1)]
    executable: list[str] = []
    """Empty = the engine's own, e.g. ["vllm", "serve"]."""
    host: Annotated[str, AfterValidator(_a_host)] = "127.0.0.1"
    """Where it listens; empty = everywhere."""
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    """0 = a free one."""
    gpus: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(max_length=256)] = []
    """Empty = as the machine gives them."""
    startup_timeout_s: _Seconds = 1800.0
    stop_grace_s: Annotated[float, Field(ge=0, le=MAX_SECONDS)] = 20.0
    extra_args: list[str] = []
    args: dict[str, bool | int | float | str] = {}
    env: dict[str, str] = {}
    container: ContainerTable | None = None
    """None = it is a program of this machine."""
    ray: RayTable | None = None
    """None = it runs on this machine alone."""
    serve: ServeTable | None = None
    """What Ray Serve has to know beside the engine's arguments."""


class FromEnvironment(_Table):
    """A value that is in an environment variable, so that no profile holds it."""

    env: Annotated[str, Field(pattern=_VARIABLE)]


def _a_header(name: str) -> str:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("expected the name of an HTTP header")
    if name.lower() in _OWN_HEADERS:
        raise ValueError("expected another header: this one is set by each request itself")
    return name


def _a_header_value(value: str | FromEnvironment) -> str | FromEnvironment:
    if isinstance(value, str) and _UNFIT_FOR_HEADERS.search(value):
        raise ValueError("expected characters that an HTTP header can carry")
    return value


def _a_body(body: dict[str, Any]) -> dict[str, Any]:
    for name in _OWN_FIELDS:
        if name in body:
            raise ValueError(f"expected other fields than {', '.join(_OWN_FIELDS)}, without which nothing is measured")
    try:
        json.dumps(body, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("expected values that JSON has: texts, finite numbers, true, false, lists, tables") from None
    return body


class AttachTable(_Table):
    """A server that runs already and that vramp never stops."""

    base_url: Annotated[str, AfterValidator(_an_address)]
    """With or without a path and a query; an endpoint that was copied with it is known as such."""
    api_key_env: Annotated[str, Field(pattern=_VARIABLE)] | None = None
    """The name of the environment variable that holds the key; the key itself is never written anywhere."""
    model: str | None = None
    """None = the first that the server offers."""
    verify: bool = True
    """False = a TLS certificate is not checked."""
    headers: dict[
        Annotated[str, AfterValidator(_a_header)],
        Annotated[str | FromEnvironment, AfterValidator(_a_header_value)],
    ] = {}
    """Added to every request; a secret one by the name of an environment variable: `api-key = { env = "NAME" }`."""


class LoadTable(_Table):
    """What the simulated users ask for."""

    endpoint: Annotated[Endpoint, Field(strict=False)] = Endpoint.COMPLETIONS
    users: _UsersAxis = [1, 2, 4, 8, 16, 32, 64, 128]
    prompt_tokens: _TokensAxis = [31, 63, 119, 296, 480, 822, 2193]
    output_tokens: _Tokens = 100
    mode: Annotated[Mode, Field(strict=False)] = Mode.BURST
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    """Bursts per cell in mode `burst`; in mode `rate`, runs, of which the median one counts."""
    duration_s: _Seconds = 30.0
    """Measured time per cell in modes `steady` and `rate`."""
    warm_up_s: Annotated[float, Field(ge=0, le=MAX_SECONDS)] = 5.0
    precision: Annotated[float, Field(ge=0.001, le=0.5)] | None = None
    """Stop measuring a cell as soon as its tokens/s and median latency are known within this share, at the latest after
    `duration_s`; in mode `burst`, after fewer than `repeats` bursts. None = always for the whole time."""
    failures_in_a_row: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """A cell ends at once when so many requests in a row failed, and at least as many as it has users."""
    rate_per_s: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """Mode `rate`: planned requests per second and user; a cell of N users is asked at N times this rate."""
    arrivals: Annotated[Arrivals, Field(strict=False)] = Arrivals.POISSON
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    request_timeout_s: _Seconds = 300.0
    hosts: Annotated[str | list[str], BeforeValidator(checked_hosts)] = LOCAL
    """Where users ask from: this machine, the nodes of a Ray cluster, or hosts reached by ssh."""
    on_host_loss: Annotated[OnHostLoss, Field(strict=False)] = OnHostLoss.MOVE
    body: Annotated[dict[str, Any], AfterValidator(_a_body)] = {}
    """What requests have otherwise: a value adds or replaces a field, false drops it, `{ as = "name" }` renames it."""
    keep_gaps: bool = False
    """Keep every gap between two tokens in the session, not only how often each length of them came."""

    @model_validator(mode="after")
    def _rate_given(self) -> Self:
        if self.mode is Mode.RATE and self.rate_per_s is None:
            raise ValueError('expected a key rate_per_s, since mode = "rate"')
        return self


class SweepTable(_Table):
    """How the grid is measured by itself."""

    edge_precision: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """How exactly the most users are to be found, as a share of them."""
    edge_repeats: Annotated[int, Field(ge=0, le=2)] = 1
    """How often the cells at the edge are measured again."""
    edge_users_max: _Users = 10_000
    """More are never asked when the edge is looked for."""


class SloTable(_Table):
    """What counts as good service."""

    ttft_s: _Seconds | None = None
    tpot_s: _Seconds | None = None
    e2e_s: _Seconds | None = None


class CostTable(_Table):
    """What the server costs."""

    price_per_hour: Annotated[float, Field(ge=0, le=1e9)]
    currency: Annotated[str, Field(min_length=1, max_length=8)] = "USD"


class ReferenceTable(_Table):
    """What is laid beside the measured grid: a published table, or an earlier session."""

    table: Annotated[str, Field(min_length=1)] | None = None
    session: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """Its id, or its file."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.table is None) == (self.session is None):
            raise ValueError("expected one of the keys table and session")
        return self


class Profile(_Table):
    """One way to serve and to load a model."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
    title: str = ""
    notes: str = ""
    engine: Annotated[str, AfterValidator(_installed)]
    server: ServerTable | None = None
    attach: AttachTable | None = None
    load: LoadTable = LoadTable()
    sweep: SweepTable = SweepTable()
    slo: SloTable | None = None
    cost: CostTable | None = None
    reference: ReferenceTable | None = None
    simulator: SimulatorTable | None = None
    demo: DemoTable | None = None
    """What is shown to an audience, step by step."""

    @model_validator(mode="after")
    def _one_server(self) -> Self:
        if (self.server is None) == (self.attach is None):
            raise ValueError("expected one of the tables [server] and [attach]")
        if self.simulated and self.server is None:
            raise ValueError('expected a table [server], since engine = "simulated" is launched by vramp')
        if self.simulated and self.server is not None and self.server.container is not None:
            raise ValueError('expected no table [server.container], since engine = "simulated" is part of vramp')
        if self.simulator is not None and not self.simulated:
            raise ValueError('expected engine = "simulated", since there is a table [simulator]')
        if mistake := self.out_of_reach_of(far_hosts(self.load.hosts)):
            raise ValueError(mistake)
        if self.simulator is not None and self.server is not None:
            cards = self.nodes * max(1, len(self.server.gpus))
            if cards > MAX_CARDS:
                raise ValueError(f"expected at most {MAX_CARDS} cards on all nodes of [simulator], found {cards}")
        return self

    def out_of_reach_of(self, far: Sequence[str]) -> str:
        """Return why users of these other machines cannot reach the server, and what to set; empty where they can."""
        if not far:
            return ""
        names = ", ".join(far[:3]) + (f" and {len(far) - 3} more" if len(far) > 3 else "")
        server, attach = self.server, self.attach
        # One that listens everywhere is asked on the loopback address.
        if server is not None and (not server.host or address_of(_url_of(server.host)).is_loopback):
            return (
                f'expected another server.host than "{server.host}", which {names} of load.hosts cannot reach: '
                "an address or a name of this machine that they know"
            )
        if attach is not None and address_of(attach.base_url).is_loopback:
            return (
                f'expected another attach.base_url than "{attach.base_url}", which {names} of load.hosts cannot reach: '
                "an address or a name of the server's machine that they know"
            )
        return ""

    @property
    def simulated(self) -> bool:
        """Say whether the figures come from a model of a server instead of a server."""
        return self.engine == SIMULATED

    @property
    def nodes(self) -> int:
        """Return on how many machines a simulated server runs; 1 for any other."""
        return self.simulator.nodes if self.simulator is not None else 1

    @property
    def gpu_count(self) -> int:
        """Return how many GPUs the profile names, on all nodes; 0 = none by number."""
        return self.nodes * len(self.server.gpus) if self.server is not None else 0

    @property
    def display_title(self) -> str:
        """Return the title, or the name where there is none."""
        return self.title or self.name
