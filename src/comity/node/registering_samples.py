"""Data samples as they come: folders that stay where they are, and archives that are unpacked at this node."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from sqlalchemy import delete

from comity.adapters.disk import room
from comity.adapters.durable import settle
from comity.adapters.execution import archive
from comity.adapters.sql.log import Log
from comity.domain.events import Sample, SamplesLinked, SamplesRegistered
from comity.domain.records import Dataset
from comity.node import samples, schema
from comity.node.node import Part
from comity.values.errors import ComityError, Forbidden, InvalidInput

LIMITS = archive.Limits(members=65_000, bytes=2**34)
"""Of an uploaded sample; what is larger is registered where it lies."""

TOGETHER = 500
"""Samples of one event."""


async def register_in_place(
    part: Part, paths: Sequence[Path], *, datasets: Sequence[str], roots: Sequence[Path]
) -> list[str]:
    """The keys of samples that lie in folders of this node, which must be below one of the roots."""
    await _check_own(part, datasets)
    folders = {str(uuid.uuid4()): await asyncio.to_thread(_allowed, path, roots) for path in paths}
    await _register(part, folders, datasets)
    return list(folders)


async def register_uploaded(
    part: Part, archives: Sequence[Path], *, datasets: Sequence[str], folder: Path
) -> list[str]:
    """The keys of samples unpacked from archives into folders below `folder`; all of them, or nothing stays."""
    await _check_own(part, datasets)
    folders = {str(uuid.uuid4()): path for path in archives}
    places = {key: folder / key for key in folders}
    try:
        for key, path in folders.items():
            await asyncio.to_thread(_unpack, path, places[key])
        await _register(part, places, datasets)
    except (ComityError, OSError):
        if not part.following.broken:  # else it may still be said one day
            for place in places.values():
                await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
        raise
    return list(places)


async def link(part: Part, linked: Sequence[str], *, datasets: Sequence[str]) -> None:
    """Let samples of one's own belong to further datasets of one's own."""
    if not linked or not datasets:
        raise InvalidInput("name data samples, and data managers to link them to")
    await part.following.write([SamplesLinked(samples=tuple(linked), datasets=tuple(datasets))], {})


async def _register(part: Part, folders: Mapping[str, Path], datasets: Sequence[str]) -> None:
    following = part.following
    try:
        made = {key: await asyncio.to_thread(samples.manifest, folder) for key, folder in folders.items()}
    except OSError as error:
        raise InvalidInput(f"{error.filename} cannot be read: {error.strerror}") from error
    registered = [Sample(key=key, manifest=manifest.digest) for key, manifest in made.items()]
    # where they lie is known before anyone can ask for them
    await following.database.awrite(
        lambda connection: [
            samples.keep(connection, following.channel, key, folders[key], made[key]) for key in folders
        ]
    )
    try:
        await following.write(
            [
                SamplesRegistered(samples=tuple(registered[at : at + TOGETHER]), datasets=tuple(datasets))
                for at in range(0, len(registered), TOGETHER)
            ],
            {},
        )
    except ComityError:
        if not following.broken:
            table = schema.samples
            mine = (table.c.channel == following.channel) & table.c.key.in_(list(folders))
            await following.database.awrite(lambda connection: connection.execute(delete(table).where(mine)))
        raise


async def _check_own(part: Part, datasets: Sequence[str]) -> None:
    """Before anything is unpacked or read: raise what would be refused in the end."""

    def check(log: Log) -> None:
        for key in datasets:
            found = log.records.get(Dataset, key)
            if found is None:
                raise InvalidInput(f"there is no data manager {key}")
            if found.owner != part.following.organization:
                raise Forbidden(f"the data manager {key} belongs to {found.owner}")

    if not datasets:
        raise InvalidInput("missing or empty field 'data_manager_keys'")
    await part.following.check([])
    await part.following.read(check)


def _allowed(path: Path, roots: Sequence[Path]) -> Path:
    """The folder, every link in its path followed; raises Forbidden unless it lies below a root."""
    if not path.is_absolute() or "\0" in str(path):
        raise InvalidInput(f"{str(path)[:200]!r} must be an absolute path")
    try:
        resolved = path.resolve()
        if not any(resolved.is_relative_to(root.resolve()) for root in roots):
            raise Forbidden(f"{path} is not below a folder that this node's settings allow for data samples")
        if path.is_symlink():
            raise InvalidInput(f"{path} is a link; name the folder itself")
    except (OSError, RuntimeError) as error:  # a name that is too long, a circle of links
        raise InvalidInput(f"{str(path)[:200]} cannot be read: {error.args[-1]}") from error
    return resolved


def _unpack(path: Path, into: Path) -> None:
    into.parent.mkdir(parents=True, exist_ok=True)
    archive.unpack(path, into, replace(LIMITS, bytes=min(LIMITS.bytes, room(into.parent))))
    for each in [*into.rglob("*"), into, into.parent]:
        settle(each)
