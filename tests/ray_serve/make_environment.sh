#!/bin/sh
# Make an environment with a real Ray Serve (Ray 2.60), 300 MB.
set -eu
environment=$1
test -x "$environment/bin/python" || "${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "ray[serve]==2.60.0"
