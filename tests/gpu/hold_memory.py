"""Hold memory of the first GPU, as another program would. Ends when its standard input does.

    hold_memory.py BYTES           so much
    hold_memory.py --leave BYTES   all that is free beside our own context, but so much

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
    size = int(sys.argv[-1])
    if sys.argv[1] == "--leave":
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        size = free.value - size
    call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(size))
    sys.stdout.write("holding\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
