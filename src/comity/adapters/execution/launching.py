"""Become another program, with the limits of a task.

Usage: python -I -S launching.py PROCESSES OPEN_FILES FILE_BYTES FOLDER PROGRAM ARGUMENT...

Only the standard library is used; it runs within a sandbox. PROCESSES is 0 where those of others would be counted too.
"""

import os
import resource
import sys


def main() -> None:
    processes, open_files, file_bytes = map(int, sys.argv[1:4])
    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: open_files, resource.RLIMIT_FSIZE: file_bytes}
    if processes:
        limits[resource.RLIMIT_NPROC] = processes
    for limit, value in limits.items():
        _, most = resource.getrlimit(limit)
        lower = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (lower, lower))
    os.chdir(sys.argv[4])
    os.execv(sys.argv[5], sys.argv[5:])


if __name__ == "__main__":
    main()
