"""What a profile would run, what this machine lacks for it, and how long its grid takes. Starts nothing.

Reads the PATH, NVML and the published tables: call it from a thread.
"""

from __future__ import annotations

import errno
import os
import re
import shlex
import shutil
import socket
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from tui.core.errors import UsageError, VrampError
from tui.core.secrets import hide_in_document, hide_in_words
from tui.engines.catalogue import launch_of, mistakes_in
from tui.engines.engine import Launch
from tui.engines.parts.weights import weights_bytes
from tui.engines.ray_serve.launch import ATTACH_INSTEAD, SERVES_ALREADY
from tui.gpu.nvml import describe
from tui.profile.catalogue import reference_table
from tui.profile.container_table import ContainerTable
from tui.profile.load_hosts import RayPlace, SshPlace, places_of
from tui.profile.ray_table import RayTable
from tui.profile.schema import AttachTable, Mode, Profile, ServerTable
from tui.server.on_cluster import room_in_words
from tui.server.ray_cluster import ClusterUnknown, RayCluster

SIMULATED = "simulated"
FREE_PORT = "FREE_PORT"
"""Stands in a shown command for the port that the launch picks."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to serve on."""

    gpu_names: tuple[str, ...] = ()
    gpu_note: str = ""
    """Why there are no GPUs to be seen; empty when there are."""
    gpu_vram_bytes: tuple[int | None, ...] = ()
    """Of each GPU; None = not told, or cut into slices."""
    gpu_used_bytes: tuple[int | None, ...] = ()
    """Of each GPU, by all processes now; None as above."""
    path: str | None = None
    """Where executables are looked for; None = the PATH."""

    @property
    def gpus_in_words(self) -> str:
        """Return e.g. "2 × NVIDIA L4", or why there are none."""
        if not self.gpu_names:
            return self.gpu_note or "no GPU"
        counted = {name: self.gpu_names.count(name) for name in self.gpu_names}
        return ", ".join(f"{count} × {name}" for name, count in counted.items())

    @property
    def gpus_in_short(self) -> str:
        """Return the same in a few words, without the advice."""
        return re.split(r"[(:;]", self.gpus_in_words)[0].strip()


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a launch takes."""

    what: str
    met: bool | None
    """None = it is not known before the launch."""
    here: str
    """What there is of it."""
    helps: str = ""
    """What to do when it is not met."""


@dataclass(frozen=True, slots=True)
class VramPlan:
    """What a launch would take of the smallest of its GPUs, by estimate. Bytes."""

    weights_bytes: float
    allowed_bytes: float
    """What the server may take of it, weights and KV cache together."""
    total_bytes: int
    used_bytes: int | None
    """By others, now."""
    gpus: int

    @property
    def kv_bytes(self) -> float:
        """What is left for the KV cache and for work space."""
        return max(0.0, self.allowed_bytes - self.weights_bytes)

    @property
    def over_bytes(self) -> float:
        """How much more it would take than is free; 0 = it fits beside the others."""
        lacking = self.weights_bytes - self.allowed_bytes
        if self.used_bytes is not None:
            lacking = max(lacking, self.allowed_bytes + self.used_bytes - self.total_bytes)
        return max(0.0, lacking)


@dataclass(frozen=True, slots=True)
class Preflight:
    """The answer for one profile on one machine."""

    state: str
    """In a word or three: ready, simulated, attach, needs 4 GPUs, vllm not found, no API key, no
    adapter, mistakes, port 8000 taken, too little VRAM, no such folder."""
    needs: tuple[Need, ...] = ()
    argv: tuple[str, ...] = ()
    """The command as it will be run; empty for a server that runs already."""
    env: tuple[str, ...] = ()
    """`NAME=value` that the profile adds to the environment."""
    vram: VramPlan | None = None
    """None = not known, or no GPU."""
    estimate_s: float | None = None
    """How long the whole grid takes, without the launch."""
    estimate_by: str = ""
    """What the estimate stands on."""

    @property
    def missing(self) -> list[str]:
        """Return what is not here, one line each; empty = nothing stands against a launch."""
        lacking = [need for need in self.needs if need.met is False]
        return [f"{need.what}: {need.here}" + (f"; {need.helps}" if need.helps else "") for need in lacking]

    @property
    def ready(self) -> bool:
        """Say whether nothing is missing."""
        return not self.missing

    @property
    def command_line(self) -> str:
        """Return the command as one line for a shell."""
        return shlex.join(self.argv)


def look_at_machine() -> Machine:
    """Return what this machine has. Never raises."""
    inventory = describe()
    usable = [gpu for gpu in inventory.gpus if gpu.usable]
    return Machine(
        gpu_names=tuple(gpu.in_words for gpu in usable),
        gpu_note=inventory.problem or ("" if usable else "no GPU"),
        gpu_vram_bytes=tuple(None if gpu.slices else gpu.vram_total_bytes for gpu in usable),
        gpu_used_bytes=tuple(None if gpu.slices else gpu.vram_used_bytes for gpu in usable),
    )


def preflight(profile: Profile, machine: Machine | None = None, profile_path: Path | None = None) -> Preflight:
    """Return what launching `profile` here comes to. Never raises."""
    check = _without_hosts(profile, machine or look_at_machine(), profile_path)
    needs = _hosts_needs(profile)
    lacking = [need for need in needs if need.met is False]
    state = f"no {lacking[0].what}" if lacking and check.ready else check.state
    return replace(check, state=state, needs=(*check.needs, *needs)) if needs else check


def _without_hosts(profile: Profile, machine: Machine, profile_path: Path | None) -> Preflight:
    estimate_s, estimate_by = estimate(profile)
    needs: tuple[Need, ...]
    if profile.attach is not None:
        return _of_attached(profile.attach, estimate_s, estimate_by)
    assert profile.server is not None
    try:
        launch = launch_of(profile)
        plan = launch.plan(profile, profile.server.port, profile_path)
    except UsageError as error:
        lacking = Need(f"an adapter for {profile.engine}", False, str(error))
        return Preflight("no adapter", (lacking,), estimate_s=estimate_s, estimate_by=estimate_by)
    if wrong := mistakes_in(profile):
        needs = tuple(Need("a profile that can be launched", False, mistake) for mistake in wrong)
        return Preflight("mistakes", needs, estimate_s=estimate_s, estimate_by=estimate_by)
    vram = None
    if profile.simulated:
        state, needs = SIMULATED, (Need("a simulated server", True, "part of this program"),)
    else:
        vram = _vram_plan(launch, profile, profile.server, machine, launch.gpus_needed(profile.server))
        state, needs = _of_launched(launch, profile, profile.server, machine, vram)
    if (port := _port_need(profile.server)) is not None:
        needs = (*needs, port)
        state = f"port {profile.server.port} taken" if port.met is False else state
    env = hide_in_document({**plan.env, **profile.server.env})
    return Preflight(
        state=state,
        needs=needs,
        argv=_shown_argv(tuple(hide_in_words(plan.argv)), profile.server.port),
        env=tuple(f"{name}={value}" for name, value in env.items()),
        vram=vram,
        estimate_s=estimate_s,
        estimate_by=estimate_by,
    )


def _hosts_needs(profile: Profile) -> tuple[Need, ...]:
    """Return what it takes to have users ask from other hosts."""
    places = [place for place in places_of(profile.load.hosts) if place is not None]
    if not places:
        return ()
    if isinstance(places[0], RayPlace):
        there = find_spec("ray") is not None
        tool = Need("Ray", there, "installed" if there else "not installed", "pip install 'vramp[ray]'")
        return tool, Need("hosts", None, f"{places[0].name}, reached at the launch")
    ssh = shutil.which("ssh")
    names = ", ".join(place.name for place in places if isinstance(place, SshPlace))
    return Need("ssh", ssh is not None, ssh or "not on the PATH", "install it"), Need(
        "hosts", None, f"{names}, reached at the launch"
    )


def _of_attached(attach: AttachTable, estimate_s: float | None, estimate_by: str) -> Preflight:
    needs = [Need(f"a server at {attach.base_url}", None, "asked when you attach")]
    if attach.api_key_env:
        there = attach.api_key_env in os.environ
        here = "set" if there else "not set in the environment"
        needs.append(Need(f"the key in {attach.api_key_env}", there, here, f"export {attach.api_key_env}=..."))
    ready = all(need.met is not False for need in needs)
    return Preflight("attach" if ready else "no API key", tuple(needs), estimate_s=estimate_s, estimate_by=estimate_by)


def _of_launched(
    launch: Launch, profile: Profile, server: ServerTable, machine: Machine, plan: VramPlan | None
) -> tuple[str, tuple[Need, ...]]:
    executable, wanted = launch.command(server)[0], launch.gpus_needed(server)
    found = shutil.which(executable, path=machine.path)
    if server.ray is not None:
        gpus = _gpus_of_cluster(launch, server, server.ray, wanted)
    else:
        fewer = "a smaller degree of parallelism takes fewer" if machine.gpu_names else ""
        gpus = Need(_gpus(wanted), len(machine.gpu_names) >= wanted, machine.gpus_in_words, fewer)
    contained = server.container
    helps = "install it, or give its path in server.executable"
    if contained is not None:
        helps = "install it, or use a runtime that is here: server.container.runtime"
    program = Need(executable, found is not None, found or "not on the PATH", helps)
    vram = _vram_need(plan) if gpus.met and plan is not None else None
    state = "ready"
    if vram is not None and not vram.met:
        state = "too little VRAM"
    if not gpus.met:
        state = f"needs {_gpus(wanted)}"
    if not program.met:
        state = f"{Path(executable).name} not found"
    image = () if contained is None else _container_needs(contained)
    if other := launch.elsewhere(server):
        helps = f"run vramp on {other}, or start the server there and attach to it: [attach]"
        here = f"its daemon is on {other}, and so are its port and its GPUs, which cannot be watched from here"
        return "on another host", (gpus, program, Need("a container on this host", False, here, helps), *image)
    if program.met and any(need.met is False for need in image):
        state = "no such folder"
    return state, (gpus, program, *image, *((vram,) if vram is not None else ()))


def _gpus_of_cluster(launch: Launch, server: ServerTable, table: RayTable, wanted: int) -> Need:
    """Return the GPUs that a server over several machines takes, against what their cluster has free now."""
    what = f"{_gpus(wanted)} of the Ray cluster ({table.address})"
    try:
        state = RayCluster(launch.command(server), table.address, launch.environment(server)).state()
    except ClusterUnknown as error:
        helps = "ray start --head here, ray start --address=HEAD:6379 on each other machine"
        return Need(what, False, f"it cannot be asked: {error}", helps)
    if launch.is_ray_serve and state.serves:
        return Need(what, False, SERVES_ALREADY, ATTACH_INSTEAD)
    return Need(what, state.free_gpus >= wanted, room_in_words(state), "a smaller degree of parallelism takes fewer")


def _container_needs(table: ContainerTable) -> tuple[Need, ...]:
    """Return the image, which nobody is asked for before the launch, and what is here of what it is to be given."""
    image = Path(table.image).expanduser()
    if table.runtime == "apptainer" and table.image.endswith(".sif"):
        needs = [Need("the image", image.is_file(), table.image, "apptainer pull writes one")]
    else:
        needs = [Need("the image", None, f"{table.image}, pulled at the launch where it is not here")]
    for volume in table.volumes:
        folder = str(Path(volume.partition(":")[0]).expanduser())
        if "/" in folder and not Path(folder).exists():  # else it is a volume of the runtime's own
            needs.append(
                Need(f"the folder {folder}", False, "not here", "make it, or correct server.container.volumes")
            )
    for name in table.env:
        if name not in os.environ:
            needs.append(Need(f"the variable {name}", None, "not set, so that the container does not get it"))
    return tuple(needs)


def _vram_plan(launch: Launch, profile: Profile, server: ServerTable, machine: Machine, wanted: int) -> VramPlan | None:
    """Return what it takes of the smallest of its GPUs; None where weights or cards are not told."""
    weights = weights_bytes((server.model, profile.name, profile.title), server.args)
    places = [place for place in server.gpus if place < len(machine.gpu_vram_bytes)]
    places = (places or list(range(len(machine.gpu_vram_bytes))))[: max(1, wanted)]
    known = [(size, place) for place in places if (size := machine.gpu_vram_bytes[place]) is not None]
    if weights is None or not wanted or not known or len(known) < len(places):
        return None
    total, _ = min(known)
    used = [machine.gpu_used_bytes[place] for place in places if place < len(machine.gpu_used_bytes)]
    return VramPlan(
        weights_bytes=weights * launch.weight_copies(server) / wanted,
        allowed_bytes=total * launch.vram_share(server),
        total_bytes=total,
        used_bytes=max((each for each in used if each is not None), default=None),
        gpus=wanted,
    )


def _vram_need(plan: VramPlan) -> Need:
    """Return what the weights take by estimate, against the smallest of the GPUs."""
    return Need(
        f"some {plan.weights_bytes / 1e9:.0f} GB for weights",
        plan.weights_bytes < plan.allowed_bytes,
        f"by estimate, on each GPU; {plan.allowed_bytes / 1e9:.0f} GB of {plan.total_bytes / 1e9:.0f} may be used",
        "more GPUs to share them, or a quantised model (awq, gptq, fp8)",
    )


def _port_need(server: ServerTable) -> Need | None:
    """Return whether the server's port is free; None where it takes any free one."""
    if server.port == 0:
        return None
    need = Need(f"port {server.port}", True, f"free on {server.host}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            probe.bind(address)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            return replace(need, met=None, here="it is seen at the launch")
        why = "another program has it" if error.errno == errno.EADDRINUSE else "it takes more rights than yours"
        return replace(need, met=False, here=why, helps="server.port = 0 takes a free one")
    return need


def estimate(profile: Profile) -> tuple[float | None, str]:
    """Return how long the grid takes (s) and by what: the clock of modes steady and rate, the published table of
    mode burst. None where nothing tells."""
    load = profile.load
    cells = [(users, tokens) for users in load.users for tokens in load.prompt_tokens]
    if load.mode is not Mode.BURST:
        return (load.warm_up_s + load.duration_s) * len(cells), "by warm-up and duration per cell"
    if profile.reference is None or profile.reference.table is None:
        return None, ""
    try:
        table = reference_table(profile.reference.table)
    except VrampError:
        return None, ""
    known = [table[cell].seconds for cell in cells if cell in table]
    seconds = [value for value in known if value is not None]
    if not seconds:
        return None, ""
    share = f", which has {len(known)} of the {len(cells)} cells" if len(known) < len(cells) else ""
    return sum(seconds) * load.repeats, f"by the published table{share}"


def _gpus(count: int) -> str:
    return "no GPU" if count == 0 else f"{count} GPU{'s' if count > 1 else ''}"


def _shown_argv(argv: tuple[str, ...], port: int) -> tuple[str, ...]:
    """Return the command with the one thing left open that is chosen at the launch: a free port."""
    shown = list(argv)
    if port == 0 and "--port" in shown[:-1]:
        shown[shown.index("--port") + 1] = FREE_PORT
    return tuple(shown)
