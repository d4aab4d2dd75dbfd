#!/bin/sh
# Make an environment that has both the real vLLM of one and the real Ray Serve of another, and what ray.serve.llm needs
# besides. Ray's own extra, ray[llm], would bring another vLLM, for GPUs.
set -eu
environment=$1 vllm=$2 ray=$3
stamp="$environment/.ready"
test -e "$stamp" && exit 0
"$vllm/bin/python" -m venv --clear "$environment"
where='import sysconfig; print(sysconfig.get_path("purelib"))'
for other in "$vllm" "$ray"; do "$other/bin/python" -c "$where"; done > "$("$environment/bin/python" -c "$where")/others.pth"
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check jsonref pyarrow
touch "$stamp"
