"""Functions unpacked at this node, once for each archive."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import final

from comity.adapters.execution import archive, bundle
from comity.domain.records import Function
from comity.node.exchange import Exchange
from comity.ports.blobs import Blobs
from comity.values.digest import Digest


@final
class Bundles:
    """Folders of unpacked archives, by digest."""

    def __init__(self, folder: Path, blobs: Blobs) -> None:
        self._folder = folder
        self._blobs = blobs
        self._locks: dict[str, asyncio.Lock] = {}

    async def have(self, exchange: Exchange, function: Function) -> Path:
        """The folder of a function's archive, fetched and unpacked when it is not there yet.

        Raises DecodeError when it is no bundle, and what `Exchange.have` raises.
        """
        path = self._path(function.archive)
        async with self._locks.setdefault(function.archive, asyncio.Lock()):
            # Also when it is unpacked already: that its digest is named does not show that its owner has it.
            await exchange.have(function.archive, owner=function.owner, holds="archive", asset=function.key)
            if not path.exists():
                await asyncio.to_thread(self._unpack, function.archive)
        return path

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
            bundle.read(unpacked)
            unpacked.rename(self._path(blob))
        finally:
            packed.unlink(missing_ok=True)
            shutil.rmtree(unpacked, ignore_errors=True)
