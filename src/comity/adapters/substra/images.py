"""Images as a node builds them: of an unpacked archive with a Dockerfile, without Docker."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import final

from comity.adapters.disk import is_full
from comity.adapters.environments.interpreters import OWN
from comity.adapters.execution.folders import remove, usage
from comity.adapters.execution.log import Tail
from comity.adapters.execution.pool import Pool
from comity.adapters.execution.shell import Shell
from comity.adapters.substra import image, recipe
from comity.adapters.substra.recipe import Copy, Recipe
from comity.ports.environments import Environments
from comity.values.errors import BuildFailed, DecodeError

SECONDS = 1800.0
"""Of wall-clock time for all steps of an image."""

PATIENCE = 30
"""Seconds for a question to the system."""


@final
class Images:
    """Builds images, one at a time; lines for a shell run in a sandbox like those of the pool's tasks."""

    def __init__(self, environments: Environments, pool: Pool) -> None:
        self._environments = environments
        self._pool = pool
        self._turn = asyncio.Lock()

    @staticmethod
    def recipe(archive: Path) -> Recipe:
        """What the Dockerfile asks for; raises BuildFailed with the line that is not followed here."""
        try:
            return recipe.read(archive, default=OWN.minor)
        except DecodeError as error:
            raise BuildFailed(str(error)) from error

    async def build(self, archive: Path, folder: Path, *, locked: Sequence[str] = ()) -> None:
        """Make the folder: whole, or not at all. Raises BuildFailed, or OSError where the disk is full.

        `locked` are the versions that its environment has where the Dockerfile names none. What is printed is in `log`.
        """
        found = await asyncio.to_thread(self.recipe, archive)
        made = folder.with_suffix(".building")
        log = Tail(self._log(folder))
        try:
            async with self._turn, asyncio.timeout(SECONDS):
                await asyncio.to_thread(remove, made)
                await asyncio.to_thread(_check_packages, found.packages)
                await asyncio.to_thread(image.begin, made)
                await self._follow(found, archive, made, log, locked)
                await asyncio.to_thread(image.end, found, made)
                await asyncio.to_thread(os.sync)  # a crash of the machine leaves it whole
                made.rename(folder)
        except (DecodeError, ValueError) as error:
            raise BuildFailed(str(error)) from error
        except TimeoutError as error:
            raise BuildFailed(f"building the image took longer than {SECONDS:g} seconds") from error
        except OSError as error:
            if is_full(error):
                raise
            raise BuildFailed(f"the image cannot be built: {error.strerror or error}") from error
        finally:
            log.close()
            await asyncio.to_thread(remove, made)

    def log(self, folder: Path) -> str:
        """What the last build of an image printed."""
        path = self._log(folder)
        return path.read_text(errors="replace") if path.is_file() else ""

    async def _follow(self, found: Recipe, archive: Path, made: Path, log: Tail, locked: Sequence[str]) -> None:
        if not found.shells:
            for step in found.steps:
                assert isinstance(step, Copy)
                await self._copy(step, archive, made)
            return
        async with self._environments.using(found.wanted.locked(locked)) as environment:
            shell = Shell(
                files=image.place(made, "/"),
                environment=environment,
                isolation=self._pool.isolation,
                limits=self._pool.limits,
            )
            for step in found.steps:
                if isinstance(step, Copy):
                    await self._copy(step, archive, made)
                else:
                    image.place(made, step.folder).mkdir(parents=True, exist_ok=True)
                    try:
                        await shell.run(step.line, step.folder.lstrip("/"), step.variables, log)
                    except BuildFailed as error:
                        top = "/" + step.folder.split("/")[1]
                        if top == "/" or top not in step.line:
                            raise
                        hint = f"the image's own files are reached by paths relative to {step.folder}, its WORKDIR"
                        raise BuildFailed(f"{error}; {hint}") from error

    async def _copy(self, step: Copy, archive: Path, made: Path) -> None:
        await asyncio.to_thread(image.copy, step, archive, made)
        limits = self._pool.limits
        has = await asyncio.to_thread(usage, made, most=limits.files)
        if has.size > limits.disk or has.files > limits.files:
            raise BuildFailed(f"the image has more than {limits.disk} bytes or {limits.files} files")

    def _log(self, folder: Path) -> Path:
        return folder.with_suffix(".txt")


def _check_packages(names: Sequence[str]) -> None:
    """Raise BuildFailed unless the machine has these packages of the system."""
    if not names:
        return
    try:
        command = ["dpkg-query", "--show", "--showformat=${Package} ${Status}\\n", "--", *names]
        said = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout
    except (OSError, subprocess.TimeoutExpired):
        said = ""
    there = {line.partition(" ")[0] for line in said.splitlines() if line.endswith(" installed")}
    if absent := [name for name in names if name not in there]:
        raise BuildFailed(
            f"the function wants the system's package {absent[0]!r}, which is not on this node's machine; ask whoever "
            "operates the node to install it"
        )
