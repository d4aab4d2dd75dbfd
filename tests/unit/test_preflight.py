from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tui import preflight as module
from tui.engines.catalogue import launch_for
from tui.gpu.backend import GpuDescription, GpuInventory
from tui.preflight import FREE_PORT, Machine, estimate, preflight
from tui.profile.loader import parse_profile
from tui.profile.schema import Profile, ServerTable

TWO_L4 = Machine(gpu_names=("NVIDIA L4", "NVIDIA L4"))
BARE = Machine(gpu_note="no NVIDIA driver here (libnvidia-ml.so.1 was not found): install it", path="/nowhere")


def _profile(text: str) -> Profile:
    return parse_profile(f'name = "p"\n{text}', "p.toml")


def _vllm(server: str = "", tail: str = "") -> Profile:
    return _profile(f'engine = "vllm"\n[server]\nmodel = "m"\n{server}\n{tail}')


def test_a_simulated_profile_needs_nothing() -> None:
    check = preflight(_profile('engine = "simulated"\n[server]\nmodel = "m"'), BARE, Path("p.toml"))
    assert (check.state, check.ready, check.missing) == ("simulated", True, [])
    assert "simulate" in check.command_line


def test_what_a_bare_machine_lacks_is_told_one_by_one() -> None:
    check = preflight(_vllm("gpus = [0, 1]"), BARE)
    assert check.state == "vllm not found"
    assert not check.ready
    assert check.missing[0].startswith("2 GPUs: no NVIDIA driver here")
    assert check.missing[1].startswith("vllm: not on the PATH")


def test_too_few_gpus_are_the_state_when_the_program_is_there() -> None:
    check = preflight(_vllm(f'executable = ["{sys.executable}"]\n[server.args]\ntensor-parallel-size = 4'), TWO_L4)
    assert check.state == "needs 4 GPUs"
    assert check.missing == ["4 GPUs: 2 × NVIDIA L4; a smaller degree of parallelism takes fewer"]


def test_a_profile_that_has_all_it_needs_is_ready() -> None:
    check = preflight(_vllm(f'executable = ["{sys.executable}"]\ngpus = [0, 1]'), TWO_L4)
    assert (check.state, check.missing) == ("ready", [])


