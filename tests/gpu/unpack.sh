#!/usr/bin/env bash
# On the GPU machine without network: unpack what pack.py made into the environment $1, from the parts that follow.
#   PYTHON=/path/to/python3.12-with-torch tests/gpu/unpack.sh .venv-vllm-gpu part1.tar part2.tar ...
set -euo pipefail

environment=${1:?usage: unpack.sh FOLDER PART...}
shift
python=$(command -v "${PYTHON:-python3}")
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$environment/bin"
environment=$(cd "$environment" && pwd)
"$python" - "$environment" "$@" <<'EOF'
import io, lzma, sys, tarfile
from concurrent.futures import ProcessPoolExecutor

def unpack(part, name):
    with tarfile.open(part) as outer:
        data = lzma.decompress(outer.extractfile(name).read())
    with tarfile.open(fileobj=io.BytesIO(data)) as inner:
        inner.extractall(sys.argv[1], filter="data")
    return name

if __name__ == "__main__":
    blobs = [(part, name) for part in sys.argv[2:] for name in tarfile.open(part).getnames()]
    with ProcessPoolExecutor() as pool:
        for job in [pool.submit(unpack, *blob) for blob in blobs]:
            print(job.result(), flush=True)
EOF
# What would ask a network, or compile at the first request, is off.
cat >"$environment/bin/python-vllm" <<EOF
#!/usr/bin/env bash
export PYTHONPATH=$environment/site PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 VLLM_NO_USAGE_STATS=1
export VLLM_USE_FLASHINFER_SAMPLER=0 VLLM_USE_DEEP_GEMM=0 GLOO_SOCKET_IFNAME=lo NCCL_SOCKET_IFNAME=lo
export VLLM_CACHE_ROOT=$environment/cache/vllm TRITON_CACHE_DIR=$environment/cache/triton HF_HOME=$environment/cache/hf
exec $python "\$@"
EOF
cat >"$environment/bin/vllm" <<EOF
#!/usr/bin/env bash
export VLLM_HOST_IP=127.0.0.1
exec $environment/bin/python-vllm -m vllm.entrypoints.cli.main "\$@"
EOF
cat >"$environment/bin/python" <<EOF
#!/usr/bin/env bash
export PYTHONPATH=$environment/site-vramp:$environment/site:\${PYTHONPATH:-}
exec $python "\$@"
EOF
chmod +x "$environment"/bin/*
chmod -f +x "$environment"/site/ray/core/src/ray/*/{gcs_server,raylet} || true
"$environment/bin/python" -m compileall -q -j 0 "$environment/site" "$environment/site-vramp" >/dev/null || true
"$environment/bin/python" "$here/models.py" "$environment/models"
# What vLLM imports first and an image may lack: better told now than by a server that does not start.
PYTHONPATH=$environment/site "$python" -c 'import torch, pydantic, fastapi, transformers, vllm; print("vLLM", vllm.__version__)'
touch "$environment/.unpacked"
