"""The floor of starting a task: fork, exit and wait in a process that has imported the same modules.

Usage: python forking.py MODULE...; a line of input asks for one fork, whose seconds are printed.
"""

import gc
import os
import sys
from importlib import import_module
from time import perf_counter


def fork_and_wait() -> float:
    begun = perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return perf_counter() - begun


if __name__ == "__main__":
    for name in sys.argv[1:]:
        import_module(name)
    gc.collect()
    gc.freeze()
    for _ in sys.stdin:
        print(fork_and_wait(), flush=True)
