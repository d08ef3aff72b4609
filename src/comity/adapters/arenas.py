"""How many heaps the C library keeps for a program's threads."""

import ctypes

M_ARENA_MAX = -8
"""Of malloc.h."""

FEW = 2


def limit() -> None:
    """Have freed memory kept in two heaps; else each of a program's first threads gets one of its own, up to eight for
    a CPU, and keeps what its largest pieces took.

    Does nothing where the C library is not glibc. To be called before threads are started.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, FEW)
