#!/bin/sh
# Make an environment with a real Ray (2.60), Ray Serve and what vramp itself needs, 500 MB.
set -eu
environment=$1
test -x "$environment/bin/python" || "${PYTHON:-python3}" -m venv "$environment"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "ray[client,serve]==2.60.0" "$(dirname "$0")/../.."
