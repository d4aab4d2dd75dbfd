"""The command lines of container runtimes, and what they say when they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.server.containers import keep_context
from tui.core.errors import ProfileError
from tui.engines.catalogue import launch_of
from tui.engines.command_line import command_line
from tui.engines.container import diagnosis_by_runtime
from tui.preflight import Machine, preflight
from tui.profile.loader import parse_profile
from tui.profile.schema import Profile

TWO_L4 = Machine(gpu_names=("NVIDIA L4", "NVIDIA L4"), path="/nowhere")


def profile_of(engine: str = "vllm", container: dict[str, Any] | None = None, **server: Any) -> Profile:
    table = {"image": "vllm/vllm-openai:v0.32.0", **(container or {})}
    return Profile.model_validate(
        {"name": "p", "engine": engine, "server": {"model": "org/m", **server, "container": table}}
    )


def argv_of(profile: Profile) -> list[str]:
    return list(launch_of(profile).plan(profile, 8123, None).argv)


def test_docker_runs_the_engine_s_own_command_on_the_host_s_network() -> None:
    profile = profile_of(gpus=[0, 2], container={"volumes": ["~/models:/models:ro"], "extra_args": ["--init"]})
    plan = launch_of(profile).plan(profile, 8123, None)
    line = " ".join(plan.argv)
    assert plan.container is not None
    assert line.startswith(f"docker run --rm --name {plan.container.name} --network=host --ipc=host --gpus ")
    assert plan.argv[plan.argv.index("--gpus") + 1] == '"device=0,2"'
    assert f"--volume {Path.home()}/models:/models:ro " in line
    assert "--entrypoint vllm --init vllm/vllm-openai:v0.32.0 serve org/m --host 127.0.0.1 --port 8123" in line
    assert plan.scratch_variables == ()
    assert "CUDA_VISIBLE_DEVICES" not in plan.env
    assert plan.container.remove == ("docker", "rm", "--force", plan.container.name)


def test_two_launches_have_two_names() -> None:
    profile = profile_of()
    first, second = (launch_of(profile).plan(profile, 1, None).container for _ in range(2))
    assert first != second


def test_variables_are_passed_by_name_and_the_server_s_key_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_API_KEY", "sk-S3cret12345")
    monkeypatch.setenv("HF_TOKEN", "hf_S3cret12345")
    monkeypatch.delenv("HF_HOME", raising=False)
    profile = profile_of(env={"VLLM_LOGGING_LEVEL": "DEBUG"}, container={"env": ["HF_TOKEN", "HF_HOME"]})
    argv = argv_of(profile)
    passed = [argv[at + 1] for at, word in enumerate(argv) if word == "--env"]
    assert {"VLLM_API_KEY", "HF_TOKEN", "VLLM_LOGGING_LEVEL"} <= set(passed)
    assert "HF_HOME" not in passed
    assert "S3cret" not in " ".join(argv)
    assert "DEBUG" not in " ".join(argv)
    assert "S3cret" not in command_line(profile)


def test_podman_has_gpus_by_cdi_and_does_not_wait_at_removal() -> None:
    profile = profile_of(gpus=[1], container={"runtime": "podman", "shm_size": "16g"})
    plan = launch_of(profile).plan(profile, 1, None)
    assert "--shm-size 16g --device nvidia.com/gpu=1 " in " ".join(plan.argv)
    assert plan.container is not None
    assert plan.container.remove[:5] == ("podman", "rm", "--force", "--time", "0")


def test_apptainer_s_container_is_a_child_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container = {"runtime": "apptainer", "image": "/images/vllm.sif", "volumes": ["/data:/models"]}
    profile = profile_of(gpus=[1], container=container)
    plan = launch_of(profile).plan(profile, 8123, None)
    assert " ".join(plan.argv).startswith("apptainer exec --nv --bind /data:/models /images/vllm.sif vllm serve org/m ")
    assert plan.container is None
    assert plan.env["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.setattr("tempfile.tempdir", "/home/somebody/tmp")  # which is not mounted in it
    assert launch_of(profile).plan(profile, 8123, None).scratch_variables == ()


@pytest.mark.parametrize(
    ("entrypoint", "words"),
    [
        ("server", " img --model-repository /m --http-port 8123"),
        ("wrapper", " img tritonserver --model-repository /m --http-port 8123"),
        ("replaced", " --entrypoint tritonserver img --model-repository /m --http-port 8123"),
    ],
)
def test_an_image_s_own_entrypoint_is_kept_where_the_profile_says_so(entrypoint: str, words: str) -> None:
    line = " ".join(argv_of(profile_of("triton-vllm", {"image": "img", "entrypoint": entrypoint}, model="/m")))
    assert words in line
    assert ("--entrypoint" in line) == (entrypoint == "replaced")


def test_without_gpus_it_needs_none() -> None:
    profile = profile_of(container={"gpus": False})
    assert profile.server is not None
    assert "--gpus" not in argv_of(profile)
    assert launch_of(profile).gpus_needed(profile.server) == 0


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ('image = "--privileged"', "server.container.image"),
        ('image = "i"\nruntime = "dokcer"', 'did you mean "docker"'),
        ('image = "i"\nvolumes = ["/data"]', "server.container.volumes[0]"),
        ('image = "i"\nshm_size = "8 GB"', "server.container.shm_size"),
        ('image = "i"\nenv = ["HF_TOKEN=hf_abcDEF123456"]', "server.container.env[0]"),
        ('image = "i"\nruntime = "apptainer"\nshm_size = "8g"', "apptainer has the host's"),
        ('image = "i"\nvolume = []', "server.container.volume"),
        ("", "server.container.image: found nothing"),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, mistake: str) -> None:
    with pytest.raises(ProfileError) as refused:
        parse_profile(f'name = "p"\nengine = "vllm"\n[server]\nmodel = "m"\n[server.container]\n{text}', "p.toml")
    assert mistake in str(refused.value)
    assert "hf_abcDEF123456" not in str(refused.value)


def test_a_simulated_server_is_in_no_container() -> None:
    with pytest.raises(ProfileError, match=r"no table \[server.container\]"):
        parse_profile(
            'name = "p"\nengine = "simulated"\n[server]\nmodel = "m"\n[server.container]\nimage = "i"', "p.toml"
        )


def test_preflight_says_what_is_not_here(tmp_path: Path) -> None:
    check = preflight(profile_of(container={"volumes": [f"{tmp_path}/none:/x", "cache:/y"]}), TWO_L4)
    assert check.state == "docker not found"
    assert check.missing[0].startswith("docker: not on the PATH; install it, or use a runtime that is here")
    assert [need for need in check.missing if "folder" in need] == [
        f"the folder {tmp_path}/none: not here; make it, or correct server.container.volumes"
    ]
    (tmp_path / "docker").touch(mode=0o755)
    here = Machine(gpu_names=TWO_L4.gpu_names, path=str(tmp_path))
    assert preflight(profile_of(), here).state == "ready"
    assert preflight(profile_of(container={"volumes": [f"{tmp_path}/none:/x"]}), here).state == "no such folder"


@pytest.mark.parametrize(
    ("line", "failure"),
    [
        # By podman 4.3 and docker 28, as run; apptainer itself was not run.
        ("Error: initializing source docker://nope/x:1: pinging registry nope: no such host", "image-missing"),
        ('Error: short-name "n:1" did not resolve to an alias and no unqualified-search registries', "image-missing"),
        ("FATAL:   could not open image /x.sif: failed to retrieve path for /x.sif: no such file", "image-missing"),
        ("Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all", "container-runtime"),
        ("Error: statfs /nowhere/x: no such file or directory", "bad-value"),
        ('Error: runc: unable to start container process: exec: "vllm": executable file not found in $PATH: OCI '
         "runtime attempted to invoke a command that was not found", "executable-missing"),
        ("docker: Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
         "container-runtime"),
        ('Failed to initialize: unable to resolve docker endpoint: context "far": context not found: open '
         "/root/.docker/contexts/meta/5dc/meta.json: no such file or directory", "container-runtime"),
        ("unknown flag: --gpu", "bad-flag"),
    ],
)  # fmt: skip
def test_what_runtimes_say(line: str, failure: str) -> None:
    found = diagnosis_by_runtime(["Trying to pull...", line])
    assert found is not None
    assert (found.failure, found.line) == (failure, line)


def test_the_pull_of_an_image_is_no_failure() -> None:
    assert (
        diagnosis_by_runtime(["Unable to find image 'vllm/vllm-openai:latest' locally", "latest: Pulling from x"])
        is None
    )


@pytest.mark.parametrize(
    ("runtime", "variable", "daemon", "host"),
    [
        ("docker", "DOCKER_HOST", "ssh://me@gpu-7", "gpu-7"),
        ("docker", "DOCKER_HOST", "tcp://10.0.0.7:2376", "10.0.0.7"),
        ("docker", "DOCKER_HOST", "gpu-7:2375", "gpu-7"),
        ("podman", "CONTAINER_HOST", "ssh://me@gpu-7/run/podman.sock", "gpu-7"),
        ("docker", "DOCKER_HOST", "unix:///run/user/1000/docker.sock", ""),
        ("docker", "DOCKER_HOST", "tcp://127.0.0.1:2375", ""),
        ("docker", "DOCKER_HOST", "tcp://[", ""),
        ("docker", "CONTAINER_HOST", "ssh://me@gpu-7", ""),
        ("apptainer", "DOCKER_HOST", "ssh://me@gpu-7", ""),
    ],
)
def test_a_daemon_on_another_host_is_said_before_the_launch(
    runtime: str, variable: str, daemon: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, daemon)
    profile = profile_of(container={"runtime": runtime})
    assert profile.server is not None
    assert launch_of(profile).elsewhere(profile.server) == host
    check = preflight(profile, TWO_L4)
    assert (check.state == "on another host") is bool(host)
    assert any(f"its daemon is on {host}" in need for need in check.missing) is bool(host)


@pytest.mark.parametrize(
    ("variables", "current", "host"),
    [
        ({}, "far", "gpu-7"),
        ({}, "near", ""),
        ({}, "default", ""),
        ({}, "", ""),
        ({}, "gone", ""),  # docker itself will say so
        ({"DOCKER_CONTEXT": "far"}, "near", "gpu-7"),
        ({"DOCKER_CONTEXT": "near"}, "far", ""),
        ({"DOCKER_CONTEXT": "default"}, "far", ""),
        # A host that is named goes before any context.
        ({"DOCKER_HOST": "unix:///var/run/docker.sock"}, "far", ""),
        ({"DOCKER_HOST": "tcp://10.0.0.7:2376", "DOCKER_CONTEXT": "near"}, "far", "10.0.0.7"),
    ],
)
def test_a_docker_context_on_another_host_is_said_before_the_launch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], current: str, host: str
) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".docker"
    keep_context(folder, "far", "ssh://me@gpu-7")
    keep_context(folder, "near", "unix:///run/user/1000/docker.sock")
    (folder / "config.json").write_text(json.dumps({"auths": {}, **({"currentContext": current} if current else {})}))
    profile = profile_of(env=variables)
    assert profile.server is not None
    assert launch_of(profile).elsewhere(profile.server) == host
    assert (preflight(profile, TWO_L4).state == "on another host") is bool(host)
    podman = profile_of(container={"runtime": "podman"}, env=variables)
    assert podman.server is not None
    assert launch_of(podman).elsewhere(podman.server) == ""


@pytest.mark.parametrize("config", [b"", b"[]", b"\xff", b'{"currentContext": 7}', b"[" * 9000])
def test_a_docker_config_that_says_nothing_is_that_of_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: bytes
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_bytes(config)
    profile = profile_of()
    assert profile.server is not None
    assert launch_of(profile).elsewhere(profile.server) == ""
