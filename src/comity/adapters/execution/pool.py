"""Tasks in sandboxes, some at a time, on the side of the node."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic_ns
from typing import Literal, final

from comity.adapters.execution.connection import Zygote
from comity.adapters.execution.folders import remove
from comity.adapters.execution.isolation import Isolation, Level, probed
from comity.adapters.execution.job import Job, Outcome, Status, judged
from comity.adapters.execution.limits import Limits
from comity.adapters.execution.log import add_line
from comity.adapters.execution.messages import Ended, NotStarted, Step
from comity.adapters.execution.sandbox import Domain, Sandbox
from comity.adapters.execution.sandboxes import Sandboxes
from comity.adapters.execution.turns import Turns
from comity.adapters.execution.way import Way, trouble
from comity.ports.environments import Environment
from comity.values import bounds
from comity.values.errors import Conflict, NotSupported, Unavailable

SOON = 0.5
"""Seconds that a task's processes get to end when it is killed; then their sandbox is."""
CLOSED = Outcome(Status.LOST, "the pool was closed")
CANCELLED = Outcome(Status.CANCELLED, "the task was cancelled")
LEFT = "processes were left behind in its sandbox"
IMPORT = "the process ended while the function's bundle was imported"


@final
@dataclass(eq=False, slots=True)
class Run:
    """A job under way."""

    job: Job
    began: Callable[[], object]
    work: asyncio.Task[Outcome] | None = None
    sandbox: Sandbox | None = None
    zygote: Zygote | None = None
    """Of its processes, once there are some."""
    stopped: Outcome | None = None
    """What it was stopped for."""

    def stop(self, outcome: Outcome) -> None:
        """Have it end, with this outcome unless it has one."""
        if self.stopped is not None or self.work is None:
            return
        self.stopped = outcome
        if self.zygote is None or self.sandbox is None:
            self.work.cancel()
            return
        self.zygote.kill(self.job.task_key)
        asyncio.get_running_loop().call_later(SOON, self._insist, self.work, self.sandbox)

    def _insist(self, work: asyncio.Task[Outcome], sandbox: Sandbox) -> None:
        if not work.done():
            sandbox.kill()


