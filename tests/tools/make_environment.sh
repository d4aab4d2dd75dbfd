#!/usr/bin/env bash
# Installs GuideLLM, AIPerf, `vllm bench serve` and SGLang's bench_serving, each into an environment of its own in the
# folder $1, with the tokenizers that they share; does nothing when all are there. Needs python3 (3.11 to 3.13) and some
# 10 GB of disk. An environment that holds vLLM already is taken from VRAMP_TEST_VLLM.
set -euo pipefail

folder=${1:?usage: make_environment.sh FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
test -e "$folder/tokenizer-of-ids" && exit 0

echo "Installing other tools into $folder (once, some minutes) ..." >&2
mkdir -p "$folder"
made() {
  test -x "$folder/$1/bin/python" || "${PYTHON:-python3}" -m venv "$folder/$1"
  "$folder/$1/bin/python" -m pip install --quiet --disable-pip-version-check "${@:2}"
}
made guidellm guidellm==0.8.1
made aiperf aiperf==0.13.0
# Without a GPU: its benchmark needs nothing of what it runs kernels with, but imports some of it.
made sglang torch torchvision transformers aiohttp requests pillow pybase64 orjson msgspec psutil pyzmq fastapi ipython \
  compressed-tensors apache-tvm-ffi sentencepiece gguf
"$folder/sglang/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps sglang==0.5.23
if test -x "${VRAMP_TEST_VLLM:-}/bin/vllm"; then
  ln -sfn "$(realpath "$VRAMP_TEST_VLLM")" "$folder/vllm"
else
  PYTHON=${PYTHON:-python3} "$here/../real/make_environment.sh" "$folder/vllm"
fi
packages=$(echo "$folder"/*/lib/python3*/site-packages)
texts=()
for path in $packages; do
  for text in "$path"/aiperf/dataset/generator/assets/shakespeare.txt "$path"/faker/providers/lorem/en_US/__init__.py; do
    test -e "$text" && texts+=("$text")
  done
done
"$folder/guidellm/bin/python" "$here/make_tokenizer.py" "$folder/tokenizer" "${texts[@]}"
"$folder/guidellm/bin/python" "$here/make_tokenizer.py" "$folder/tokenizer-of-ids"
