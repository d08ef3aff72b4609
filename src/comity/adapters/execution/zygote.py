"""A zygote: imports one bundle, then forks one child for each task.

It has one thread, asserted before each fork. It speaks with its host over a socket and ends, with all that came of
it, when that is closed.

Nothing outlives a task. A child adopts the orphans among its descendants while it lives; at its end they come to
the zygote. So whatever the zygote has for a child and did not fork itself is left over from a task that has ended,
wherever it hid from its process group, and is killed; only then is the task's end told. A bundle whose import has
changed this program can lie about that: the host counts for itself.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Set
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from tempfile import TemporaryFile
from typing import NoReturn, final

import msgspec

from comity.adapters.execution import bundle, child, messages
from comity.adapters.execution.linux import adopt_orphans, children, die_with, kill, reaped, threads, wake_at_ends
from comity.adapters.execution.log import Tail
from comity.adapters.execution.messages import Ended, Fork, FromZygote, Imported, NotStarted, Report, Start, frame

SOCKET = 3
"""The only descriptor that a zygote has at first beside the standard ones."""

PIPE = 2**16


@final
@dataclass(slots=True)
class Task:
    """A child and the ends of its pipes."""

    key: str
    tail: Tail
    log: int
    report: int
    status: int | None = None


def run(descriptor: int, told: Fork, *, parent: int, spare: Path) -> NoReturn:
    """Be the zygote of a bundle, and end this process."""
    status = 1
    try:
        os.setsid()
        die_with(parent)
        signal.set_wakeup_fd(-1)
        os.dup2(descriptor, SOCKET, inheritable=False)
        os.closerange(SOCKET + 1, os.sysconf("SC_OPEN_MAX"))
        adopt_orphans()
        host = socket.socket(fileno=SOCKET)
        load, printed = _imported(Path(told.bundle), spare) if told.imported else (_later(Path(told.bundle)), b"")
        threaded = threads() != 1
        host.sendall(frame(Imported(threaded)))
        if not threaded:
            Children(host, load, printed).serve()
        status = 0
    except BaseException:  # the edge of this program
        traceback.print_exc()
    finally:
        os._exit(status)


def _later(folder: Path) -> Callable[[], bundle.Loaded]:
    return partial(bundle.load, folder)


def _imported(folder: Path, spare: Path) -> tuple[Callable[[], bundle.Loaded], bytes]:
    """What gives the bundle's function or raises what its import raised, and what the import printed."""
    with TemporaryFile(dir=spare, buffering=0) as file:
        kept = [os.dup(descriptor) for descriptor in (1, 2)]
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
        try:
            function = bundle.load(folder)
            load: Callable[[], bundle.Loaded] = partial(lambda function: function, function)
        except BaseException as error:  # each task tells it in its log
            load = partial(_raise, error)
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        for descriptor, before in zip((1, 2), kept, strict=True):
            os.dup2(before, descriptor)
            os.close(before)
        printed = os.pread(file.fileno(), PIPE, 0)
    gc.freeze()
    return load, printed


def _raise(error: BaseException) -> NoReturn:
    raise error


@final
class Children:
    """The children of this process, and its conversation with the host."""

    def __init__(self, host: socket.socket, load: Callable[[], bundle.Loaded], printed: bytes) -> None:
        self._host: socket.socket | None = host
        self._load = load
        self._printed = printed
        self._heard = bytearray()
        self._tasks: dict[int, Task] = {}
        self._ended = wake_at_ends()
        self._selector = DefaultSelector()
        self._selector.register(host, EVENT_READ, partial(self._hear, host))
        self._selector.register(self._ended, EVENT_READ, self._reap)

    def serve(self) -> None:
        """Do what the host says until it hangs up, and end all that is left."""
        self._reap()  # what the import has left behind
        while self._host or self._tasks or children():
            for key, _ in self._selector.select():
                # One before it may have closed this descriptor, and another got its number.
                if self._selector.get_map().get(key.fileobj) is key:
                    act: Callable[[], object] = key.data
                    act()

    def _hear(self, host: socket.socket) -> None:
        try:
            data = host.recv(PIPE)
        except ConnectionResetError:
            data = b""
        if not data:
            self._selector.unregister(host)
            self._host = None
            self._kill(set(self._tasks))
        self._heard += data
        for body in messages.frames(self._heard):
            message = messages.to_zygote.decode(body)
            if isinstance(message, Start):
                self._start(message)
            else:
                self._kill({pid for pid, task in self._tasks.items() if task.key == message.task_key})

    def _kill(self, pids: Set[int]) -> None:
        for pid in pids & self._alive():
            kill(pid)

    def _alive(self) -> set[int]:
        return {pid for pid, task in self._tasks.items() if task.status is None}

    def _start(self, start: Start) -> None:
        try:
            with ExitStack() as opened:
                tail = Tail(Path(start.log))
                opened.callback(tail.close)
                log, log_end = _pipe(opened)
                report, report_end = _pipe(opened)
                assert threads() == 1, "a zygote may have one thread only"
                parent, pid = os.getpid(), os.fork()
                if pid == 0:
                    child.run(start, self._load, parent=parent, log=log_end, report=report_end)
                opened.pop_all()
        except OSError as error:
            self._tell(NotStarted(start.task_key, f"{error.strerror}: {error.filename or 'no process for it'}"[:1000]))
            return
        os.close(log_end)
        os.close(report_end)
        tail.write(self._printed)
        self._tasks[pid] = task = Task(start.task_key, tail, log, report)
        self._selector.register(log, EVENT_READ, partial(self._copy, task))

    def _copy(self, task: Task) -> bool:
        """Move what there is from the pipe to the log; whether there was something."""
        data = _read(task.log)
        if data:
            task.tail.write(data)
        elif data is not None:
            self._selector.unregister(task.log)
            return False
        return bool(data)

    def _reap(self) -> None:
        _read(self._ended)
        for pid, status in reaped().items():
            if pid in self._tasks:
                self._tasks[pid].status = status
        strangers = children() - self._alive()
        for pid in strangers:
            kill(pid)  # its end will wake us again
        if not strangers:
            for pid in [pid for pid, task in self._tasks.items() if task.status is not None]:
                self._finish(self._tasks.pop(pid))

    def _finish(self, task: Task) -> None:
        assert task.status is not None
        if task.log in self._selector.get_map():
            for _ in range(16):  # whoever could write is dead: a pipe's content is all there is
                if not self._copy(task):
                    break
        if task.log in self._selector.get_map():
            self._selector.unregister(task.log)
        task.tail.close()
        said = _report(_read(task.report))
        os.close(task.log)
        os.close(task.report)
        self._tell(Ended(task.key, task.status, said))

    def _tell(self, message: FromZygote) -> None:
        if self._host:
            with suppress(ConnectionError):  # it has hung up, as the next we hear will be
                self._host.sendall(frame(message))


def _pipe(opened: ExitStack) -> tuple[int, int]:
    """A pipe whose reading end does not block."""
    ends = os.pipe()
    for end in ends:
        opened.callback(os.close, end)
    os.set_blocking(ends[0], False)
    return ends


def _read(pipe: int) -> bytes | None:
    """What a pipe holds, empty at its end, None when it is only empty."""
    try:
        return os.read(pipe, PIPE)
    except BlockingIOError:
        return None


def _report(said: bytes | None) -> Report | None:
    try:
        return messages.report.decode(said or b"")
    except msgspec.DecodeError:
        return None
