"""A sandbox as its host sees it: a base process, its zygotes, and the folders they share with the host."""

from __future__ import annotations

import asyncio
import os
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from select import select
from signal import SIGKILL, pidfd_send_signal
from typing import final

import msgspec

from comity.adapters.execution import messages, seccomp
from comity.adapters.execution.connection import Zygote
from comity.adapters.execution.folders import Folders, remove
from comity.adapters.execution.isolation import Isolation, Level, Mounts
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.linux import children_of, has_mark, marked
from comity.adapters.execution.messages import Begin, Fork
from comity.ports.environments import Environment
from comity.values.errors import BuildFailed, Unavailable

MARK = "COMITY_BASE"
PATIENCE = 10.0
"""Seconds that processes get for what they do at once when they are well."""
BLINK, BLINKS = 0.02, 10
"""Seconds between two looks at processes that may have been killed a moment ago, and how often these are looked for."""

ENTRY = ("-I", "-B", "-X", "utf8", "-m", "comity.adapters.execution.base")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What shares a sandbox: nothing in one of them is kept from another."""

    environment: Environment
    plan: str
    data: tuple[Path, ...]
    built: tuple[int, ...] = ()
    """What tells an environment from one that was built anew in its place."""
    alone: str = ""
    """A task that shares it with nothing."""


@final
class Sandbox:
    """A base process that is ready, until it has `ended`."""

    def __init__(self, process: Process, control: socket.socket, folders: Folders, *, level: Level, mark: str) -> None:
        self._process = process
        self._control = control
        self._level = level
        self._mark = mark
        self._zygotes: dict[Path, asyncio.Task[Zygote | None]] = {}
        self.folders = folders
        self.tasks = 0
        """Under way in it."""
        self.failed = ""
        """What its tasks have done that ended it."""
        self.over = False
        """Whether it takes no more tasks: it ends, or has ended."""
        self.base = _base(process.pid, level)
        self._handle: int | None = os.pidfd_open(self.base)
        self.ended = asyncio.create_task(self._end())

    async def zygote(self, bundle: Path, *, imported: bool) -> Zygote | None:
        """The zygote of a bundle; None when its import, or something else, has ended it. Then so does the sandbox."""
        if bundle not in self._zygotes:
            self._zygotes[bundle] = asyncio.create_task(self._forked(bundle, imported=imported))
        made = None
        try:
            made = await asyncio.shield(self._zygotes[bundle])
        finally:
            if made is None:  # or its import goes on, and nothing else ends that
                self.kill()
        return made

    async def left_behind(self) -> bool:
        """Whether there are processes that no task accounts for, also when looked at again and again."""
        for _ in range(BLINKS):
            if self.over or not self._strangers():
                return False
            await asyncio.sleep(BLINK)
        return True

    def _strangers(self) -> bool:
        """Whether there are processes that are neither zygotes, nor the tasks' processes, nor beneath these."""
        zygotes = children_of(self.base)
        return len(zygotes) > len(self._zygotes) or sum(len(children_of(pid)) for pid in zygotes) > self.tasks

    def kill(self, failed: str = "") -> None:
        """End it at once with all that runs in it, because of what its tasks have done if it says so."""
        self.failed = self.failed or failed
        self.over = True
        with suppress(ProcessLookupError):
            if self._handle is not None:
                pidfd_send_signal(self._handle, SIGKILL)

    async def close(self) -> None:
        """Have it end; returns when nothing of it is left."""
        self.over = True
        if self._level is Level.PLAIN:  # nothing but itself knows all that came of it
            with suppress(OSError):
                self._control.shutdown(socket.SHUT_RDWR)
            await asyncio.wait([self.ended], timeout=PATIENCE)
        self.kill()
        await self.ended

    async def _forked(self, bundle: Path, *, imported: bool) -> Zygote | None:
        there = await asyncio.to_thread(self.folders.bundle, bundle)
        for way in (True, False) if imported else (False,):
            zygote = await self._connected(Fork(there, way))
            said = await zygote.imported()
            if said is None or not said.threads:
                return zygote if said else None
            zygote.close()
        return None

    async def _connected(self, fork: Fork) -> Zygote:
        ours, its = socket.socketpair()
        with its, suppress(OSError):  # the base process has ended, and this socket with `its`
            socket.send_fds(self._control, [messages.encode(fork)], [its.fileno()])
        return Zygote(*await asyncio.open_connection(sock=ours))

    async def _end(self) -> None:
        status = await self._process.wait()
        self.over = True
        if self._level is Level.PLAIN and status != 0:  # it could not clear up behind itself
            await asyncio.to_thread(_kill_marked, self._mark)
        for each in self._zygotes.values():
            each.cancel()
            with suppress(asyncio.CancelledError, OSError):
                if (zygote := await each) is not None:
                    zygote.close()
        self._control.close()
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
        await asyncio.to_thread(remove, self.folders.root)


def _base(process: int, level: Level) -> int:
    """The base process: bubblewrap waits outside for its one child."""
    return process if level is Level.PLAIN else next(iter(children_of(process)), process)


async def begun(domain: Domain, folder: Path, isolation: Isolation, limits: Limits, devices: Sequence[str]) -> Sandbox:
    """A new sandbox, ready, with its folders below `folder`, which is made.

    Raises BuildFailed when what its environment is to have imported cannot be, Unavailable when there can be none now.
    """
    mounts = Mounts(
        environment=domain.environment.mounts,
        data=domain.data,
        given=folder / "in",
        taken=folder / "out",
        devices=devices,
    )
    sealed = isolation.level is not Level.PLAIN
    folders = await asyncio.to_thread(Folders, folder, mounts, inside=sealed, user=isolation.user)
    token = token_hex(16)
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ExitStack() as opened:
        opened.enter_context(its)
        filtered = seccomp.opened(opened, memfd=bool(devices)) if sealed else None
        said = Begin(
            control=its.fileno(),
            warm=domain.environment.warm,
            spare=folders.spare,
            file_bytes=limits.disk,
            open_files=limits.open_files,
            processes=limits.processes if sealed else 0,
            sealed=sealed,
        )
        program = (str(domain.environment.python), *ENTRY, msgspec.json.encode(said).decode())
        errors = opened.enter_context((folder / "errors.txt").open("wb"))
        try:
            process = await asyncio.create_subprocess_exec(
                *isolation.command(program, mounts, limits, seccomp=filtered),
                pass_fds=(its.fileno(), *(() if filtered is None else (filtered,))),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=errors,
                env={**isolation.variables(mounts), MARK: token},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            await asyncio.to_thread(remove, folder)
            raise Unavailable(
                f"{program[0]} cannot be started: {error.strerror}; name a Python that has comity"
            ) from error
    ours.setblocking(False)
    error = await _ready(ours, process)
    if error is not None:
        ours.close()
        process_ended = await process.wait()
        told = (folder / "errors.txt").read_text(errors="replace").strip().splitlines()
        await asyncio.to_thread(remove, folder)
        if error:
            raise BuildFailed(f"no process for tasks: {error}")
        raise Unavailable(
            f"no process for tasks: it ended with status {process_ended} before it was ready"
            + (f": {told[-1][:500]}" if told else "")
        )
    return Sandbox(process, ours, folders, level=isolation.level, mark=f"{MARK}={token}")


async def _ready(control: socket.socket, process: Process) -> str | None:
    """None when the base process is ready, else why it will never be, as far as that is known."""
    try:
        said = await asyncio.get_running_loop().sock_recv(control, messages.PACKET)
        return messages.ready.decode(said).error or None if said else ""
    except (OSError, msgspec.DecodeError):
        return ""
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        raise


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
