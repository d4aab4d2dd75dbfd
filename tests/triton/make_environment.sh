#!/bin/sh
# Make an environment with a real tritonserver (Triton 2.51, for the CPU), 400 MB.
set -eu
environment=$1
test -x "$environment/bin/python" || "${PYTHON:-python3}" -m venv "$environment"
# Its Python backend corrupts texts with NumPy 2.
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "nvidia-pytriton==0.7.0" "numpy<2"
