"""Lines for a shell, run while an image is built: in a sandbox without network that sees the image and nothing else."""

from __future__ import annotations

import asyncio
import os
import stat
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory
from typing import final

from comity.adapters.execution import seccomp
from comity.adapters.execution.folders import usage
from comity.adapters.execution.isolation import OUT, Isolation, Level, Mounts
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.log import Tail
from comity.ports.environments import Environment
from comity.values.errors import BuildFailed

GLANCE = 0.2
"""Seconds between two looks at what a line has written."""

PIECE = 2**16

LIMITED = 'ulimit -c 0; ulimit -f "$1"; ulimit -n "$2"; ulimit -v "$3"; cd "$4" && exec /bin/sh -c "$5"'
"""Given the limits in blocks of 512 bytes, descriptors and KiB, a folder and a line."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell that changes the files of an image."""

    files: Path
    environment: Environment
    isolation: Isolation
    limits: Limits
    seconds: float
    """Of wall-clock time that a line may take."""

    async def run(self, line: str, folder: str, variables: Mapping[str, str], log: Tail) -> None:
        """Run a line in a folder, given from `files`; what it prints is in the log.

        Raises BuildFailed unless it ends well, within the limits, and leaves nothing but folders and regular files:
        a link would be followed by this node.
        """
        log.write(f"RUN {line}\n".encode())
        with ExitStack() as opened:
            given = Path(opened.enter_context(TemporaryDirectory(dir=self.files.parent)))
            given.chmod(0o755)
            fault = await self._ran(line, folder, variables, log, given, opened)
        if self.isolation.user is not None:
            await asyncio.to_thread(_own, self.files, os.geteuid())
        fault = fault or await asyncio.to_thread(_strange, self.files)
        if fault:
            raise BuildFailed(f"the line RUN {line[:200]} {fault}")

    async def _ran(
        self, line: str, folder: str, variables: Mapping[str, str], log: Tail, given: Path, opened: ExitStack
    ) -> str:
        """What is wrong with how it went, or nothing."""
        sealed = self.isolation.level is not Level.PLAIN
        mounts = Mounts(environment=self.environment.mounts, data=(), given=given, taken=self.files)
        filtered = seccomp.opened(opened) if sealed else None
        if self.isolation.user is not None:
            await asyncio.to_thread(_own, self.files, self.isolation.user)
        process = await asyncio.create_subprocess_exec(
            *self.isolation.command(
                self._words(line, folder, variables, sealed), mounts, self.limits, seccomp=filtered
            ),
            pass_fds=() if filtered is None else (filtered,),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=self.isolation.variables(mounts),
            cwd="/",
            start_new_session=True,
        )
        watching = asyncio.create_task(self._watch(process))
        try:
            async with asyncio.timeout(self.seconds):
                await _copy(process, log)
                status = await process.wait()
        except TimeoutError:
            return f"took longer than {self.seconds:g} seconds"
        finally:
            watching.cancel()
            _kill(process)
            await process.wait()
        return await asyncio.to_thread(self._excess) or (f"ended with status {status}" if status else "")

    def _words(self, line: str, folder: str, variables: Mapping[str, str], sealed: bool) -> list[str]:
        path = f"{self.environment.python.parent}:/usr/local/bin:/usr/bin:/bin"
        set_here = {**variables, "PATH": path, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        limits = (self.limits.disk // 512, self.limits.open_files, self.limits.memory // 1024)
        where = f"{OUT if sealed else self.files}/{folder}"
        variables_set = [f"{name}={value}" for name, value in set_here.items()]
        return ["/usr/bin/env", *variables_set, "/bin/sh", "-c", LIMITED, "sh", *map(str, limits), where, line]

    async def _watch(self, process: Process) -> None:
        while not await asyncio.to_thread(self._excess):
            await asyncio.sleep(GLANCE)
        _kill(process)

    def _excess(self) -> str:
        found = usage(self.files, most=self.limits.files)
        if found.size > self.limits.disk or found.files > self.limits.files or found.hidden:
            return f"wrote more than {self.limits.disk} bytes or {self.limits.files} files, or hid them"
        return ""


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, SIGKILL)


async def _copy(process: Process, log: Tail) -> None:
    assert process.stdout is not None
    while piece := await process.stdout.read(PIECE):
        log.write(piece)


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, each) for each in (*folders, *files))


def _own(folder: Path, user: int) -> None:
    for path in (folder, *_below(folder)):
        os.chown(path, user, user, follow_symlinks=False)


def _strange(folder: Path) -> str:
    """What there is but folders and regular files, or nothing; modes are made the ordinary ones."""
    for path in _below(folder):
        mode = path.lstat().st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            return f"left {path.relative_to(folder)}, which is a link or a device; only files and folders are kept"
        path.chmod(0o755 if stat.S_ISDIR(mode) or mode & 0o100 else 0o644)
    return ""
