"""Processes that train for the playground, at the side of whoever serves it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import final

from comity.faces.playground import work
from comity.faces.playground.work import LONGEST, ONE_THREAD, Asked, Done, Failed, Said, line
from comity.values.errors import Unavailable

PATIENCE = 5.0
"""Seconds that the base process has to end."""

IDLE = 600.0
"""Seconds after which a base process that nobody needs is ended."""


@final
class Workers:
    """A base process, started when it is first needed, from which each run is forked.

    At most `most` runs are computed at once; others wait for their turn, in the order in which they came. `nice` is how
    far they stand back behind other programs.
    """

    def __init__(self, most: int, *, nice: int = 0, idle: float = IDLE) -> None:
        self._nice = nice
        self._turns = asyncio.Semaphore(most)
        self._starting = asyncio.Lock()
        self._base: Process | None = None
        self._address = ""
        self._idle = idle
        self._busy = 0
        self._leaving: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def run(self, asked: Asked) -> AsyncGenerator[Said]:
        """What a run says, until it is done or has failed. Whoever stops listening (`aclose`) ends it.

        Raises Unavailable when the process is ended from outside, as for want of memory or by its limit of CPU time.
        """
        self._busy += 1
        try:
            async with self._turns:
                reader, writer = await asyncio.open_unix_connection(await self._started(), limit=LONGEST)
                try:
                    writer.write(line(asked))
                    said: Said | None = None
                    while heard := await reader.readline():  # until its process has ended, so that turns are kept
                        said = work.said.decode(heard)
                        yield said
                    if isinstance(said, Done | Failed):
                        return
                    raise Unavailable("the process that trained was ended; try again, with fewer rounds or rows")
                except ConnectionError as error:
                    raise Unavailable("the process that trains was ended; try again") from error
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        finally:
            self._busy -= 1
            self._rest()

    async def start(self) -> None:
        """Start the base process and wait until it is warm."""
        async for _ in self.run(Asked("data=breast_cancer&rounds=1", "pooled", 0, 10)):
            pass

    async def stop(self) -> None:
        """End the base process and all that came of it."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        await self._end()

    def _rest(self) -> None:
        """Have the base process ended after a while, unless it is needed before."""
        if self._leaving is not None:
            self._leaving.cancel()
        loop = asyncio.get_running_loop()
        self._leaving = None if self._busy else loop.call_later(self._idle, self._leave)

    def _leave(self) -> None:
        self._leaving = None
        self._ending = asyncio.create_task(self._end())

    async def _end(self) -> None:
        base, self._base = self._base, None
        if base is None:
            return
        assert base.stdin is not None
        base.stdin.close()
        try:
            await asyncio.wait_for(base.wait(), PATIENCE)
        except TimeoutError:
            base.kill()
            await base.wait()
        shutil.rmtree(Path(self._address).parent, ignore_errors=True)  # where it was killed before it could

    async def _started(self) -> str:
        """Where the base process listens; one that has ended is started again."""
        async with self._starting:
            if self._base is not None and self._base.returncode is None:
                return self._address
            await self._end()
            folder = mkdtemp(prefix="comity-playground-")
            self._address = str(Path(folder) / "runs")
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(self._address)
                listening.listen(64)
                command = [sys.executable, "-m", "comity.faces.playground.base", str(listening.fileno()), folder]
                self._base = await asyncio.create_subprocess_exec(
                    *command,
                    str(self._nice),
                    stdin=PIPE,
                    stdout=DEVNULL,
                    pass_fds=[listening.fileno()],
                    env={**os.environ, **ONE_THREAD},
                    start_new_session=True,
                )
            return self._address
