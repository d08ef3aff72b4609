"""The base process as its host sees it."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from secrets import token_hex
from select import select
from signal import SIGKILL, pidfd_send_signal
from typing import final

import msgspec

from comity.adapters.execution.linux import has_mark, marked
from comity.adapters.execution.messages import LENGTH, Ended, NotStarted, Ready, ToBase, ToHost, frame, to_host
from comity.values.errors import Unavailable

MARK = "COMITY_BASE"
PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ")
"""What a task may see of its host's environment."""

LONGEST = 2**20
PATIENCE = 10.0
"""Seconds that a base process gets for what it does at once when it is well."""


@final
class Connection:
    """A base process that is ready."""

    def __init__(self, process: Process, reader: StreamReader, writer: StreamWriter, mark: str) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._mark = mark
        self.listens = True
        """Whether it may still do what it is told."""

    @property
    def pid(self) -> int:
        """Of the base process."""
        return self._process.pid

    def send(self, message: ToBase) -> None:
        """Tell it something, at the latest when it next reads; nothing when it listens no more."""
        if self.listens and not self._writer.is_closing():
            self._writer.write(frame(message))

    def kill(self) -> None:
        """End it at once; `messages` ends when nothing of it is left."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def hang_up(self) -> None:
        """Have it end, with all its tasks; `messages` ends when nothing of it is left."""
        self.listens = False
        with suppress(OSError, RuntimeError):  # the latter is uvloop's for a connection that the other side has closed
            self._writer.write_eof()

    async def messages(self) -> AsyncIterator[Ended | NotStarted]:
        """What it tells, until it and all that came of it have ended."""
        try:
            while not isinstance(message := await _receive(self._reader), Ready):
                yield message
        except (OSError, EOFError, msgspec.DecodeError):
            pass  # it has ended, or is no longer what it was
        finally:
            await self._end()

    async def _end(self) -> None:
        self.hang_up()
        try:
            status = await asyncio.wait_for(self._process.wait(), PATIENCE)
        except TimeoutError:
            self.kill()
            status = await self._process.wait()
        self._writer.close()
        if status != 0:  # it could not clear up behind itself
            await asyncio.to_thread(_kill_marked, self._mark)


async def connect(warm: Sequence[str], python: str) -> Connection:
    """A new base process with the warm list imported; raises Unavailable, with its reason, when there is none."""
    ours, its = socket.socketpair()
    token = token_hex(16)
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        process = await asyncio.create_subprocess_exec(
            *(python, "-I", "-B", "-X", "utf8", "-m", "comity.adapters.execution.base", str(its.fileno()), *warm),
            pass_fds=(its.fileno(),),
            stdin=DEVNULL,
            stdout=DEVNULL,
            env={**environment, MARK: token},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise Unavailable(f"{python} cannot be started: {error.strerror}; name a Python that has comity") from error
    finally:
        its.close()
    reader, writer = await asyncio.open_connection(sock=ours)
    connection = Connection(process, reader, writer, f"{MARK}={token}")
    try:
        message = await _receive(reader)
        reason = message.error if isinstance(message, Ready) else "it speaks out of turn"
    except (OSError, EOFError, msgspec.DecodeError):
        reason = "it ended before it was ready; its error output tells why"
    except asyncio.CancelledError:
        connection.kill()
        raise
    if reason:
        async for _ in connection.messages():
            pass
        raise Unavailable(f"no process for tasks: {reason}")
    return connection


async def _receive(reader: StreamReader) -> ToHost:
    length = int.from_bytes(await reader.readexactly(LENGTH), "big")
    if length > LONGEST:
        raise msgspec.DecodeError(f"a message of {length} bytes")
    return to_host.decode(await reader.readexactly(length))


def _kill_marked(mark: str) -> None:
    while found := marked(mark):
        for pid in found:
            with suppress(ProcessLookupError):
                process = os.pidfd_open(pid)  # its number may be another's by now, and then it is not killed
                try:
                    if has_mark(pid, mark):
                        pidfd_send_signal(process, SIGKILL)
                        select([process], [], [], PATIENCE)
                finally:
                    os.close(process)
