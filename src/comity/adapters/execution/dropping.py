"""Become an ordinary user, with some folders of root's within reach, and then another program.

Usage: python -I -S dropping.py UID FOLDER... -- PROGRAM ARGUMENT...

In a mount namespace of its own, the n-th FOLDER is to be found at STAGE/n, wherever it lies: the ordinary user may
have no way to it. Only the standard library is used: this is run as root, before the sandbox is there.
"""

import ctypes
import os
import stat
import sys

STAGE = "/tmp"
"""Hidden under an empty folder in that namespace."""

CLONE_NEWNS = 0x20000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 0x1000, 0x4000, 1 << 18

LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    if LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"cannot mount {source} at {target}")


def stage(folders: list[str]) -> None:
    """Bind each where the ordinary user may pass."""
    if LIBC.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "cannot have a mount namespace")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    found = [os.open(folder, os.O_PATH | os.O_CLOEXEC) for folder in folders]  # before they may be hidden
    mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")
    for number, descriptor in enumerate(found):
        place = f"{STAGE}/{number}"
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.mkdir(place)  # noqa: PTH102
        else:
            os.close(os.open(place, os.O_CREAT))
        mount(f"/proc/self/fd/{descriptor}", place, "", MS_BIND | MS_REC)


def main() -> None:
    split = sys.argv.index("--")
    user, folders, program = int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1 :]
    stage(folders)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
