"""Functions unpacked at this node, once for each archive, and the environments that they run in."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import final

from comity.adapters.execution import archive, bundle
from comity.domain.records import Function
from comity.node.exchange import Exchange
from comity.ports.blobs import Blobs
from comity.ports.environments import Environment, Environments
from comity.values import requirements
from comity.values.digest import Digest
from comity.values.requirements import Locked


@final
class Bundles:
    """Folders of unpacked archives, by digest."""

    def __init__(self, folder: Path, blobs: Blobs, environments: Environments) -> None:
        self._folder = folder
        self._blobs = blobs
        self._environments = environments
        self._requirements: dict[str, tuple[Locked, ...]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._unpacked: set[str] = set()

    def at_hand(self, exchange: Exchange, function: Function) -> Path | None:
        """What `have` gives, where that is known without looking; None where it may take long."""
        known = function.archive in self._unpacked and exchange.shown(function.archive, owner=function.owner)
        return self._path(function.archive) if known else None

    async def have(self, exchange: Exchange, function: Function) -> Path:
        """The folder of a function's archive, fetched and unpacked when it is not there yet.

        Raises DecodeError when it is no bundle or its requirements are not locked, and what `Exchange.have` raises.
        """
        path = self._path(function.archive)
        async with self._locks.setdefault(function.archive, asyncio.Lock()):
            # Also when it is unpacked already: that its digest is named does not show that its owner has it.
            await exchange.have(function.archive, owner=function.owner, holds="archive", asset=function.key)
            if not path.exists():
                await asyncio.to_thread(self._unpack, function.archive)
        self._unpacked.add(function.archive)
        return path

    def using(self, function: Function) -> AbstractAsyncContextManager[Environment]:
        """The environment of a function that is unpacked, built if need be; raises what `Environments.using` raises."""
        return self._environments.using(self._locked(function.archive))

    async def built(self, function: Function) -> bool:
        """Whether its environment is there already."""
        return await self._environments.has(self._locked(function.archive))

    async def build_log(self, function: Function) -> str:
        """What the installer wrote when its environment was built."""
        return await self._environments.log(self._locked(function.archive))

    def _locked(self, blob: str) -> tuple[Locked, ...]:
        if blob not in self._requirements:
            self._requirements[blob] = requirements.decode(bundle.read(self._path(blob)).requirements)
        return self._requirements[blob]

    def _path(self, blob: str) -> Path:
        return self._folder / blob.removeprefix("sha256:")

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
            requirements.decode(bundle.read(unpacked).requirements)
            unpacked.rename(self._path(blob))
        finally:
            packed.unlink(missing_ok=True)
            shutil.rmtree(unpacked, ignore_errors=True)
