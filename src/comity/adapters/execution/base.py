"""The base process: imports the warm list once, then forks one child for each task.

Usage: python -m comity.adapters.execution.base DESCRIPTOR [MODULE...]

It has one thread, asserted before each fork: a fork copies no other thread, and a lock that one held stays
locked for ever. It speaks with its host over the inherited socket DESCRIPTOR and ends, with all that came of
it, when that is closed.

Nothing outlives a task. A child adopts the orphans among its descendants while it lives; at its end they
come to the base. So whatever the base has for a child and did not fork itself is left over from a task that
has ended, wherever it hid from its process group, and is killed; only then is the task's end told.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence, Set
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import final

import msgspec

from comity.adapters.execution import child
from comity.adapters.execution.linux import adopt_orphans, children, kill, threads
from comity.adapters.execution.log import Tail
from comity.adapters.execution.messages import (
    Ended,
    NotStarted,
    Ready,
    Report,
    Start,
    ToHost,
    frame,
    frames,
    report,
    to_base,
)

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS")}
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


@final
class Forks:
    """The children of this process, and its conversation with the host."""

    def __init__(self, host: socket.socket, ended: int) -> None:
        self._host: socket.socket | None = host
        self._ended = ended
        self._heard = bytearray()
        self._tasks: dict[int, Task] = {}
        self._selector = DefaultSelector()
        self._selector.register(host, EVENT_READ, partial(self._hear, host))
        self._selector.register(ended, EVENT_READ, self._reap)

    def serve(self) -> None:
        """Do what the host says until it hangs up, and end all that is left."""
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
        for body in frames(self._heard):
            message = to_base.decode(body)
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
                assert threads() == 1, "the base process may have one thread only"
                parent, pid = os.getpid(), os.fork()
                if pid == 0:
                    child.run(start, parent=parent, log=log_end, report=report_end)
                opened.pop_all()
        except OSError as error:
            self._tell(NotStarted(start.task_key, f"{error.strerror}: {error.filename or 'no process for it'}"))
            return
        os.close(log_end)
        os.close(report_end)
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
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid in self._tasks:
                self._tasks[pid].status = os.waitstatus_to_exitcode(status)
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

    def _tell(self, message: ToHost) -> None:
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
        return report.decode(said or b"")
    except msgspec.DecodeError:
        return None


def _warm(modules: Sequence[str]) -> str:
    """Import the modules; why that will not do, or nothing."""
    for name in modules:
        try:
            import_module(name)
        except Exception as error:  # the edge of this program: its host tells it
            return f"the warm list's {name!r} cannot be imported: {type(error).__name__}: {error}"
        if threads() != 1:
            return f"importing {name!r} starts threads, after which no process may fork; take it off the warm list"
    gc.collect()
    gc.freeze()  # or the first collection in a child would copy every page
    return ""


def main() -> None:
    descriptor, *warm = sys.argv[1:]
    host = socket.socket(fileno=int(descriptor))
    os.environ.update(ONE_THREAD)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    adopt_orphans()
    error = _warm(warm)
    ended, wake = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    host.sendall(frame(Ready(error)))
    if not error:
        Forks(host, ended).serve()


if __name__ == "__main__":
    main()