@final
class Pool:
    """Runs jobs in turns, see `Turns`, `size` at once, each in a process forked within the sandbox of its plan.

    `folder` is emptied and used; on the file system of the jobs' inputs and outputs, nothing is copied. `hidden` is a
    folder that no task sees, wherever it lies. The event loop is never blocked. When a job has ended, none of its
    processes is left. Whatever its code does is an outcome, not an exception. A job whose sandbox is killed through no
    fault of its own is lost. Linux only.

    A job can see what jobs of its plan may see at this node with the same environment and data, and nothing else.
    NOT promised at level plain: there it can read what this user can; and one that kills its base process and clears
    its environment beforehand can leave a process behind.
    """

    def __init__(self, size: int, folder: Path, way: Way | None = None, *, hidden: Path | None = None) -> None:
        bounds.count("size", size, least=1)
        self._hidden = hidden
        self._folder = folder
        self._way = way or Way()
        self._turns = Turns(size)
        self._runs: dict[str, Run] = {}
        self._isolation: Isolation | None = None
        self._sandboxes: Sandboxes | None = None

    @property
    def level(self) -> Literal["plain", "bubblewrap"]:
        """How well tasks are held in; raises Unavailable when the pool was never started."""
        return self.isolation.level.value

    @property
    def isolation(self) -> Isolation:
        """What holds tasks in; raises Unavailable when the pool was never started."""
        if self._isolation is None:
            raise Unavailable("the pool is not running; start it first")
        return self._isolation

    @property
    def limits(self) -> Limits:
        """What a task may use up."""
        return self._way.limits

    @property
    def trouble(self) -> str:
        """Why tasks are held in less well than they should be, and what to do; empty when they are not."""
        return trouble(self.isolation, self._way)

    async def start(self) -> None:
        """See what can hold tasks in here; raises NotSupported but on Linux."""
        if sys.platform != "linux":
            raise NotSupported(f"tasks run on Linux, not on {sys.platform}; simulate there")
        if self._sandboxes is None:
            await asyncio.to_thread(remove, self._folder)
            self._folder.mkdir(parents=True)
            reached = await asyncio.to_thread(probed, self._folder, user=self._way.user, most=self._way.level)
            self._isolation = replace(reached, hidden=self._hidden)
            self._sandboxes = Sandboxes(self._folder, self._isolation, self._way)

    async def close(self) -> None:
        """End all jobs, as lost, and all sandboxes."""
        sandboxes, self._sandboxes = self._sandboxes, None
        if sandboxes is None:
            return
        for run in list(self._runs.values()):
            run.stop(CLOSED)
        if works := [run.work for run in self._runs.values() if run.work]:
            await asyncio.wait(works)
        await sandboxes.close()

    async def run(self, environment: Environment, job: Job, began: Callable[[], object] = lambda: None) -> Outcome:
        """What became of a job once it had its turn; raises Unavailable when the pool is not started.

        `began` is called when its process is about to start; a job may be lost before. Raises Conflict while a job
        with the same task key is under way, BuildFailed when its environment does not start. When the caller is
        cancelled the job is killed, but not waited for.
        """
        if self._sandboxes is None:
            raise Unavailable("the pool is not running; start it first")
        if job.task_key in self._runs:
            raise Conflict(f"task {job.task_key} is under way already; await its outcome")
        run = self._runs[job.task_key] = Run(job, began)
        run.work = asyncio.create_task(self._performed(run, self._domain(environment, job), self._sandboxes))
        run.work.add_done_callback(lambda _: self._runs.pop(job.task_key))
        try:
            return await asyncio.shield(run.work)
        except asyncio.CancelledError:
            if run.stopped is not None and run.work.cancelled():  # before it had begun
                return run.stopped
            run.stop(CANCELLED)
            raise

    async def cancel(self, task_key: str) -> None:
        """Kill that job if it is under way; returns when nothing of it is left."""
        if (run := self._runs.get(task_key)) is not None and run.work is not None:
            run.stop(CANCELLED)
            await asyncio.wait([run.work])

    def _domain(self, environment: Environment, job: Job) -> Domain:
        return Domain(
            environment=environment,
            plan=job.plan_key,
            data=tuple(sorted({*job.samples, *(job.mounts if self._way.shared else ())})),
            built=tuple(path.stat().st_ino for path in environment.mounts),
            alone="" if self._way.shared else job.task_key,
        )

    async def _performed(self, run: Run, domain: Domain, sandboxes: Sandboxes) -> Outcome:
        try:
            async with self._turns.turn(run.job.plan_key):
                outcome = await self._held(run, domain, sandboxes)
        except asyncio.CancelledError:
            outcome = run.stopped or CLOSED
        except (Unavailable, OSError) as error:
            outcome = Outcome(Status.LOST, f"the task could not be started: {error}")
        if outcome.error:
            await asyncio.to_thread(add_line, run.job.log, outcome.error)
        return outcome

    async def _held(self, run: Run, domain: Domain, sandboxes: Sandboxes) -> Outcome:
        """Run a job where it belongs, for at most its time."""
        job, reached, demanded = run.job, self.isolation, self._way.demanded
        if demanded is not reached.level and reached.level is Level.PLAIN:
            return Outcome(Status.FAILED, f"this node runs tasks at level {demanded} only: {self.trouble}")
        late = Outcome(Status.TIMED_OUT, f"the task took longer than its {job.seconds:g} seconds")
        timer = asyncio.get_running_loop().call_later(job.seconds, run.stop, late)
        try:
            async with sandboxes.using(domain) as sandbox:
                return await self._run(run, sandbox)
        finally:
            timer.cancel()

    async def _run(self, run: Run, sandbox: Sandbox) -> Outcome:
        job, folders = run.job, sandbox.folders
        zygote = await sandbox.zygote(job.bundle, imported=not self._way.devices)
        if zygote is None:
            await sandbox.ended
            return Outcome(Status.FAILED, sandbox.failed or IMPORT)
        start = await asyncio.to_thread(folders.place, job)
        run.sandbox, run.zygote = sandbox, zygote
        run.began()
        sandbox.tasks += 1
        try:
            ended = await zygote.start(start)
        finally:
            sandbox.tasks -= 1
        if ended is None or await sandbox.left_behind():
            sandbox.kill()
            await sandbox.ended
            lost = Outcome(Status.LOST, "its sandbox has ended" if ended is None else LEFT)
            return run.stopped or (Outcome(Status.FAILED, sandbox.failed) if sandbox.failed else lost)
        return await asyncio.to_thread(_concluded, run, ended, sandbox, self._way.limits)


def _concluded(run: Run, ended: Ended | NotStarted, sandbox: Sandbox, limits: Limits) -> Outcome:
    """What became of a job whose processes are gone: its outputs and its log are where they belong."""
    job, folders = run.job, sandbox.folders
    if isinstance(ended, NotStarted):
        outcome = Outcome(Status.LOST, f"the task could not be started: {ended.reason}")
    else:
        outcome = judged(ended)
        folders.take_log(job)
    if run.stopped is not None:
        outcome = run.stopped
    elif outcome.status is Status.DONE:
        began = monotonic_ns()
        fault = folders.take(job, limits)
        durations: dict[Step, int] = {**outcome.durations, "save_outputs": (monotonic_ns() - began) // 1000}
        outcome = Outcome(Status.FAILED if fault else Status.DONE, fault, durations)
    folders.clear(job.task_key)
    return outcome
