"""Lines for a shell, run while an image is built: in a sandbox without network that sees the image and nothing else."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from tempfile import TemporaryDirectory
from typing import final

from comity.adapters.execution import launching, seccomp, watch
from comity.adapters.execution.folders import usage
from comity.adapters.execution.isolation import IN, OUT, Isolation, Level, Mounts
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.log import Tail
from comity.ports.environments import Environment
from comity.values.errors import BuildFailed

GLANCE = 0.2
"""Seconds between two looks at what a line has written."""

PIECE = 2**16

LAUNCHER = "launch.py"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A shell that changes the files of an image."""

    files: Path
    environment: Environment
    isolation: Isolation
    limits: Limits

    async def run(self, line: str, folder: str, variables: Mapping[str, str], log: Tail) -> None:
        """Run a line in a folder, given from `files`; what it prints is in the log.

        Raises BuildFailed unless it ends well, within the limits, and leaves nothing but folders and regular files:
        a link would be followed by this node.
        """
        log.write(f"RUN {line}\n".encode(errors="replace"))
        with ExitStack() as opened:
            given = Path(opened.enter_context(TemporaryDirectory(dir=self.files.parent)))
            given.chmod(0o755)
            shutil.copyfile(launching.__file__, given / LAUNCHER)
            (given / LAUNCHER).chmod(0o644)
            fault = await self._ran(line, folder, variables, log, given, opened)
        if self.isolation.user is not None:
            await asyncio.to_thread(_own, self.files, os.geteuid())
        if fault := fault or await asyncio.to_thread(_strange, self.files):
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
                self._words(line, folder, variables, mounts), mounts, self.limits, seccomp=filtered
            ),
            pass_fds=() if filtered is None else (filtered,),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env=self.isolation.variables(mounts),
            cwd="/",
            start_new_session=True,
        )
        watching = asyncio.create_task(self._watched(process))
        try:
            await _copy(process, log)
            status = await process.wait()
        finally:
            _kill(process)
            watching.cancel()
            await asyncio.wait([watching])
            await process.wait()
        over = "" if watching.cancelled() else watching.result()
        over = over or await asyncio.to_thread(self._written)
        return over or (f"ended with status {status}" if status else "")

    def _words(self, line: str, folder: str, variables: Mapping[str, str], mounts: Mounts) -> list[str]:
        """The command; variables are set within, since a sandbox begins with none."""
        sealed = self.isolation.level is not Level.PLAIN
        launcher = f"{IN}/{LAUNCHER}" if sealed else str(mounts.given / LAUNCHER)
        limits = (self.limits.processes if sealed else 0, self.limits.open_files, self.limits.disk)
        where = f"{OUT if sealed else self.files}/{folder}"
        path = f"{self.environment.python.parent}:/usr/local/bin:/usr/bin:/bin"
        given = {**variables, "PATH": path, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
        # Its own Python: whatever an environment has it run at its start, it runs in here.
        python = [str(self.environment.python), "-I", "-S", launcher, *map(str, limits), where]
        return [*python, "/usr/bin/env", *(f"{name}={value}" for name, value in given.items()), "/bin/sh", "-c", line]

    async def _watched(self, process: Process) -> str:
        """What it takes too much of, once it does; then it is killed."""
        while not (over := await asyncio.to_thread(self._over, process.pid)):
            await asyncio.sleep(GLANCE)
        _kill(process)
        return over

    def _over(self, pid: int) -> str:
        if fault := watch.memory(pid, self.limits, tasks=1):
            return f"took too much {fault}"
        return self._written()

    def _written(self) -> str:
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
            return (
                f"left {str(path.relative_to(folder))!a}, which is a link or a device; only files and folders are kept"
            )
        path.chmod(0o755 if stat.S_ISDIR(mode) or mode & 0o100 else 0o644)
    return ""
