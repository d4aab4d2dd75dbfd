#!/usr/bin/env bash
# Installs the real `transformers serve` for the CPU into the environment $1 and makes the tiny model of tests/real in
# $1/tiny-model; does nothing when both are there. Needs python3 (3.11 to 3.13) and about 1 GB of disk.
set -euo pipefail

environment=${1:?usage: make_environment.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
version=5.24.0
torch=2.13.0
stamp="$environment/.ready-$version"
test -e "$stamp" && exit 0

echo "Installing transformers $version for the CPU into $environment (once, a few minutes) ..." >&2
"${PYTHON:-python3}" -m venv --clear "$environment"
pip=("$environment/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" "torch==$torch"
"${pip[@]}" "transformers[serving]==$version"
"$environment/bin/python" "$here/../real/tiny_model.py" "$environment/tiny-model"
touch "$stamp"
