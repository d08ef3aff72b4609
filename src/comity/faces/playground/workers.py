"""Processes that train for the playground, at the side of whoever serves it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import final

from comity.faces.playground import work
from comity.faces.playground.work import LONGEST, ONE_THREAD, Asked, Done, Failed, Said, line
from comity.values.errors import Unavailable

PATIENCE = 5.0
"""Seconds that the base process has to end."""


@final
class Workers:
    """A base process, started when it is first needed, from which each run is forked.

    At most `most` runs are computed at once; others wait for their turn, in the order in which they came.
    """

    def __init__(self, most: int) -> None:
        self._turns = asyncio.Semaphore(most)
        self._starting = asyncio.Lock()
        self._base: Process | None = None
        self._folder: TemporaryDirectory[str] | None = None

    async def run(self, asked: Asked) -> AsyncIterator[Said]:
        """What a run says, until it is done or has failed. Whoever stops listening (`aclose`) ends it.

        Raises Unavailable when the process is ended from outside, as for want of memory or by its limit of CPU time.
        """
        async with self._turns:
            reader, writer = await asyncio.open_unix_connection(await self._address(), limit=LONGEST)
            try:
                writer.write(line(asked))
                while heard := await reader.readline():
                    said = work.said.decode(heard)
                    yield said
                    if isinstance(said, Done | Failed):
                        return
                raise Unavailable("the process that trained was ended; try again, with fewer rounds or rows")
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def start(self) -> None:
        """Start the base process and wait until it is warm."""
        async for _ in self.run(Asked("data=breast_cancer&rounds=1", "pooled", 0, 10)):
            pass

    async def stop(self) -> None:
        """End the base process and all that came of it."""
        base, self._base = self._base, None
        if base is not None and base.returncode is None:
            assert base.stdin is not None
            base.stdin.close()
            try:
                await asyncio.wait_for(base.wait(), PATIENCE)
            except TimeoutError:
                base.kill()
                await base.wait()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    async def _address(self) -> str:
        """Where the base process listens; one that has ended is started again."""
        async with self._starting:
            if self._folder is not None and self._base is not None and self._base.returncode is None:
                return f"{self._folder.name}/runs"
            await self.stop()
            self._folder = TemporaryDirectory(prefix="comity-playground-")
            address = str(Path(self._folder.name) / "runs")
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(address)
                listening.listen(64)
                descriptor = listening.fileno()
                module = "comity.faces.playground.base"
                self._base = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    module,
                    str(descriptor),
                    stdin=PIPE,
                    stdout=DEVNULL,
                    pass_fds=[descriptor],
                    env={**os.environ, **ONE_THREAD},
                    start_new_session=True,
                )
            return address
