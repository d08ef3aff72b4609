"""How the C library keeps memory that a program has freed."""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Of malloc.h."""

FEW = 2

KEPT = 8 << 20
"""Bytes at the end of a heap that are kept."""

LARGE = 4 << 20
"""Bytes of what is given back at once."""


def limit() -> None:
    """Have freed memory kept in two heaps; else each of a program's first threads gets one of its own, up to eight for
    a CPU, and keeps what its largest pieces took.

    And have pieces of a parcel, a megabyte each, lie in those heaps: where each comes from the system and goes back to
    it, the system clears its pages every time, which costs more than sealing them.

    Does nothing where the C library is not glibc. To be called before threads are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, FEW)
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)
