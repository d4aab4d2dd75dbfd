"""Packs vLLM, Ray and vramp for a GPU machine without network: `python tests/gpu/pack.py OUT [--part-mib N]`.

The machine must have CPython 3.12 on x86-64 Linux with PyTorch 2.11 for CUDA 13, as images for such machines do, and
what mostly comes with it; requirements-packed.txt says what is packed. The kernels are slimmed to one architecture (90:
H100, H200), so that all of it has some 82 MiB. Needs pip with a network, 2 GB of disk and some minutes.
OUT gets part1.tar, part2.tar ...; unpack.sh takes them on the other side. The kernels for mixtures of experts and
Ray come last: without them all tests run but those that need them.
"""

from __future__ import annotations

import argparse
import fnmatch
import io
import lzma
import re
import subprocess
import sys
import tarfile
import zipfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.gpu.slim_kernels import slim  # noqa: E402

VLLM = "vllm==0.26.0"
RAY = "ray==2.60.0"
# Kernels of other cards and of models that the tests do not serve, and the Rust front end.
NOT_PACKED = (
    *("vllm/vllm-rs", "vllm/vllm_flash_attn/_vllm_fa2_C*", "vllm/_flashmla*", "vllm/_qutlass_C*"),
    *("vllm/third_party/fmha_sm100/*", "vllm/third_party/deep_gemm/*", "vllm/third_party/flashmla/*"),
    *("mistral_common/data/*", "pycountry/locales/*"),
    *("ray/jars/*", "ray/cpp/*", "ray/rllib/*", "ray/tune/*", "ray/train/*", "ray/data/*", "ray/dashboard/client/*"),
    *("*/tests/*", "*/RECORD", "*.a", "*.h", "*.hpp", "*.jpg", "*.png"),
)
# Of the lock, what is for building and checking alone, what these tests do not ask for, and what images bring.
TOOLS = (
    *("ruff-", "mypy-", "librt-", "grimp-", "import_linter-", "types_", "hatchling-", "hypothesis-", "openai-"),
    *("pyarrow-", "pandas-", "polars", "numpy-", "botocore-", "pygal-", "uvloop-", "aiohttp-", "textual_serve-"),
    *("ast_serialize-", "trove_classifiers-", "tomlkit-"),
)
KERNELS = (
    "vllm/_C_stable_libtorch.abi3.so",
    "vllm/vllm_flash_attn/_vllm_fa3_C.abi3.so",
    "vllm/_moe_C_stable_libtorch.abi3.so",
)
PLATFORMS = ("any", *(f"manylinux_2_{minor}_x86_64" for minor in (35, 34, 31, 28, 27, 26, 24, 17, 12, 5)))
PLATFORMS += ("manylinux2014_x86_64", "manylinux1_x86_64")


def download(folder: Path, *wanted: str) -> list[Path]:
    """Fetch wheels, without what they depend on; return them."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", "3.12", "--implementation", "cp", "-d", str(folder)]
    command += [part for abi in ("cp312", "abi3", "none") for part in ("--abi", abi)]
    command += [part for platform in PLATFORMS for part in ("--platform", platform)]
    subprocess.run([*command, *wanted], check=True)
    return sorted(folder.glob("*.whl"))


def packed(target: Path, files: dict[str, bytes]) -> Path:
    """Write files as one .tar.xz, alike beside alike."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name in sorted(files, key=lambda each: (Path(each).suffix, each)):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(files[name]), 0o755 if ".so" in name else 0o644
            archive.addfile(info, io.BytesIO(files[name]))
    target.write_bytes(lzma.compress(raw.getvalue(), preset=9))
    return target


def packed_kernel(wheel: Path, name: str, target: Path, architecture: int) -> Path:
    """Write one library of kernels, slimmed."""
    with zipfile.ZipFile(wheel) as source:
        data = bytearray(source.read(name))
    slim(data, architecture)
    return packed(target, {f"site/{name}": bytes(data)})


def files_of(wheels: list[Path], folder: str) -> dict[str, bytes]:
    """Return what the wheels install, below `folder`."""
    found = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as source:
            for name in source.namelist():
                if name.endswith("/") or any(fnmatch.fnmatch(name, each) for each in (*NOT_PACKED, *KERNELS)):
                    continue
                found[f"{folder}/{re.sub(r'^[^/]+[.]data/(?:purelib|platlib)/', '', name)}"] = source.read(name)
    return found


def main() -> None:
    """Fetch, slim, pack, and cut into parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--part-mib", type=float, default=1024.0, help="of one part, MiB")
    parser.add_argument("--architecture", type=int, default=90, help="the card's compute capability, e.g. 90, 80")
    wish = parser.parse_args()
    wheels, blobs = wish.out / "wheels", wish.out / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    (vllm,) = download(wheels / "vllm", VLLM)
    (ray,) = download(wheels / "ray", RAY)
    needed = download(wheels / "needed", "-r", str(HERE / "requirements-packed.txt"))
    own = download(wheels / "vramp", "-r", str(ROOT / "requirements.lock"))
    there = {wheel.name for wheel in needed}
    own = [wheel for wheel in own if wheel.name not in there and not wheel.name.startswith(TOOLS)]
    with ProcessPoolExecutor() as pool:
        jobs = [
            pool.submit(packed, blobs / "1-vramp.tar.xz", files_of(own, "site-vramp")),
            pool.submit(packed, blobs / "2-needed.tar.xz", files_of(needed, "site")),
            pool.submit(packed, blobs / "3-vllm.tar.xz", files_of([vllm], "site")),
            *(
                pool.submit(packed_kernel, vllm, name, blobs / f"4-{Path(name).name}.tar.xz", wish.architecture)
                for name in KERNELS
            ),
            pool.submit(packed, blobs / "5-ray.tar.xz", files_of([ray], "site")),
        ]
        done = [job.result() for job in jobs]
    parts(done, wish.out, wish.part_mib * 2**20)


def parts(blobs: list[Path], out: Path, most_bytes: float) -> None:
    """Write the parts: as many blobs each as fit."""
    groups: list[list[Path]] = [[]]
    for blob in blobs:
        if groups[-1] and sum(each.stat().st_size for each in (*groups[-1], blob)) > most_bytes:
            groups.append([])
        groups[-1].append(blob)
    for number, group in enumerate(groups, 1):
        part = out / f"part{number}.tar"
        with tarfile.open(part, "w") as archive:
            for blob in group:
                archive.add(blob, blob.name)
        sys.stdout.write(f"{part}: {part.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
