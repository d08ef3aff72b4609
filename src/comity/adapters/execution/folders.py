"""The folders that a host and a sandbox share: one to give, read-only within, and one to take from.

What lies in the second was made by foreign code, which may still be changing it: nothing there is opened by a name
that leads through a link, and an output is moved out of the sandbox's reach before it is looked at.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from math import ceil
from pathlib import Path
from threading import Lock
from typing import final

from comity.adapters.execution.isolation import IN, OUT, Mounts
from comity.adapters.execution.job import Job
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.log import KEPT
from comity.adapters.execution.messages import Start

LONGEST_LOG = KEPT + 1000
"""A tail with the line above it that says what is left out."""
WORK, OUTPUTS, LOG = "work", "outputs", "log.txt"
DEEPEST = 100
"""Folders in each other that a task may make: paths of any length could not be followed."""
UNUSED = 8
"""Folders that are kept for tasks to come."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@final
class Folders:
    """Those of one sandbox, below `root`; `inside` tells whether they have other names there.

    `user` is who the tasks run as when this process is root's.
    """

    def __init__(self, root: Path, mounts: Mounts, *, inside: bool, user: int | None) -> None:
        self.root = root
        self.taken = mounts.taken
        self._given = mounts.given
        self._user = user
        self._in, self._out = (IN, OUT) if inside else (str(mounts.given), str(mounts.taken))
        self._data = {path: mounts.seen(number) if inside else str(path) for number, path in enumerate(mounts.data)}
        self._bundles: dict[Path, str] = {}
        self._lock = Lock()
        self._unused: list[Path] = []
        """Folders of tasks that have left nothing in them."""
        self._names = count()
        self._given.mkdir(parents=True)
        self._given.chmod(0o755)
        self._made = root / "made"
        self._made.mkdir()
        self.written = (self.taken, self._made)
        """Where code of the sandbox writes; in what was moved out of its sight, through what it still has open."""
        self._writable(self.taken)

    @property
    def spare(self) -> str:
        """Where the sandbox may keep what has no other place."""
        return self._out

    def bundle(self, folder: Path) -> str:
        """Where the sandbox finds a bundle, given to it the first time."""
        with self._lock:
            if folder not in self._bundles:
                name = f"bundles/{len(self._bundles)}"
                for parent, _, files in os.walk(folder):
                    into = self._readable(self._given / name / Path(parent).relative_to(folder))
                    for each in files:
                        self._give(Path(parent, each), into / each)
                self._bundles[folder] = f"{self._in}/{name}"
            return self._bundles[folder]

    def place(self, job: Job) -> Start:
        """Give a job's inputs, and make where it may write; how the sandbox is told of it."""
        given = f"tasks/{job.task_key}"
        inputs: dict[str, str | list[str]] = {}
        for name, paths in job.inputs.items():
            if isinstance(paths, tuple):
                into = self._readable(self._given / given / "inputs" / name)
                for number, path in enumerate(paths):
                    self._give(path, into / str(number))
                inputs[name] = [f"{self._in}/{given}/inputs/{name}/{number}" for number in range(len(paths))]
            else:
                self._give(paths, self._readable(self._given / given / "inputs") / name)
                inputs[name] = f"{self._in}/{given}/inputs/{name}"
        if job.opener is not None:
            self._give(job.opener, self._readable(self._given / given) / "opener.py")
        self._make_room(job.task_key)
        out = f"{self._out}/{job.task_key}"
        return Start(
            task_key=job.task_key,
            plan_key=job.plan_key,
            rank=job.rank,
            inputs=inputs,
            opener=job.opener and f"{self._in}/{given}/opener.py",
            samples=[self._data[path] for path in job.samples],
            outputs={name: f"{out}/{WORK}/{OUTPUTS}/{name}" for name in job.outputs},
            scratch=f"{out}/{WORK}",
            log=f"{out}/{LOG}",
            cpu_seconds=ceil(job.seconds * (os.cpu_count() or 1)) + 1,
        )

    def take(self, job: Job, limits: Limits) -> str:
        """Move a job's outputs to where they belong; what is wrong with them, or nothing."""
        try:
            with _opened(self.taken, job.task_key, WORK, OUTPUTS) as folder:
                return next((fault for name in job.outputs if (fault := self._fault(job, name, folder, limits))), "")
        except OSError:
            return "the function left no folder for its outputs"

    def take_log(self, job: Job) -> None:
        """Put what a job has printed into its log; there is none of one that has printed nothing."""
        with suppress(OSError), _opened(self.taken, job.task_key) as folder:
            file = os.open(LOG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
            with os.fdopen(file, "rb") as opened:
                if stat.S_ISREG(os.fstat(file).st_mode):
                    job.log.unlink(missing_ok=True)
                    if printed := opened.read(LONGEST_LOG):
                        job.log.touch(mode=0o600)
                        job.log.write_bytes(printed)

    def clear(self, task_key: str) -> None:
        """Remove what a job was given and has left; what resists is removed with the sandbox."""
        shutil.rmtree(self._given / "tasks" / task_key, ignore_errors=True)
        left = self._name(task_key)
        with suppress(OSError):
            _make_mine(self.taken / task_key)
            (self.taken / task_key).rename(left)
        if len(self._unused) < UNUSED and _emptied(left):
            return self._unused.append(left)
        with suppress(RecursionError):
            shutil.rmtree(left, ignore_errors=True)
        if os.path.lexists(left):
            remove(left)

    def _fault(self, job: Job, name: str, folder: int, limits: Limits) -> str:
        """What is wrong with an output, or nothing. A link would lead to, or share, a file that is not the task's."""
        into = job.outputs[name]
        other = f"the function left a folder, a link or a device for the output {name!r}; a regular file belongs there"
        try:
            if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                return other
            os.rename(name, into, src_dir_fd=folder)
        except OSError:
            return f"the function left no file for the output {name!r}"
        found = into.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:  # another task of its plan has put it there
            into.unlink() if not stat.S_ISDIR(found.st_mode) else remove(into)
            return other
        if found.st_size > limits.disk:
            return f"the output {name!r} has {found.st_size} bytes, more than the limit of {limits.disk}"
        if self._user is not None:
            os.chown(into, os.geteuid(), os.getegid())
        into.chmod(0o600)
        return ""

    def _give(self, path: Path, at: Path) -> None:
        try:
            os.link(path, at)
        except OSError:  # of another file system
            shutil.copyfile(path, at)
        if self._user is not None:
            at.chmod(0o755 if at.stat().st_mode & 0o100 else 0o644)

    def _readable(self, folder: Path) -> Path:
        if not folder.is_dir():
            self._readable(folder.parent)
            folder.mkdir(exist_ok=True)  # another job may make it too
            folder.chmod(0o755)
        return folder

    def _make_room(self, task_key: str) -> None:
        """Make a task's folders, and only then move them to where other code of its plan could put links among them."""
        made = self._kept()
        if made is None:
            made = self._name(task_key)
            for folder in ("", WORK, f"{WORK}/{OUTPUTS}"):
                self._writable(made / folder)
        try:
            made.rename(self.taken / task_key)
        except OSError:
            remove(made)
            raise

    def _kept(self) -> Path | None:
        """Folders of a task that has ended, if there are some that still are as they were."""
        while True:
            try:
                unused = self._unused.pop()
            except IndexError:
                return None
            if _emptied(unused):
                return unused
            remove(unused)

    def _name(self, task_key: str) -> Path:
        """A name that no folder had: the same task may run again."""
        return self._made / f"{task_key}-{next(self._names)}"

    def _writable(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700)
        if self._user is not None:
            os.chown(folder, self._user, self._user)


@contextmanager
def _opened(outermost: Path, *names: str) -> Generator[int]:
    """A folder below another, reached through folders only."""
    folder = os.open(outermost, DIRECTORY)
    try:
        for name in names:
            outer, folder = folder, os.open(name, DIRECTORY, dir_fd=folder)
            os.close(outer)
        yield folder
    finally:
        os.close(folder)


def _emptied(left: Path) -> bool:
    """Whether a task's folders are as they were but for its log, which is removed."""
    with suppress(OSError), _opened(left) as outer, _opened(left, WORK) as work, _opened(left, WORK, OUTPUTS) as inner:
        if [_names(folder) - {LOG} for folder in (outer, work, inner)] == [{WORK}, {OUTPUTS}, set()]:
            for folder in (outer, work, inner):
                os.fchmod(folder, 0o700)
            with suppress(FileNotFoundError):
                os.unlink(LOG, dir_fd=outer)
            return True
    return False


def _names(folder: int) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def _make_mine(folder: Path) -> None:
    """Let this process move a folder, unless a link is in its place."""
    found = os.open(folder, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chmod(f"/proc/self/fd/{found}", 0o700)  # noqa: PTH101
    finally:
        os.close(found)


@final
@dataclass(slots=True)
class Usage:
    """What lies below a folder."""

    size: int = 0
    """Bytes on the disk."""
    files: int = 0
    hidden: str = ""
    """Why there may be more than can be counted; empty when there is not."""


def usage(folder: Path, *, most: int) -> Usage:
    """What lies below a folder that foreign code is changing; counting ends beyond `most` files.

    No link is followed. What could not be counted is not passed over: it may hide anything.
    """
    found = Usage()
    _count(os.open(folder, DIRECTORY), found, most=most, depth=0)
    return found


def _count(folder: int, found: Usage, *, most: int, depth: int) -> None:
    """Add what lies in an open folder, and close it."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                found.files += 1
                if found.files > most or found.hidden:
                    return
                with suppress(FileNotFoundError, NotADirectoryError):
                    found.size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        _enter(entry.name, folder, found, most=most, depth=depth + 1)
    finally:
        os.close(folder)


def _enter(name: str, parent: int, found: Usage, *, most: int, depth: int) -> None:
    if depth > DEEPEST:
        found.hidden = f"more than {DEEPEST} folders in each other"
        return
    try:
        _count(os.open(name, DIRECTORY, dir_fd=parent), found, most=most, depth=depth)
    except PermissionError:
        found.hidden = "a folder that may not be read"
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # gone, or another by now
            raise


def remove(folder: Path) -> None:
    """Remove what foreign code has made, however deep and whatever its modes, when none of that code is left."""
    run: Callable[..., object] = subprocess.run
    for command in (["rm", "-rf", "--"], ["chmod", "-R", "u+rwx", "--"], ["rm", "-rf", "--"]):
        if os.path.lexists(folder) and not (command[0] == "chmod" and os.geteuid() == 0):  # root needs no leave
            run([*command, str(folder)], capture_output=True)
