"""Programs forked from this process, watched and started again when they die."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, TypeAlias, final

from comity.adapters.execution import linux
from comity.values.errors import ComityError, Unavailable

Report: TypeAlias = Callable[[Mapping[str, Any]], None]
"""How a program says that it is ready."""

Program: TypeAlias = Callable[[Report], None]

QUICK = 2.0
"""A program that dies within so many seconds of its start is started again only after as many."""


PATIENCE = 10.0
"""Seconds that a program has to end."""


@final
@dataclass
class Child:
    """One program and the process it runs in now."""

    name: str
    program: Program
    pid: int = 0
    pipe: int = -1
    said: dict[str, Any] | None = None
    started: float = 0.0
    heard: bytes = b""
    starts: int = 0


@final
@dataclass
class Forked:
    """The programs of this process, which itself has one thread and does nothing else."""

    children: dict[str, Child] = field(default_factory=dict[str, Child])
    held: IO[bytes] | None = None
    """A lock that is given up at the end; it is this process's alone."""

    def start(self, name: str, program: Program) -> None:
        """Start a program in a process of its own."""
        self.children[name] = Child(name, program)
        self._fork(self.children[name])

    def wait_for(self, name: str, seconds: float) -> Mapping[str, Any]:
        """What the program says when it is ready; raises Unavailable when it ends before, or takes too long."""
        child, until = self.children[name], time.monotonic() + seconds
        while child.said is None:
            if child.pipe < 0 or time.monotonic() > until:
                raise Unavailable(f"{name} did not start; what it printed says why")
            self._hear(0.5)
        return child.said

    def watch(self, attached: int | None = None) -> None:
        """Start again whatever dies, until a signal ends this process, or the pipe that it is attached to is closed."""
        while not (attached is not None and _closed(attached)):
            self._hear(1.0, attached)
            for child in self.children.values():
                # who has closed its pipe is ending, and known to be dead a moment later
                if child.pid and os.waitpid(child.pid, os.WNOHANG if child.pipe >= 0 else 0)[0]:
                    child.pid = 0
                if not child.pid and time.monotonic() - child.started > (QUICK if child.starts > 1 else 0.0):
                    self._fork(child)

    def stop(self) -> None:
        """End every program, those started later first, and wait for it."""
        first, *later = self.children.values()
        for group in (later, [first]):
            for child in group:
                if child.pid:
                    os.kill(child.pid, signal.SIGTERM)
            until = time.monotonic() + PATIENCE
            for child in group:
                _reap(child, until)
        if self.held is not None:
            self.held.close()

    def _fork(self, child: Child) -> None:
        if child.pipe >= 0:
            os.close(child.pipe)
        inlet, outlet = os.pipe()
        parent = os.getpid()
        child.pid = os.fork()
        if not child.pid:
            os.close(inlet)
            if self.held is not None:
                self.held.close()
            _become(child, parent, outlet)
        os.close(outlet)
        child.pipe, child.started, child.heard = inlet, time.monotonic(), b""
        child.starts += 1

    def _hear(self, seconds: float, attached: int | None = None) -> None:
        pipes = {child.pipe: child for child in self.children.values() if child.pipe >= 0}
        also = [] if attached is None else [attached]
        ready, _, _ = select.select([*pipes, *also], [], [], seconds)
        for pipe in pipes.keys() & set(ready):
            child, data = pipes[pipe], os.read(pipe, 65536)
            child.heard += data
            if not data:
                os.close(pipe)
                child.pipe = -1
            elif child.heard.endswith(b"\n"):
                child.said = json.loads(child.heard)


def _reap(child: Child, until: float) -> None:
    """Wait for a process that was told to end, and kill it when it does not."""
    while child.pid and not os.waitpid(child.pid, os.WNOHANG)[0]:
        if time.monotonic() > until:
            os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.01)
    child.pid = 0


def _become(child: Child, parent: int, outlet: int) -> None:
    """Be the program, in the forked process, and end with it."""
    status = 1
    try:
        if sys.platform == "linux":
            linux.die_with(parent)
        os.setsid()  # Ctrl-C is for the parent, which says when to end
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        child.program(lambda said: _say(outlet, said))
        status = 0
    except ComityError as error:
        print(f"comity: {child.name}: {error}", file=sys.stderr, flush=True)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _closed(pipe: int) -> bool:
    """Whether the other end of a pipe is closed; what comes through it is read and not looked at."""
    while select.select([pipe], [], [], 0)[0]:
        if not os.read(pipe, 65536):
            return True
    return False


def _say(outlet: int, said: Mapping[str, Any]) -> None:
    os.write(outlet, json.dumps(said).encode() + b"\n")
