"""Tasks in processes of their own, some at a time, on the side of the node."""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop, Future, TimerHandle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import final

from comity.adapters.execution.connection import PATIENCE, Connection, connect
from comity.adapters.execution.job import Job, Outcome, Status, conclude
from comity.adapters.execution.messages import Ended, Kill
from comity.values import bounds
from comity.values.errors import Conflict, NotSupported, Unavailable


@final
@dataclass(slots=True)
class Run:
    """A job under way."""

    job: Job
    end: Future[Ended | Outcome]
    began: Callable[[], object]
    timer: TimerHandle | None = None
    stopped: Outcome | None = None
    """What it was killed for."""


@final
class Pool:
    """Runs jobs, at most `size` at once, each in a process forked from one that has the warm list imported.

    The event loop is never blocked. When a job has ended, none of its processes is left. Whatever its code
    does is an outcome, not an exception. A job whose base process is killed is lost; the next one gets a new
    base process. Linux only.

    NOT promised: isolation. A job can read what this user can, and tamper with the jobs beside it; one that
    kills the base process and clears its environment beforehand can leave a process behind.
    """

    def __init__(self, size: int, *, warm: Sequence[str] = ("numpy",), python: str = sys.executable) -> None:
        bounds.count("size", size, least=1)
        self._size = size
        self._warm = tuple(warm)
        self._python = python
        self._waiting: dict[str, Run] = {}  # in the order they came
        self._running: dict[str, Run] = {}
        self._base: Connection | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Have the base process ready; raises Unavailable when there can be none, NotSupported but on Linux."""
        if sys.platform != "linux":
            raise NotSupported(f"tasks run on Linux, not on {sys.platform}; simulate there")
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve(await connect(self._warm, self._python)))

    async def close(self) -> None:
        """End all jobs, as lost, and the base process."""
        serving, self._serving = self._serving, None
        if serving:
            self._lose(self._waiting, "the pool was closed")
            if self._base:
                self._base.hang_up()
            await serving

    async def run(self, job: Job, began: Callable[[], object] = lambda: None) -> Outcome:
        """What became of a job once it had its turn; raises Unavailable when the pool is not started.

        `began` is called when its turn comes; a job may be lost before. Raises Conflict while a job with the same
        task key is under way. When the caller is cancelled the job is killed, but not waited for.
        """
        if self._serving is None:
            raise Unavailable("the pool is not running; start it first")
        if job.task_key in self._waiting or job.task_key in self._running:
            raise Conflict(f"task {job.task_key} is under way already; await its outcome")
        loop = asyncio.get_running_loop()
        run = self._waiting[job.task_key] = Run(job, loop.create_future(), began)
        if self._serving.done():
            self._serving = asyncio.create_task(self._serve(None))
        self._fill(loop)
        try:
            end = await run.end
        except asyncio.CancelledError:
            self._stop(run, Outcome(Status.CANCELLED, "the task was cancelled"))
            raise
        return await asyncio.to_thread(conclude, job, end)

    async def cancel(self, task_key: str) -> None:
        """Kill that job if it is under way; returns when nothing of it is left."""
        if run := self._running.get(task_key) or self._waiting.get(task_key):
            self._stop(run, Outcome(Status.CANCELLED, "the task was cancelled"))
            await asyncio.wait([run.end])

    async def _serve(self, base: Connection | None) -> None:
        """Start jobs and hear of their ends for as long as a base process lives and jobs wait for the next."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._base = base or await connect(self._warm, self._python)
            except Unavailable as error:
                self._lose(self._waiting, str(error))
                return
            if self._serving is None:  # closed meanwhile
                self._base.hang_up()
            self._fill(loop)
            async for message in self._base.messages():
                told = (
                    message
                    if isinstance(message, Ended)
                    else Outcome(Status.LOST, f"the task could not be started: {message.reason}")
                )
                self._settle(message.task_key, told)
                self._fill(loop)
            self._base = base = None
            self._lose(self._running, "the base process has ended")
            if not self._waiting:
                return

    def _fill(self, loop: AbstractEventLoop) -> None:
        while self._base and self._base.listens and self._waiting and len(self._running) < self._size:
            key = next(iter(self._waiting))
            run = self._running[key] = self._waiting.pop(key)
            late = Outcome(Status.TIMED_OUT, f"the task took longer than its {run.job.seconds:g} seconds")
            run.timer = loop.call_later(run.job.seconds, self._stop, run, late)
            run.began()
            self._base.send(run.job.start())

    def _stop(self, run: Run, outcome: Outcome) -> None:
        key = run.job.task_key
        if self._waiting.get(key) is run:
            self._settle(key, outcome)
        elif self._running.get(key) is run and run.stopped is None and self._base:
            run.stopped = outcome
            self._base.send(Kill(key))
            if run.timer:
                run.timer.cancel()
            # A base process that does not do it is stopped, or stuck itself.
            run.timer = run.end.get_loop().call_later(PATIENCE, self._base.kill)

    def _settle(self, key: str, end: Ended | Outcome) -> None:
        run = self._running.pop(key, None) or self._waiting.pop(key, None)
        if run is None:
            return
        if run.timer:
            run.timer.cancel()
        if not run.end.done():
            run.end.set_result(run.stopped or end)

    def _lose(self, runs: Iterable[str], reason: str) -> None:
        for key in list(runs):
            self._settle(key, Outcome(Status.LOST, reason))
