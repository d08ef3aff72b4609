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
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
