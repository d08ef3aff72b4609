"""Run a program as an ordinary user who can pass to some folders of root's, and changes nothing for anybody else.

Usage: python ordinary.py UID FOLDER... -- PROGRAM ARGUMENT...

In a mount namespace of its own, whatever stands in the way to a FOLDER is covered by an empty folder that leads to it.
"""

import os
import stat
import sys
from pathlib import Path

from comity.adapters.execution.dropping import CLONE_NEWNS, LIBC, MS_BIND, MS_PRIVATE, MS_REC, mount


def closed(folder: Path) -> Path | None:
    """The first folder on the way to it that others may not pass."""
    return next((each for each in [*reversed(folder.parents)] if not each.stat().st_mode & stat.S_IXOTH), None)


def open_ways(folders: list[Path]) -> None:
    if LIBC.unshare(CLONE_NEWNS) != 0:
        sys.exit("there can be no mount namespace here")
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    behind = [(folder, door, os.open(folder, os.O_PATH)) for folder in folders if (door := closed(folder))]
    for door in {door for _, door, _ in behind}:
        mount("none", str(door), "tmpfs", 0, "mode=755")
    for folder, _, descriptor in behind:
        folder.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(folder), "", MS_BIND | MS_REC)
        os.close(descriptor)


def main() -> None:
    split = sys.argv.index("--")
    user, folders, program = int(sys.argv[1]), [Path(each) for each in sys.argv[2:split]], sys.argv[split + 1 :]
    open_ways(folders)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    os.execv(program[0], program)


if __name__ == "__main__":
    main()