def test_a_card_in_mig_mode_without_slices_is_of_no_use(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = GpuDescription(index=0, name="A100", mig_mode=True, slices=["A100 MIG 1g.5gb", "A100 MIG 2g.10gb"])
    uncut = GpuDescription(index=1, name="A100", mig_mode=True)
    note = "GPU 1 in MIG mode without slices: nothing can run there"
    monkeypatch.setattr(module, "describe", lambda: GpuInventory(gpus=[cut, uncut], problem=note))
    machine = module.look_at_machine()
    assert machine.gpus_in_words == "1 × A100 (MIG: 1g.5gb, 2g.10gb)"
    need = preflight(_vllm("gpus = [0, 1]"), machine).missing[0]
    assert need.startswith("2 GPUs: 1 × A100 (MIG: 1g.5gb, 2g.10gb)")
    monkeypatch.setattr(module, "describe", lambda: GpuInventory(gpus=[uncut], problem=note))
    assert module.look_at_machine().gpus_in_words == note


def test_the_command_is_exact_but_for_the_port_that_the_launch_picks() -> None:
    check = preflight(_vllm("port = 0\n[server.args]\nmax-model-len = 4096\nenforce-eager = true"), TWO_L4)
    line = check.command_line
    assert line.startswith("vllm serve m ")
    assert "--max-model-len 4096" in line
    assert "--enforce-eager" in line
    assert f"--port {FREE_PORT}" in line
    assert "--port 8123" in preflight(_vllm("port = 8123"), TWO_L4).command_line


def test_an_attached_server_is_ready_unless_its_key_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    text = 'engine = "vllm"\n[attach]\nbase_url = "http://10.0.0.4:8000"\n'
    assert preflight(_profile(text), BARE).state == "attach"
    wanting = _profile(text + 'api_key_env = "SOME_KEY"')
    assert preflight(wanting, BARE).state == "no API key"
    monkeypatch.setenv("SOME_KEY", "s3cret-value")
    check = preflight(wanting, BARE)
    assert check.state == "attach"
    assert "s3cret-value" not in repr(check)


@pytest.mark.parametrize(
    ("server", "gpus"),
    [
        (ServerTable(model="m"), 1),
        (ServerTable(model="m", gpus=[0, 1]), 2),
        (ServerTable(model="m", gpus=[3]), 4),
        (ServerTable(model="m", args={"tensor-parallel-size": 2, "pipeline-parallel-size": 2}), 4),
        (ServerTable(model="m", args={"tensor_parallel_size": 2}), 2),
        (ServerTable(model="m", env={"VLLM_CPU_KVCACHE_SPACE": "4"}), 0),
    ],
)
def test_gpus_needed(server: ServerTable, gpus: int) -> None:
    assert launch_for("vllm").gpus_needed(server) == gpus


def test_steady_cells_take_their_warm_up_and_duration() -> None:
    profile = _vllm(
        tail='[load]\nmode = "steady"\nusers = [1, 2]\nprompt_tokens = [10, 20, 30]\nduration_s = 20\nwarm_up_s = 5'
    )
    assert estimate(profile) == (150.0, "by warm-up and duration per cell")


def test_a_burst_grid_is_estimated_by_its_published_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "vramp" / "profiles" / "references"
    folder.mkdir(parents=True)
    (folder / "mine.csv").write_text("users,prompt_tokens,seconds,outcome\n1,10,3.5,ok\n2,10,4.5,ok\n2,20,,failed\n")
    load = "[load]\nusers = [1, 2]\nprompt_tokens = [10, 20]\nrepeats = 2\n"
    profile = _vllm(tail=f'{load}[reference]\ntable = "mine"')
    assert estimate(profile) == (16.0, "by the published table, which has 3 of the 4 cells")
    assert estimate(_vllm(tail=f'{load}[reference]\ntable = "absent"')) == (None, "")
    assert estimate(_vllm(tail=load)) == (None, "")


def test_a_note_is_short_where_there_is_little_room() -> None:
    assert BARE.gpus_in_short == "no NVIDIA driver here"
    assert TWO_L4.gpus_in_short == "2 × NVIDIA L4"


def _l4s(count: int) -> Machine:
    return Machine(gpu_names=("NVIDIA L4",) * count, gpu_vram_bytes=(24_000_000_000,) * count)


@pytest.mark.parametrize(
    ("model", "gpus", "args", "state"),
    [
        ("mistralai/Mistral-7B-Instruct-v0.2", 1, "", "ready"),
        ("meta-llama/Meta-Llama-3-70B-Instruct", 2, "tensor-parallel-size = 2", "too little VRAM"),
        ("meta-llama/Meta-Llama-3-70B-Instruct", 8, "tensor-parallel-size = 8", "ready"),
        ("casperhansen/llama-3-70b-instruct-awq", 2, "tensor-parallel-size = 2", "ready"),
        ("mistralai/Codestral-22B-v0.1", 1, "", "too little VRAM"),
        ("mistralai/Codestral-22B-v0.1", 1, 'quantization = "fp8"', "too little VRAM"),
        ("mistralai/Codestral-22B-v0.1", 1, 'quantization = "gptq"', "ready"),
        ("/models/mine", 1, "", "ready"),
    ],
)
def test_a_model_whose_weights_alone_do_not_fit_is_told(model: str, gpus: int, args: str, state: str) -> None:
    text = f'engine = "vllm"\n[server]\nmodel = "{model}"\nexecutable = ["{sys.executable}"]\n[server.args]\n{args}'
    check = preflight(_profile(text), _l4s(gpus))
    assert check.state == state
    assert [need.startswith("some ") for need in check.missing] == ([True] if state != "ready" else [])


def test_a_port_that_another_program_has_is_told_with_what_helps() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        check = preflight(_vllm(f'port = {port}\nexecutable = ["{sys.executable}"]'), _l4s(1))
        assert check.state == f"port {port} taken"
        assert check.missing == [f"port {port}: another program has it; server.port = 0 takes a free one"]
    assert preflight(_vllm(f'port = {port}\nexecutable = ["{sys.executable}"]'), _l4s(1)).ready


def test_what_users_of_other_hosts_take(monkeypatch: pytest.MonkeyPatch) -> None:
    served = 'engine = "simulated"\n[server]\nmodel = "m"\nhost = "10.0.0.1"\n[load]\nhosts = '
    check = preflight(_profile(f'{served}["local", "ssh://gpu1", "ssh://gpu2:22"]'), BARE)
    assert check.ready and check.state == "simulated"
    assert [(need.what, need.met, need.here) for need in check.needs[-1:]] == [
        ("hosts", None, "gpu1, gpu2:22, reached at the launch")
    ]
    monkeypatch.setenv("PATH", "/nowhere")
    check = preflight(_profile(f'{served}["ssh://gpu1"]'), BARE)
    assert (check.state, check.missing) == ("no ssh", ["ssh: not on the PATH; install it"])
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    check = preflight(_profile(f'{served}"ray://auto"'), BARE)
    assert (check.state, check.missing) == ("no Ray", ["Ray: not installed; pip install 'vramp[ray]'"])
