#!/usr/bin/env bash
# Installs a real vLLM for NVIDIA GPUs into the environment $1 and makes models without weights in $1/models; does nothing
# when both are there. Needs python3 (3.10 to 3.13), a network and about 10 GB of disk. VLLM="vllm==..." takes another one.
set -euo pipefail

venv=${1:?usage: make_environment.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
vllm=${VLLM:-vllm==0.26.0}
stamp="$venv/.ready-${vllm//[^A-Za-z0-9.]/-}"
test -e "$stamp" && exit 0
# One that was unpacked (unpack.sh) is taken as it is.
test -e "$venv/.unpacked" && exit 0

echo "Installing $vllm into $venv (once, some minutes) ..." >&2
"${PYTHON:-python3}" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$vllm" "ray==2.60.0"
"$venv/bin/python" -m compileall -q "$venv/lib" >/dev/null || true # so that the first start does not compile 10,000 modules
"$venv/bin/python" "$here/models.py" "$venv/models"
touch "$stamp"
