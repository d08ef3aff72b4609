"""Images as a node builds them: of an unpacked archive with a Dockerfile, without Docker."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import final

from comity.adapters.environments.interpreters import OWN
from comity.adapters.execution.log import Tail
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.shell import Shell
from comity.adapters.substra import image, recipe
from comity.adapters.substra.recipe import Copy, Recipe
from comity.ports.environments import Environments
from comity.values.errors import BuildFailed, DecodeError

LINE = 600.0
"""Seconds that a line for a shell may take."""


@final
class Images:
    """Builds images; lines for a shell run in a sandbox like those of the pool's tasks."""

    def __init__(self, environments: Environments, pool: Pool) -> None:
        self._environments = environments
        self._pool = pool

    @staticmethod
    def recipe(archive: Path) -> Recipe:
        """What the Dockerfile asks for; raises BuildFailed with the line that is not followed here."""
        try:
            return recipe.read(archive, default=OWN.minor)
        except DecodeError as error:
            raise BuildFailed(str(error)) from error

    async def build(self, archive: Path, folder: Path, *, locked: Sequence[str] = ()) -> None:
        """Make the folder: whole, or not at all. Raises BuildFailed; `log` tells what was printed.

        `locked` are the versions that its environment has where the Dockerfile names none.
        """
        found = await asyncio.to_thread(self.recipe, archive)
        made = folder.with_suffix(".building")
        log = Tail(self._log(folder))
        try:
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)
            await asyncio.to_thread(_check_packages, found.packages)
            await asyncio.to_thread(image.begin, made)
            await self._follow(found, archive, made, log, locked)
            await asyncio.to_thread(image.end, found, made)
            made.rename(folder)
        except DecodeError as error:
            raise BuildFailed(str(error)) from error
        finally:
            log.close()
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)

    def log(self, folder: Path) -> str:
        """What the last build of an image printed."""
        path = self._log(folder)
        return path.read_text(errors="replace") if path.is_file() else ""

    async def _follow(self, found: Recipe, archive: Path, made: Path, log: Tail, locked: Sequence[str]) -> None:
        if not found.shells:
            for step in found.steps:
                assert isinstance(step, Copy)
                await asyncio.to_thread(image.copy, step, archive, made)
            return
        async with self._environments.using(found.wanted.locked(locked)) as environment:
            way = self._pool.isolation, self._pool.limits
            files = image.place(made, "/")
            shell = Shell(files=files, environment=environment, isolation=way[0], limits=way[1], seconds=LINE)
            for step in found.steps:
                if isinstance(step, Copy):
                    await asyncio.to_thread(image.copy, step, archive, made)
                else:
                    image.place(made, step.folder).mkdir(parents=True, exist_ok=True)
                    await shell.run(step.line, step.folder.lstrip("/"), step.variables, log)

    def _log(self, folder: Path) -> Path:
        return folder.with_suffix(".txt")


def _check_packages(names: Sequence[str]) -> None:
    """Raise BuildFailed unless the machine has these packages of the system."""
    for name in names:
        try:
            said = subprocess.run(
                ["dpkg-query", "--show", "--showformat=${Status}", "--", name], capture_output=True, text=True
            ).stdout
        except OSError:
            said = ""
        if not said.endswith(" installed"):
            raise BuildFailed(
                f"the function wants the system's package {name!r}, which is not on this node's machine; ask whoever "
                "operates the node to install it"
            )
