"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write(path: Path, data: bytes, *, sync: bool = False) -> None:
    """Write a file so that a reader, or a crash of this process, sees the old one or the new one.

    With `sync` the new one also survives a crash of the machine. A path must have one writer at a time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    try:
        with beside.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    if sync:
        settle(path.parent)


def settle(path: Path) -> None:
    """See a file's bytes, or a folder's names, through a crash of the machine."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
