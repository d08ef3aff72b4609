"""The process that runs of the playground are forked from: what they need is loaded once.

Usage: python -m comity.faces.playground.base DESCRIPTOR FOLDER NICE: of a listening Unix socket, where that lies, and
how far all stand back behind others. It ends when its standard input does, and takes the folder with it.

Who wants something run connects, sends one line, and reads lines until the end. The connection is a lease: a run whose
client hangs up is killed, so nothing is computed that nobody waits for. It has one thread, asserted before each fork,
for a fork copies no other, and a lock that one held stays locked for ever. There is no user's code in what it runs.
"""

from __future__ import annotations

import gc
import os
import resource
import shutil
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import NoReturn, final

from comity.engine.simulate import FEDERATED
from comity.faces.playground.data_sets import DATA_SETS, load
from comity.faces.playground.work import LONGEST, Asked, Failed, Said, asked, line, perform
from comity.values.errors import ComityError
from comity.values.rows import Rows


@final
@dataclass
class Runs:
    """The children of this process, by their pids, and the connection that each is for."""

    listening: socket.socket
    data: dict[str, tuple[Rows, Rows]]
    of: dict[int, socket.socket] = field(default_factory=dict[int, socket.socket])

    def serve(self) -> None:
        """Fork a run for each that asks, until standard input ends; then end them all."""
        woken, wake = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = DefaultSelector()
        for each in (self.listening, woken, sys.stdin):
            selector.register(each, EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    signal.set_wakeup_fd(-1)
                    self._end(set(self.of))
                    return
                if key.fileobj is woken:
                    woken.recv(4096)
                    self._reap(selector)
                elif key.fileobj is self.listening:
                    self._begin(selector)
                else:
                    left = key.fileobj
                    selector.unregister(left)
                    self._end({pid for pid, each in self.of.items() if each is left})

    def _begin(self, selector: DefaultSelector) -> None:
        connection, _ = self.listening.accept()
        connection.settimeout(5.0)
        try:
            wanted = asked.decode(_line(connection))
        except (OSError, ValueError):  # who asks has hung up meanwhile
            connection.close()
            return
        assert threads() == 1, "this process may have one thread only"
        pid = os.fork()
        if pid == 0:
            for other in (self.listening, *self.of.values()):
                other.close()  # its client must see its end, however long this run is
            _run(connection, wanted, self.data)
        self.of[pid] = connection
        selector.register(connection, EVENT_READ)

    def _reap(self, selector: DefaultSelector) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)[0]) != 0:
                connection = self.of.pop(ended)
                if connection.fileno() in selector.get_map():
                    selector.unregister(connection)
                connection.close()

    def _end(self, pids: set[int]) -> None:
        """Kill children of this process that were not yet waited for, so that no pid is another's."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def _line(connection: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\n"):
        more = connection.recv(LONGEST)
        if not more or len(read) > LONGEST:
            raise ValueError("no line came")
        read += more
    return read


def _run(connection: socket.socket, wanted: Asked, data: dict[str, tuple[Rows, Rows]]) -> NoReturn:
    """Be a run, tell of it to the connection, and end this process."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CPU, (wanted.cpu_seconds, wanted.cpu_seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        connection.settimeout(None)

        def tell(said: Said) -> None:
            connection.sendall(line(said))

        try:
            perform(wanted, tell, data.__getitem__)
        except (ComityError, ImportError) as error:
            tell(Failed(str(error)))
        status = 0
    except OSError:  # it hung up
        status = 0
    finally:
        os._exit(status)


def threads() -> int:
    """How many threads this process has; 1 where the system does not tell."""
    folder = Path("/proc/self/task")
    return folder.stat().st_nlink - 2 if folder.exists() else 1


def warm() -> dict[str, tuple[Rows, Rows]]:
    """All data sets, after a round of each has been run: the first loads a lot."""
    data = {name: load(name) for name in DATA_SETS}
    for name, data_set in DATA_SETS.items():
        if not data_set.missing:
            perform(Asked(f"data={name}&rounds=1", FEDERATED, 0, 0), lambda _: None, data.__getitem__)
    return data


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end this process sees
    listening, nice = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[3])
    os.nice(nice)
    data = warm()
    gc.collect()
    gc.freeze()  # or the first collection in a child would copy every page
    Runs(listening, data).serve()
    shutil.rmtree(sys.argv[2], ignore_errors=True)


if __name__ == "__main__":
    main()
