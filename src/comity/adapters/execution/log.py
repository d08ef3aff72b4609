"""A log file that keeps the end of what was written."""

import os
from contextlib import suppress
from pathlib import Path
from typing import final

KEPT = 2**20


@final
class Tail:
    """The last MiB of what is written, in a file that grows to twice that and is shortened when closed.

    A full disk loses text, nothing else. An existing file is replaced, a symbolic link refused with OSError.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._written = self._size = 0

    def write(self, data: bytes) -> None:
        with suppress(OSError):
            self._append(data)
            self._written += len(data)
            if self._size > 2 * KEPT:
                self._shorten()

    def close(self) -> None:
        with suppress(OSError):
            if self._size > KEPT:
                self._shorten()
        os.close(self._file)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._file, view, self._size)
            self._size += count
            view = view[count:]

    def _shorten(self) -> None:
        tail = os.pread(self._file, KEPT, self._size - KEPT)
        os.ftruncate(self._file, 0)
        self._size = 0
        self._append(f"[the first {self._written - len(tail)} bytes are left out]\n".encode() + tail)


def add_line(path: Path, line: str) -> None:
    """Put a last line under a log that is closed; does nothing where that cannot be written."""
    with suppress(OSError):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)
