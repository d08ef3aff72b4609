"""How the C library keeps memory that a program has freed."""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Of malloc.h."""

FEW = 2

KEPT = 8 << 20
"""Bytes at the end of a heap that are kept."""


def limit(*, large: int) -> None:
    """Have freed memory kept in two heaps, and pieces from `large` bytes on outside of them.

    Else each of a program's first threads gets a heap of its own, up to eight for a CPU, and keeps what its largest
    pieces took. A piece outside comes from the system, which clears its pages, and goes back to it: who makes many for
    a moment pays as much for that as for sealing them, who keeps many that are hardly used pays for them in a heap.

    Does nothing where the C library is not glibc. To be called before threads are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, FEW)
        mallopt(M_MMAP_THRESHOLD, large)
        mallopt(M_TRIM_THRESHOLD, KEPT)
