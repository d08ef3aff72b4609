"""Data samples of this organization: folders that stay where they are, and what they were when registered."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import final

import msgspec
from sqlalchemy import Connection, select

from comity.adapters.sql.records import upsert
from comity.domain.entry import canonical
from comity.node import schema
from comity.values.digest import Digest, digest
from comity.values.errors import Conflict, InvalidInput, NotFound

PIECE = 1 << 20

SOME = 500
"""Keys in one question to the database."""


@final
class SampleFile(msgspec.Struct, frozen=True):
    """One file of a sample."""

    name: str
    size: int
    modified: int
    """Nanoseconds since 1970."""
    digest: str


@final
class Manifest(msgspec.Struct, frozen=True):
    """What a sample was; its digest goes into the log, and the salt keeps that from telling anything."""

    salt: str
    files: tuple[SampleFile, ...]

    @property
    def digest(self) -> Digest:
        """What stands for the sample in the log."""
        return digest(canonical(self))


_MANIFEST = msgspec.json.Decoder(Manifest)


def manifest(folder: Path) -> Manifest:
    """The folder as it is now; raises InvalidInput unless it is a folder of regular files, and not empty."""
    if not folder.is_absolute():
        raise InvalidInput(f"{folder} must be an absolute path")
    if folder.is_symlink() or not folder.is_dir():
        raise InvalidInput(f"{folder} is not a folder; a data sample is a folder of files")
    files = tuple(_file(folder, path) for path in _paths(folder))
    if not files:
        raise InvalidInput(f"{folder} is empty; a data sample is a folder of files")
    return Manifest(salt=secrets.token_hex(16), files=files)


def keep(connection: Connection, channel: int, key: str, folder: Path, made: Manifest) -> None:
    """Remember where a sample lies and what it was."""
    row = {"channel": channel, "key": key, "path": str(folder), "manifest": msgspec.json.encode(made)}
    upsert(connection, schema.samples, [row])


def folders(connection: Connection, channel: int, keys: Sequence[str]) -> list[Path]:
    """Where the samples lie, in the order asked for; raises Conflict when one has changed since it was registered."""
    table = schema.samples
    found: list[Path] = []
    for key in keys:
        row = connection.execute(select(table).where(table.c.channel == channel, table.c.key == key)).first()
        if row is None:
            raise NotFound(f"the data sample {key} does not lie at this node")
        folder = Path(row.path)
        _check_unchanged(key, folder, _MANIFEST.decode(row.manifest))
        found.append(folder)
    return found


def places(connection: Connection, channel: int, keys: Sequence[str]) -> list[Path]:
    """Where those of the keys lie that are data samples of this node; whether they have changed is not looked at."""
    table = schema.samples
    found: list[Path] = []
    for at in range(0, len(keys), SOME):
        here = table.c.channel == channel, table.c.key.in_(keys[at : at + SOME])
        found += [Path(each) for each in connection.execute(select(table.c.path).where(*here)).scalars()]
    return found


def _check_unchanged(key: str, folder: Path, made: Manifest) -> None:
    """Names, sizes and times are compared; what they hold is read only when registered."""
    try:
        now = {str(path.relative_to(folder)): path.lstat() for path in _paths(folder)}
    except OSError as error:
        raise Conflict(f"the data sample {key} cannot be read any more: {error}") from error
    if now.keys() != {file.name for file in made.files}:
        raise Conflict(f"the data sample {key} has other files than when it was registered; register it anew")
    for file in made.files:
        if (now[file.name].st_size, now[file.name].st_mtime_ns) != (file.size, file.modified):
            raise Conflict(
                f"{file.name} of the data sample {key} has changed since it was registered; register it anew"
            )


def _paths(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, directories, names in os.walk(folder):
        for name in [*directories, *names]:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise InvalidInput(f"{path} is a link or a device; a data sample holds regular files only")
            if path.is_file():
                found.append(path)
    return sorted(found)


def _file(folder: Path, path: Path) -> SampleFile:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            hashed.update(piece)
    stat = path.stat()
    return SampleFile(str(path.relative_to(folder)), stat.st_size, stat.st_mtime_ns, "sha256:" + hashed.hexdigest())
