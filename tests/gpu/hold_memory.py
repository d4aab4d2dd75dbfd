"""Hold memory of the first GPU, as another program would: `hold_memory.py BYTES`. Ends when its standard input does.

By the CUDA driver alone, so that no PyTorch is needed. Says "holding" once it does.
"""

from __future__ import annotations

import ctypes
import sys


def main() -> None:
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()

    def call(name: str, *arguments: object) -> None:
        if error := getattr(cuda, name)(*arguments):
            sys.exit(f"{name}: CUDA error {error}")

    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(int(sys.argv[1])))
    sys.stdout.write("holding\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
