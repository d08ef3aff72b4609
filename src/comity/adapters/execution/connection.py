"""A zygote as its host sees it."""

from __future__ import annotations

import asyncio
from asyncio import Future, StreamReader, StreamWriter
from contextlib import suppress
from typing import final

import msgspec

from comity.adapters.execution import messages
from comity.adapters.execution.messages import LENGTH, Ended, FromZygote, Imported, Kill, NotStarted, Start, frame

LONGEST = 2**20


@final
class Zygote:
    """Tasks of one bundle in one sandbox. What it says is made by foreign code."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ends: dict[str, Future[Ended | NotStarted | None]] = {}
        self._hearing: asyncio.Task[None] | None = None

    async def imported(self) -> Imported | None:
        """That it has imported its bundle; None when it has ended instead, or speaks out of turn."""
        message = None
        try:
            message = await self._receive()
        finally:
            if not isinstance(message, Imported):
                self.close()
        if not isinstance(message, Imported):
            return None
        self._hearing = asyncio.create_task(self._hear())
        return message

    def start(self, start: Start) -> Future[Ended | NotStarted | None]:
        """How that task ends; None when the zygote ends before."""
        end = self._ends[start.task_key] = asyncio.get_running_loop().create_future()
        if self._hearing is None or self._hearing.done():
            self._lose()
        self._send(start)
        return end

    def kill(self, task_key: str) -> None:
        """Have a task's processes killed."""
        self._send(Kill(task_key))

    def close(self) -> None:
        """Have it end."""
        self._writer.close()

    def _send(self, message: Start | Kill) -> None:
        if not self._writer.is_closing():
            self._writer.write(frame(message))

    async def _hear(self) -> None:
        while isinstance(message := await self._receive(), Ended | NotStarted):
            if (end := self._ends.pop(message.task_key, None)) is not None and not end.done():
                end.set_result(message)
        self._lose()
        self.close()

    def _lose(self) -> None:
        ends, self._ends = self._ends, {}
        for end in ends.values():
            if not end.done():
                end.set_result(None)

    async def _receive(self) -> FromZygote | None:
        with suppress(OSError, EOFError, msgspec.DecodeError):
            length = int.from_bytes(await self._reader.readexactly(LENGTH), "big")
            if length <= LONGEST:
                return messages.from_zygote.decode(await self._reader.readexactly(length))
        return None
