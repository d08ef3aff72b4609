"""Folders packed so that the same files always make the same bytes."""

from __future__ import annotations

import tarfile
from pathlib import Path

from comity.values.errors import InvalidInput

LEFT_OUT = ("__pycache__",)


def pack(folder: Path, into: Path) -> Path:
    """A tar file of a folder: names in order, no times, no owners; without hidden files and compiled Python.

    Raises InvalidInput for a link or a device, since those who unpack it take none, and for an empty folder.
    """
    paths = [path for path in sorted(folder.rglob("*")) if taken(path.relative_to(folder))]
    odd = next((path for path in paths if path.is_symlink() or not (path.is_file() or path.is_dir())), None)
    if odd is not None:
        raise InvalidInput(f"{odd} is a link or a device; only folders and files can be packed")
    files = [path for path in paths if path.is_file()]
    if not files:
        raise InvalidInput(f"{folder} is no folder with files; name the folder that holds them")
    with tarfile.open(into, "w", format=tarfile.PAX_FORMAT) as packed:
        for path in files:
            info = tarfile.TarInfo(path.relative_to(folder).as_posix())
            info.size, info.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                packed.addfile(info, file)
    return into


def taken(path: Path) -> bool:
    """Whether a file of that path in the folder is packed."""
    return not any(part.startswith(".") or part in LEFT_OUT for part in path.parts)
