"""The scheduler: runs this organization's ready tasks, fair between plans, and commits their outputs once."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Literal, final

import msgspec
import structlog
from sqlalchemy import Connection, insert

from comity.adapters.disk import is_full
from comity.adapters.execution.job import Job, Outcome, Status
from comity.adapters.execution.messages import Step
from comity.adapters.execution.pool import Pool
from comity.adapters.sql.log import Log
from comity.domain.entry import Texts
from comity.domain.events import TaskDone, TaskFailed, TaskStarted
from comity.domain.records import Function, Task, need
from comity.domain.states import ENDED
from comity.domain.sums import SUM
from comity.domain.words import SALT, written
from comity.node import materials, schema
from comity.node.beginning import Beginning
from comity.node.bundles import Bundles
from comity.node.exchange import Exchange
from comity.node.logs import log_file
from comity.node.plan_samples import PlanSamples
from comity.node.policy.policies import Allowed, Policies
from comity.node.preparing import Needed, Preparing
from comity.node.queue import AHEAD, Attempt, Ready, committed, consumers, look
from comity.node.sums import kept
from comity.ports.environments import Environment
from comity.values.digest import Digest
from comity.values.errors import BuildFailed, ComityError, Conflict, InvalidInput, NotFound, Unavailable

KEPT = 1000

MOST_SAID = 2000
"""Characters of the reason for which a policy refuses a task, as they stand in the log."""

OWN: tuple[Step, ...] = ("prepare_inputs", "task_execution")
"""Steps in which the opener and the function run."""

ATTEMPTS = 3
"""How many attempts may be lost before the task fails."""


@final
class Scheduler:
    """One channel's tasks at one node; `run` does the work."""

    def __init__(
        self, exchange: Exchange, pool: Pool, bundles: Bundles, policies: Policies, *, folder: Path, size: int
    ) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._blobs = exchange.blobs
        self._pool = pool
        self._bundles = bundles
        self._policies = policies
        self._preparing = Preparing(exchange, bundles, pool, PlanSamples(exchange.following.organization))
        self._folder = folder
        self._size = size
        self._running: dict[str, Attempt] = {}
        self._more = False
        """Whether there may be tasks that wait for room."""
        self.overheads: deque[float] = deque(maxlen=KEPT)
        """Seconds that the last tasks took, from when they were picked to their commit, beside their own code, and
        beside waiting for what other nodes send or take."""
        self._changed = self._following.watch()
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Run ready tasks until cancelled; what was under way is then killed and run again at the next start."""
        await asyncio.to_thread(self._clear)
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                self._more = True  # until it is known
                under_way = dict(self._running)  # before the read begins, whose state knows every commit until then
                found = await self._following.read(lambda log, known=under_way: self._look(log, known))
                self._more = found.more
                for task in found.tasks:
                    work = group.create_task(self._attempted(task))
                    self._running[task.key] = Attempt(task.plan, work)
                    work.add_done_callback(lambda _, key=task.key: self._over(key))
                await asyncio.gather(*(self._drop(key) for key in found.cancelled))
                await self._changed.wait()

    def log_of(self, task: str) -> Path:
        """Where the log of a task's last attempt lies."""
        return log_file(self._folder, task)

    def _clear(self) -> None:
        shutil.rmtree(self._folder / "scratch", ignore_errors=True)  # of a killed process
        self.log_of("").parent.mkdir(parents=True, exist_ok=True)

    def _over(self, key: str) -> None:
        attempt = self._running.pop(key)
        busy = [each.plan for each in self._running.values() if each.busy]
        # Else there is enough to do, also of its plan.
        wanting = len(busy) <= self._size * AHEAD // 2 or attempt.plan not in busy
        if not attempt.committed or (self._more and wanting):
            self._changed.set()

    @contextmanager
    def _elsewhere(self, key: str) -> Generator[None]:
        """While other nodes are waited for, others may run."""
        attempt, since = self._running[key], time.monotonic()
        attempt.busy = False
        if self._more:
            self._changed.set()
        try:
            yield
        finally:
            attempt.busy = True
            attempt.waited += time.monotonic() - since

    async def _drop(self, key: str) -> None:
        await self._pool.cancel(key)
        if (attempt := self._running.get(key)) is not None:
            attempt.work.cancel()  # it may wait for an input that will never come

    def _look(self, log: Log, under_way: Mapping[str, Attempt]) -> Ready:
        return look(log, self._following.organization, under_way, size=self._size)

    async def _attempted(self, task: Task) -> None:
        try:
            await self._attempt(task)
        except Unavailable as error:
            self._log.warning("task put off", task=task.key, reason=str(error))
            await asyncio.sleep(1.0)
        except Exception as error:  # the edge of what is done for one task, which must not stop the others
            if is_full(error):
                self._log.warning("task put off", task=task.key, reason=str(error))
                return await asyncio.sleep(1.0)
            self._log.warning("task failed before it ran", task=task.key, exc_info=not isinstance(error, ComityError))
            said = await self._build_log(task) if isinstance(error, BuildFailed) else ""
            await asyncio.to_thread(self._keep_log, task.key, f"{said}{error}\n")
            await self._commit(task, TaskFailed(key=task.key, error=_kind(error), log=True))

    async def _attempt(self, task: Task) -> None:
        if task.attempt >= ATTEMPTS:
            raise OSError(f"{ATTEMPTS} attempts were lost; the node was stopped, or memory was short, each time")
        picked, scratch = time.monotonic(), self._folder / "scratch" / task.key
        started = TaskStarted(key=task.key, attempt=task.attempt + 1, sandbox=self._pool.level)
        beginning = Beginning(started, self._say)
        try:
            needed = await self._preparing.begin(task, scratch)
            allowed = await self._policies.start(task, needed.dataset)
            if allowed.reason:
                return await self._refuse(task, allowed)
            beginning.ruled(allowed.ruled)
            if needed.missed:
                beginning.begin(0.0)  # while it is not known to be back, rounds are closed without it
            if task.function == SUM:
                if needed.growth is not None and needed.growth.masking is not None:
                    return await self._take_sum(task, beginning)
                return await self._add(task, needed, beginning, scratch)
            elsewhere, log = partial(self._elsewhere, task.key), self.log_of(task.key)
            with self._bundles.held(needed.function):
                job = await self._preparing.job(task, needed, scratch, log=log, elsewhere=elsewhere)
                async with self._environment(task, needed.function) as environment:
                    outcome = await self._pool.run(environment, job, beginning.begin)
            if outcome.lost and not beginning.begun:
                raise Unavailable(outcome.error)
            await self._conclude(task, needed, job, outcome, beginning)
            own = sum(outcome.durations.get(step, 0) for step in OWN) / 1e6 + self._running[task.key].waited
            self.overheads.append(time.monotonic() - picked - own)
        finally:
            beginning.close()
            if scratch.exists():
                await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def _add(self, task: Task, needed: Needed, beginning: Beginning, scratch: Path) -> None:
        """Add parts of a round: no user's code runs."""
        elsewhere = partial(self._elsewhere, task.key)
        inputs = await self._preparing.inputs(task, needed, scratch, lay=materials.lend, elsewhere=elsewhere)
        paths = inputs.get("parts", ())
        assert isinstance(paths, tuple)
        parts = [(model.owner, path) for model, path in zip(needed.models.get("parts", []), paths, strict=True)]
        beginning.begin()
        try:
            made = await asyncio.to_thread(materials.keep_sum, self._blobs, task.key, parts)
        except InvalidInput as error:
            return await self._fail(task, str(error), beginning)
        await self._done(TaskDone(key=task.key, outputs=made), task, beginning)

    async def _take_sum(self, task: Task, beginning: Beginning) -> None:
        """Take a masked sum that has come out: its parts never were here."""
        following = self._following
        total = await following.read(lambda log: kept.total_of(log.connection, log.channel, task.key))
        if not total:
            raise NotFound(f"the masked sum of task {task.key} is not here: this node has lost it")
        beginning.begin()
        made = await asyncio.to_thread(materials.known_sum, self._blobs, task.key, total)
        await self._done(TaskDone(key=task.key, outputs=made), task, beginning)

    @asynccontextmanager
    async def _environment(self, task: Task, function: Function) -> AsyncGenerator[Environment]:
        """Where the function runs; while it is built others may run."""
        async with AsyncExitStack() as stack:
            with nullcontext() if await self._bundles.built(function) else self._elsewhere(task.key):
                environment = await stack.enter_async_context(self._bundles.using(function))
            yield environment

    async def _build_log(self, task: Task) -> str:
        function = await self._following.read(lambda log: need(log.records, Function, task.function))
        return await self._bundles.build_log(function)

    async def _say(self, event: TaskStarted) -> None:
        await self._following.database.awrite(lambda connection: self._following.say(connection, [event], {}))
        self._following.said()

    async def _conclude(self, task: Task, needed: Needed, job: Job, outcome: Outcome, beginning: Beginning) -> None:
        match outcome.status:
            case Status.DONE:
                allowed = await self._policies.commit(task, needed.dataset)
                if allowed.reason:
                    return await self._refuse(task, allowed, beginning)
                keep = partial(materials.keep, digits=allowed.digits, smallest_count=allowed.smallest_count)
                try:
                    made = await asyncio.to_thread(keep, self._blobs, needed.function, task, job.outputs)
                except InvalidInput as error:
                    return await self._fail(task, str(error), beginning)
                durations = {str(step): took for step, took in outcome.durations.items()}
                done = TaskDone(key=task.key, outputs=made, durations=durations, ruled=allowed.ruled)
                await self._done(done, task, beginning)
            case Status.FAILED | Status.TIMED_OUT:
                failed = TaskFailed(key=task.key, error="EXECUTION_ERROR", log=True)
                await self._commit(task, failed, await beginning.unsaid())
            case Status.LOST:
                self._log.warning("attempt lost", task=task.key, reason=outcome.error)
                await beginning.say()
                await self._projected(task)
            case Status.CANCELLED:
                return

    async def _done(self, done: TaskDone, task: Task, beginning: Beginning) -> None:
        known = await self._commit(task, done, await beginning.unsaid())
        if known is None:
            raise Unavailable(materials.DELETED)
        await self._hand_on(task, known)

    async def _fail(self, task: Task, reason: str, beginning: Beginning) -> None:
        await asyncio.to_thread(self._keep_log, task.key, f"{reason}\n")
        failed = TaskFailed(key=task.key, error="EXECUTION_ERROR", log=True)
        await self._commit(task, failed, await beginning.unsaid())

    async def _refuse(self, task: Task, allowed: Allowed, beginning: Beginning | None = None) -> None:
        """Let nothing of a task leave that this organization's policy refuses, and say why."""
        await asyncio.to_thread(self._keep_log, task.key, f"{allowed.reason}\n")
        text, texts = written(allowed.reason[:MOST_SAID], os.urandom(SALT))
        failed = TaskFailed(key=task.key, error="EXECUTION_ERROR", log=True, policy=allowed.policy, reason=text)
        before = await beginning.unsaid() if beginning else ()
        await self._commit(task, failed, before, texts=texts)

    async def _projected(self, task: Task) -> None:
        """Return once the log has this attempt, so that the next is counted after it."""

        async def counted() -> bool:
            now = await self._following.read(lambda log: need(log.records, Task, task.key))
            return now.attempt > task.attempt or now.status in ENDED

        await self._following.until(counted)

    async def _commit(
        self,
        task: Task,
        event: TaskDone | TaskFailed,
        before: tuple[TaskStarted, ...] = (),
        *,
        texts: Texts = {},  # noqa: B006 read only
    ) -> dict[str, list[str]] | None:
        """Keep what became of the task, once, and say it after what is still to be said: one row, one transaction.

        Who is known to need its outputs, by blob; None when one is not in the store any more: it was the same as one
        that was released, and deleted.
        """
        outputs = event.outputs if isinstance(event, TaskDone) else {}

        def commit(connection: Connection) -> dict[str, list[str]] | None:
            if not committed(connection, self._following.channel, task.key):
                if any(each.blob and self._blobs.size(Digest(each.blob)) is None for each in outputs.values()):
                    return None
                said = self._policies.charged(connection, task, event)
                row = {
                    "channel": self._following.channel,
                    "task": task.key,
                    "outcome": msgspec.json.encode(said),
                }
                connection.execute(insert(schema.commits), [row])
                for each in before:  # the refusal of one is none of the other
                    self._following.say(connection, [each], {}, more=True)
                self._following.say(connection, [said], texts)
            if not any(each.blob for each in outputs.values()):
                return {}
            return consumers(self._following.log(connection), task, outputs)

        known = await self._following.database.awrite(commit)
        self._running[task.key].committed = known is not None
        self._following.said()
        return known

    async def _hand_on(self, task: Task, known: Mapping[str, list[str]]) -> None:
        """Send outputs at once to the organizations whose tasks are known to need them."""
        for blob, names in known.items():
            with self._elsewhere(task.key):
                try:
                    await self._exchange.send(blob, names, task=task.key)
                except ComityError as error:
                    self._log.info("will be asked for", blob=blob, reason=str(error))

    def _keep_log(self, task: str, text: str) -> None:
        with self.log_of(task).open("a", errors="backslashreplace") as file:
            file.write(text)


def _kind(error: Exception) -> Literal["BUILD_ERROR", "EXECUTION_ERROR", "INTERNAL_ERROR"]:
    """What a task has failed of that did not run."""
    if isinstance(error, BuildFailed):
        return "BUILD_ERROR"
    return "EXECUTION_ERROR" if isinstance(error, InvalidInput | NotFound | Conflict) else "INTERNAL_ERROR"
