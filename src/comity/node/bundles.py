"""Functions unpacked at this node, once for each archive, and the environments that they run in."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncGenerator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import final

import structlog
from msgspec.structs import replace

from comity.adapters.execution import archive, bundle, script
from comity.adapters.execution.folders import remove
from comity.adapters.execution.pool import Pool
from comity.adapters.substra import recipe
from comity.adapters.substra.images import Images
from comity.domain.records import Function
from comity.node.exchange import Exchange
from comity.node.shelf import Shelf
from comity.ports.blobs import Blobs
from comity.ports.environments import Environment, Environments, Requirements
from comity.values import requirements
from comity.values.digest import Digest, digest
from comity.values.errors import ComityError, DecodeError
from comity.values.wanted import Wanted

NAME = re.compile(r"[0-9a-f]{64}(-[0-9a-f]{16}\.image)?")
"""Of an unpacked archive, and of an image made of it."""

GONE = ".gone"
"""Ends the name of what is being deleted."""


@final
class Bundles:
    """Folders of unpacked archives, by digest, and what they run with."""

    def __init__(
        self, folder: Path, blobs: Blobs, environments: Environments, pool: Pool, *, most: int = 10 * 2**30
    ) -> None:
        """`most` is how many bytes of disk archives and images may take up."""
        self._folder = folder
        self._blobs = blobs
        self._environments = environments
        self._images = Images(environments, pool)
        self._requirements: dict[tuple[str, tuple[str, ...]], Requirements] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._there: dict[tuple[str, tuple[str, ...]], Path] = {}
        self._shelf = Shelf(folder, most=most)
        self._learnt = False
        self._clearing = asyncio.Lock()
        self._log = structlog.get_logger()

    def held(self, function: Function) -> AbstractContextManager[None]:
        """While this lasts, what is there of a function is not deleted to make room."""
        return self._shelf.held(self._path(function.archive).name, self._image(function).name)

    def at_hand(self, exchange: Exchange, function: Function) -> Path | None:
        """What `have` gives, where that is known without looking; None where it may take long."""
        found = self._there.get((function.archive, function.locked))
        return found if found and exchange.shown(function.archive, owner=function.owner) else None

    async def have(self, exchange: Exchange, function: Function) -> Path:
        """The folder that a function runs from: a bundle, or the image of a Dockerfile; made when it is not there yet.

        Raises DecodeError when it is no bundle or its requirements are not locked, BuildFailed when its image cannot be
        built, and what `Exchange.have` raises.
        """
        with self.held(function):
            path = await self.unpacked(exchange, function)
            if not (path / bundle.NAME).is_file():
                source, path = path, self._image(function)
                async with self._locks.setdefault(path.name, asyncio.Lock()):
                    if not path.exists():
                        await self._images.build(source, path, locked=function.locked)
                        await asyncio.to_thread(self._shelf.put, path.name)
            self._there[function.archive, function.locked] = path
        await self._make_room()
        return path

    async def settle(self, function: Function, locked: tuple[str, ...]) -> None:
        """Keep the image that was built before versions were named as the one with these, which its environment had."""
        built, settled = self._image(function), self._image(replace(function, locked=locked))
        async with self._locks.setdefault(built.name, asyncio.Lock()):
            if built != settled and built.exists() and not settled.exists():
                await asyncio.to_thread(built.rename, settled)
                self._there.pop((function.archive, function.locked), None)
                self._shelf.drop(built.name)
                await asyncio.to_thread(self._shelf.put, settled.name)

    async def unpacked(self, exchange: Exchange, function: Function) -> Path:
        """The folder of a function's archive as its owner made it; raises what `Exchange.have` raises."""
        path = self._path(function.archive)
        async with self._locks.setdefault(function.archive, asyncio.Lock()):
            # Also when it is unpacked already: that its digest is named does not show that its owner has it.
            await exchange.have(function.archive, owner=function.owner, holds="archive", asset=function.key)
            if not path.exists():
                await asyncio.to_thread(self._unpack, function.archive)
                await asyncio.to_thread(self._shelf.put, path.name)
        self._shelf.use(path.name)
        return path

    async def forget(self, function: Function) -> None:
        """Delete the folder of an archive that does not run here; it is unpacked again when somebody looks at it."""
        async with self._locks.setdefault(function.archive, asyncio.Lock()):
            await asyncio.to_thread(shutil.rmtree, self._path(function.archive), ignore_errors=True)
            self._shelf.drop(self._path(function.archive).name)

    async def is_image(self, exchange: Exchange, function: Function) -> bool:
        """Whether a function runs from the image of a Dockerfile; raises what `Exchange.have` raises."""
        return not (await self.unpacked(exchange, function) / bundle.NAME).is_file()

    @asynccontextmanager
    async def using(self, function: Function) -> AsyncGenerator[Environment]:
        """The environment of a function that is unpacked, built if need be; raises what `Environments.using` raises."""
        async with self._environments.using(await self._required(function)) as environment:
            yield environment

    async def built(self, function: Function) -> bool:
        """Whether its environment is there already."""
        return await self._environments.has(await self._required(function))

    async def build_log(self, function: Function) -> str:
        """What was written when its environment was built, and its image."""
        try:
            installed = await self._environments.log(await self._required(function))
        except ComityError:  # what is wrong is said elsewhere
            installed = ""
        return installed + await asyncio.to_thread(self._images.log, self._image(function))

    async def _required(self, function: Function) -> Requirements:
        named = function.archive, function.locked
        if named not in self._requirements:
            found = await asyncio.to_thread(_required, self._path(function.archive))
            self._requirements[named] = found.locked(function.locked) if isinstance(found, Wanted) else found
        return self._requirements[named]

    async def _make_room(self) -> None:
        """Delete what was used longest ago and is not in use, until the rest fits; it is made again when needed."""
        async with self._clearing:
            if not self._learnt:
                await asyncio.to_thread(self._learn)
                self._learnt = True
            for name in self._shelf.surplus():
                lock = self._locks.setdefault(name if name.endswith(".image") else f"sha256:{name}", asyncio.Lock())
                if lock.locked():  # somebody begins to use it
                    continue
                async with lock:
                    if not self._shelf.is_free(name):
                        continue
                    for key in [key for key, path in self._there.items() if path.name == name]:
                        del self._there[key]
                    self._shelf.drop(name)
                    await asyncio.to_thread(self._delete, name)
                self._log.info("unpacked function deleted", name=name)

    def _learn(self) -> None:
        for gone in self._folder.glob(f"*{GONE}"):  # of a program that was ended
            remove(gone)
        self._shelf.learn(lambda name: NAME.fullmatch(name) is not None)

    def _delete(self, name: str) -> None:
        gone = self._folder / f"{name}{GONE}"  # at once: half of it is none
        remove(gone)
        (self._folder / name).rename(gone)
        remove(gone)
        if name.endswith(".image"):
            (self._folder / name).with_suffix(".txt").unlink(missing_ok=True)

    def _path(self, blob: str) -> Path:
        return self._folder / blob.removeprefix("sha256:")

    def _image(self, function: Function) -> Path:
        """Of an archive and the versions that its lines for a shell run with, which are its owner's to find."""
        lock = digest("\n".join(function.locked).encode()).removeprefix("sha256:")[:16]
        return self._folder / f"{self._path(function.archive).name}-{lock}.image"

    def _unpack(self, blob: str) -> None:
        packed = self._folder / f"{blob.removeprefix('sha256:')}.archive"
        unpacked = self._folder / f"{blob.removeprefix('sha256:')}.new"
        self._folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            with packed.open("wb") as file:
                for piece in self._blobs.open(Digest(blob)):
                    file.write(piece)
            archive.unpack(packed, unpacked)
            if (unpacked / script.NAME).exists():
                raise DecodeError(f"the archive holds {script.NAME}, which only a node writes; leave it out")
            if (unpacked / bundle.NAME).is_file() or not (unpacked / recipe.NAME).is_file():
                _required(unpacked)
            unpacked.rename(self._path(blob))
        finally:
            packed.unlink(missing_ok=True)
            shutil.rmtree(unpacked, ignore_errors=True)


def _required(folder: Path) -> Requirements:
    if (folder / bundle.NAME).is_file() or not (folder / recipe.NAME).is_file():
        return requirements.decode(bundle.read(folder).requirements)
    return Images.recipe(folder).wanted
