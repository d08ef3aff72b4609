"""Functions unpacked at this node, once for each archive, and the environments that they run in."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import final

from comity.adapters.execution import archive, bundle
from comity.adapters.execution.pool import Pool
from comity.adapters.substra import recipe
from comity.adapters.substra.images import Images
from comity.domain.records import Function
from comity.node.exchange import Exchange
from comity.ports.blobs import Blobs
from comity.ports.environments import Environment, Environments, Requirements
from comity.values import requirements
from comity.values.digest import Digest
from comity.values.errors import ComityError
from comity.values.wanted import Wanted


@final
class Bundles:
    """Folders of unpacked archives, by digest, and what they run with."""

    def __init__(self, folder: Path, blobs: Blobs, environments: Environments, pool: Pool) -> None:
        self._folder = folder
        self._blobs = blobs
        self._environments = environments
        self._images = Images(environments, pool)
        self._requirements: dict[tuple[str, tuple[str, ...]], Requirements] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._there: set[str] = set()

    def at_hand(self, exchange: Exchange, function: Function) -> Path | None:
        """What `have` gives, where that is known without looking; None where it may take long."""
        known = function.archive in self._there and exchange.shown(function.archive, owner=function.owner)
        return self._runs(function.archive) if known else None

    async def have(self, exchange: Exchange, function: Function) -> Path:
        """The folder that a function runs from: a bundle, or the image of a Dockerfile; made when it is not there yet.

        Raises DecodeError when it is no bundle or its requirements are not locked, BuildFailed when its image cannot be
        built, and what `Exchange.have` raises.
        """
        async with self._lock(function):
            source = await self._unpacked(exchange, function)
            if not (source / bundle.NAME).is_file() and not (image := self._image(function.archive)).exists():
                await self._images.build(source, image, locked=function.locked)
        self._there.add(function.archive)
        return self._runs(function.archive)

    async def unpacked(self, exchange: Exchange, function: Function) -> Path:
        """The folder of a function's archive as its owner made it; raises what `Exchange.have` raises."""
        async with self._lock(function):
            return await self._unpacked(exchange, function)

    async def is_image(self, exchange: Exchange, function: Function) -> bool:
        """Whether a function runs from the image of a Dockerfile; raises what `Exchange.have` raises."""
        return not (await self.unpacked(exchange, function) / bundle.NAME).is_file()

    def using(self, function: Function) -> AbstractAsyncContextManager[Environment]:
        """The environment of a function that is unpacked, built if need be; raises what `Environments.using` raises."""
        return self._environments.using(self._required(function))

    async def built(self, function: Function) -> bool:
        """Whether its environment is there already."""
        return await self._environments.has(self._required(function))

    async def build_log(self, function: Function) -> str:
        """What was written when its environment was built, and its image."""
        try:
            installed = await self._environments.log(self._required(function))
        except ComityError:  # what is wrong is said elsewhere
            installed = ""
        return installed + await asyncio.to_thread(self._images.log, self._image(function.archive))

    def _required(self, function: Function) -> Requirements:
        named = function.archive, function.locked
        if named not in self._requirements:
            found = _required(self._path(function.archive))
            self._requirements[named] = found.locked(function.locked) if isinstance(found, Wanted) else found
        return self._requirements[named]

    def _lock(self, function: Function) -> asyncio.Lock:
        return self._locks.setdefault(function.archive, asyncio.Lock())

    def _path(self, blob: str) -> Path:
        return self._folder / blob.removeprefix("sha256:")

    def _image(self, blob: str) -> Path:
        return self._folder / f"{blob.removeprefix('sha256:')}.image"

    def _runs(self, blob: str) -> Path:
        return path if (path := self._image(blob)).exists() else self._path(blob)

    async def _unpacked(self, exchange: Exchange, function: Function) -> Path:
        path = self._path(function.archive)
        # Also when it is unpacked already: that its digest is named does not show that its owner has it.
        await exchange.have(function.archive, owner=function.owner, holds="archive", asset=function.key)
        if not path.exists():
            await asyncio.to_thread(self._unpack, function.archive)
        return path

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
