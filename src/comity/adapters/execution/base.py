"""The base process of a sandbox: imports the warm list once, then forks a zygote for each bundle.

Usage: python -m comity.adapters.execution.base BEGIN

It runs nothing of a bundle, and within a sandbox nothing of a bundle can look into it or end it. It has one thread,
asserted before each fork: a fork copies no other thread, and a lock that one held stays locked for ever. It speaks with
its host over an inherited socket and ends, with all that came of it, when that is closed. Whatever becomes its child
and is no zygote was left behind, and is killed.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import final

from comity.adapters.execution import messages, zygote
from comity.adapters.execution.linux import (
    adopt_orphans,
    children,
    die_first,
    keep_to_itself,
    kill,
    reaped,
    threads,
    wake_at_ends,
)
from comity.adapters.execution.messages import Begin, Fork, Ready

ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB", "RAYON")}


@final
class Zygotes:
    """The children of this process."""

    def __init__(self, control: socket.socket, spare: Path) -> None:
        self._control = control
        self._spare = spare
        self._forked: set[int] = set()

    def serve(self) -> None:
        """Fork zygotes until the host hangs up, and end all that is left."""
        ended = wake_at_ends()
        selector = DefaultSelector()
        selector.register(self._control, EVENT_READ)
        selector.register(ended, EVENT_READ)
        open_ = True
        while open_ or children():
            for key, _ in selector.select():
                if key.fileobj is self._control:
                    open_ = self._hear()
                    if not open_:
                        selector.unregister(self._control)
                else:
                    os.read(ended, messages.PACKET)
                    self._forked -= reaped().keys()
            for stranger in children() - (self._forked if open_ else set()):
                kill(stranger)  # its end will wake us again

    def _hear(self) -> bool:
        """Do what the host says; False when it has hung up."""
        try:
            data, sockets, _, _ = socket.recv_fds(self._control, messages.PACKET, 1)
        except ConnectionResetError:
            return False
        if not data:
            return False
        self._fork(messages.fork.decode(data), *sockets)
        return True

    def _fork(self, told: Fork, descriptor: int) -> None:
        assert threads() == 1, "the base process may have one thread only"
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:  # the host sees its socket closed
            pid = -1
        if pid == 0:
            zygote.run(descriptor, told, parent=parent, spare=self._spare)
        os.close(descriptor)
        if pid > 0:
            self._forked.add(pid)


def _warm(modules: Sequence[str]) -> str:
    """Import the modules; why that will not do, or nothing."""
    gc.disable()  # hardly anything that an import makes is garbage, and looking for it is a sixth of its work
    for name in modules:
        try:
            module = import_module(name)
            if name == "torch":  # its first optimizer imports 800 modules more
                module.optim.SGD([module.zeros(1, requires_grad=True)])
        except Exception as error:  # the edge of this program: its host tells it
            return f"the warm list's {name!r} cannot be imported: {type(error).__name__}: {error}"
        if threads() != 1:
            return f"importing {name!r} starts threads, after which no process may fork; take it off the warm list"
    gc.freeze()  # or the first collection in a child would copy every page
    gc.enable()
    return ""


def _limit(begin: Begin) -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: begin.file_bytes,
        resource.RLIMIT_NOFILE: begin.open_files,
        **({resource.RLIMIT_NPROC: begin.processes} if begin.processes else {}),
    }
    for limit, value in limits.items():
        _, most = resource.getrlimit(limit)
        lower = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(limit, (lower, lower))


def main() -> None:
    begin = messages.begin.decode(sys.argv[1])
    control = socket.socket(fileno=begin.control)
    os.environ.update(ONE_THREAD)
    signal.signal(
        signal.SIGINT, signal.SIG_DFL
    )  # the first process of a sandbox gets no signal that it does not handle
    _limit(begin)
    if begin.sealed:
        die_first()
        keep_to_itself()
    adopt_orphans()
    error = _warm(begin.warm)
    control.send(messages.encode(Ready(error[:1000])))
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 2)  # or a bundle could fill the host's file of errors, which no limit counts
    if not error:
        Zygotes(control, Path(begin.spare)).serve()


if __name__ == "__main__":
    main()
