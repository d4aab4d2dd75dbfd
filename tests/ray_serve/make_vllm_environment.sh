#!/bin/sh
# Make an environment that has both the real vLLM of one and the real Ray Serve of another, and what ray.serve.llm needs
# besides. Ray's own extra, ray[llm], would bring another vLLM, for GPUs.
set -eu
environment=$1 vllm=$2 ray=$3
here=$(dirname "$0")
stamp="$environment/.ready-3"
test -e "$stamp" && exit 0
"$vllm/bin/python" -m venv --clear "$environment"
where='import sysconfig; print(sysconfig.get_path("purelib"))'
site=$("$environment/bin/python" -c "$where")
for other in "$vllm" "$ray"; do "$other/bin/python" -c "$where"; done > "$site/others.pth"
echo 'import naps' >> "$site/others.pth"  # no .pth of those folders is read: here is what vLLM's has
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check jsonref pyarrow
# vLLM finds its plugins by their entry points.
cp "$here/cpu_over_ray.py" "$here/cpu_over_ray_platform.py" "$site"
plugin="$site/cpu_over_ray-1.dist-info"
mkdir -p "$plugin"
printf 'Metadata-Version: 2.1\nName: cpu-over-ray\nVersion: 1\n' > "$plugin/METADATA"
printf '[vllm.platform_plugins]\ncpu_over_ray = cpu_over_ray:register\n' > "$plugin/entry_points.txt"
touch "$stamp"
