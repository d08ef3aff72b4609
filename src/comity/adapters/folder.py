"""A program's own folder: keys and secrets in files that only their owner can read."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from comity.adapters import durable
from comity.values.errors import Conflict, InvalidInput


def private(folder: Path) -> Path:
    """The folder, made if need be, closed to other users of the machine."""
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file; give a directory")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """What the file holds; made, and kept for the owner alone, when there is none."""
    if not path.exists():
        keep(path, make())
    return path.read_bytes()


def keep(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    before = os.umask(0o077)
    try:
        durable.write(path, data, sync=True)
    finally:
        os.umask(before)


def lock(folder: Path) -> IO[bytes]:
    """Hold the folder for this process as long as the file returned is open; raises Conflict when another does."""
    file = (folder / "lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(f"{folder} is in use by another process; stop it first, or give another directory") from error
    return file
