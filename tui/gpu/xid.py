"""What NVIDIA's Xid errors mean, in words. Pure.

Source: NVIDIA, "Xid Errors" (https://docs.nvidia.com/deploy/xid-errors/), the ones that a serving machine sees.
"""

from __future__ import annotations

_WORDS = {
    8: "the GPU stopped processing",
    13: "an exception in a kernel, as by an access out of bounds",
    31: "a page fault: a kernel touched memory that is not its own",
    32: "a corrupted push buffer",
    43: "a kernel was stopped for a fault of its own",
    45: "what ran was cleaned up after an earlier error or a killed process",
    48: "a double-bit ECC error: memory that cannot be trusted",
    61: "a warning of the card's microcontroller",
    62: "the card's microcontroller halted",
    63: "a memory row was remapped or a page retired",
    64: "a memory row could not be remapped or a page not retired",
    74: "an NVLink error",
    79: "the GPU has fallen off the bus",
    92: "many single-bit ECC errors",
    94: "an ECC error that was contained: what ran on it has to be restarted",
    95: "an ECC error that was not contained: the GPU needs a reset",
    109: "a context switch timed out",
    119: "the card's GSP firmware does not answer",
    120: "an error in the card's GSP firmware",
    121: "an error on the link to the CPU (C2C)",
    140: "an ECC error that was not recovered",
    143: "the GPU failed to initialize",
    154: "the GPU's state changed: it needs a recovery action",
}


def xid_in_words(xid: int) -> str:
    """Return what an Xid error says, e.g. "Xid 79: the GPU has fallen off the bus"."""
    words = _WORDS.get(xid)
    return f"Xid {xid}: {words}" if words else f"Xid {xid}"
