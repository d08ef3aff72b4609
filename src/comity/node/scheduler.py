"""The scheduler: runs this organization's ready tasks, fair between plans, and commits their outputs once."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
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
from comity.domain.events import TaskDone, TaskFailed, TaskStarted
from comity.domain.records import Dataset, Function, Model, Plan, Task, need
from comity.domain.rounds import growth_of
from comity.domain.states import ENDED
from comity.domain.sums import SUM
from comity.domain.tasks import made
from comity.engine.parameters import PARAMETERS, Parameters
from comity.node import materials, samples, schema
from comity.node.beginning import Beginning
from comity.node.bundles import Bundles
from comity.node.exchange import SOON, Exchange
from comity.node.logs import log_file
from comity.node.queue import Attempt, commit_of, ready
from comity.ports.blobs import Blobs
from comity.ports.environments import Environment
from comity.values.digest import Digest
from comity.values.errors import BuildFailed, ComityError, Conflict, InvalidInput, NotFound, Unavailable

KEPT = 1000

OWN: tuple[Step, ...] = ("prepare_inputs", "task_execution")
"""Steps in which the opener and the function run."""

ATTEMPTS = 3
"""How many attempts may be lost before the task fails."""


@final
class Scheduler:
    """One channel's tasks at one node; `run` does the work."""

    def __init__(self, exchange: Exchange, pool: Pool, bundles: Bundles, *, folder: Path, size: int) -> None:
        self._following = exchange.following
        self._exchange = exchange
        self._blobs = exchange.blobs
        self._pool = pool
        self._bundles = bundles
        self._folder = folder
        self._size = size
        self._running: dict[str, Attempt] = {}
        self.overheads: deque[float] = deque(maxlen=KEPT)
        """Seconds that the last tasks took, from when they were picked to their commit, beside their own code, and
        beside waiting for what other nodes send or take."""
        self._changed = self._following.watch()
        self._log = structlog.get_logger().bind(organization=self._following.organization)

    async def run(self) -> None:
        """Run ready tasks until cancelled; what was under way is then killed and run again at the next start."""
        await asyncio.to_thread(shutil.rmtree, self._folder / "scratch", ignore_errors=True)  # of a killed process
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                await self._drop_cancelled()
                under_way = dict(self._running)  # before the read begins, whose state knows every commit until then
                for task in await self._following.read(lambda log, known=under_way: self._ready(log, known)):
                    work = group.create_task(self._attempted(task))
                    self._running[task.key] = Attempt(task.plan, work)
                    work.add_done_callback(lambda _, key=task.key: self._over(key))
                await self._changed.wait()

    def log_of(self, task: str) -> Path:
        """Where the log of a task's last attempt lies."""
        return log_file(self._folder, task)

    def _over(self, key: str) -> None:
        self._running.pop(key, None)
        self._changed.set()

    @contextmanager
    def _elsewhere(self, key: str) -> Generator[None]:
        """While other nodes are waited for, others may run."""
        attempt, since = self._running[key], time.monotonic()
        attempt.busy = False
        self._changed.set()
        try:
            yield
        finally:
            attempt.busy = True
            attempt.waited += time.monotonic() - since

    async def _drop_cancelled(self) -> None:
        def cancelled(log: Log) -> list[str]:
            return [key for key in list(self._running) if need(log.records, Task, key).status == "STATUS_CANCELED"]

        for key in await self._following.read(cancelled):
            await self._pool.cancel(key)
            if (attempt := self._running.get(key)) is not None:
                attempt.work.cancel()  # it may wait for an input that will never come

    def _ready(self, log: Log, under_way: Mapping[str, Attempt]) -> list[Task]:
        return ready(log, self._following.organization, under_way, size=self._size)

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
            await asyncio.to_thread(self._keep_log, task.key, f"{error}\n")
            await self._commit(task, TaskFailed(key=task.key, error=_kind(error), log=True))

    async def _attempt(self, task: Task) -> None:
        if task.attempt >= ATTEMPTS:
            raise OSError(f"{ATTEMPTS} attempts were lost; the node was stopped, or memory was short, each time")
        picked, scratch = time.monotonic(), self._folder / "scratch" / task.key
        await asyncio.to_thread(_fresh, scratch)
        started = TaskStarted(key=task.key, attempt=task.attempt + 1, sandbox=self._pool.level)
        beginning = Beginning(started, self._say)
        try:
            if task.function == SUM:
                return await self._add(task, beginning, scratch)
            function, job = await self._job(task, scratch)
            async with self._environment(task, function) as environment:
                outcome = await self._pool.run(environment, job, beginning.begin)
            if outcome.lost and not beginning.begun:
                raise Unavailable(outcome.error)
            await self._conclude(task, function, job, outcome, beginning)
            own = sum(outcome.durations.get(step, 0) for step in OWN) / 1e6 + self._running[task.key].waited
            self.overheads.append(time.monotonic() - picked - own)
        finally:
            beginning.close()
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    async def _add(self, task: Task, beginning: Beginning, scratch: Path) -> None:
        """Add parts of a round: no user's code runs."""
        function, _, models = await self._following.read(lambda log: _needed(log, task))
        inputs = await self._inputs(task, function, models, scratch, lay=materials.lend)
        paths = inputs.get("parts", ())
        assert isinstance(paths, tuple)
        parts = [(model.owner, path) for model, path in zip(models.get("parts", []), paths, strict=True)]
        beginning.begin()
        try:
            made = await asyncio.to_thread(materials.keep_sum, self._blobs, task.key, parts)
        except InvalidInput as error:
            return await self._fail(task, str(error), beginning)
        await self._done(TaskDone(key=task.key, outputs=made), task, beginning)

    @asynccontextmanager
    async def _environment(self, task: Task, function: Function) -> AsyncGenerator[Environment]:
        """Where the function runs; while it is built others may run."""
        async with AsyncExitStack() as stack:
            with nullcontext() if await self._bundles.built(function) else self._elsewhere(task.key):
                try:
                    environment = await stack.enter_async_context(self._bundles.using(function))
                except BuildFailed:
                    await asyncio.to_thread(self._keep_log, task.key, await self._bundles.build_log(function))
                    raise
            yield environment

    async def _say(self, event: TaskStarted) -> None:
        await self._following.database.awrite(lambda connection: self._following.say(connection, [event], {}))
        self._following.said()

    async def _conclude(self, task: Task, function: Function, job: Job, outcome: Outcome, beginning: Beginning) -> None:
        match outcome.status:
            case Status.DONE:
                try:
                    made = await asyncio.to_thread(materials.keep, self._blobs, function, task.key, job.outputs)
                except InvalidInput as error:
                    return await self._fail(task, str(error), beginning)
                durations = {str(step): took for step, took in outcome.durations.items()}
                await self._done(TaskDone(key=task.key, outputs=made, durations=durations), task, beginning)
            case Status.FAILED | Status.TIMED_OUT:
                failed = TaskFailed(key=task.key, error="EXECUTION_ERROR", log=True)
                await self._commit(task, failed, await beginning.unsaid())
            case Status.LOST:
                self._log.warning("attempt lost", task=task.key, reason=outcome.error)
                await beginning.say()
                await self._projected(task)
            case Status.CANCELLED:
                return

    async def _inputs(
        self,
        task: Task,
        function: Function,
        models: Mapping[str, Sequence[Model]],
        scratch: Path,
        *,
        lay: Callable[[Blobs, str, Path], None],
    ) -> dict[str, Path | tuple[Path, ...]]:
        """The models that a task takes, each as a file; waits for what is still on its way."""
        inputs: dict[str, Path | tuple[Path, ...]] = {}
        for name, declared in function.inputs.items():
            if declared.kind != "ASSET_MODEL":
                continue
            paths: list[Path] = []
            for number, model in enumerate(models.get(name, [])):
                if not await self._exchange.has(model.blob, owner=model.owner):
                    # Its owner hands it on to every task that it knew of when it made it.
                    unasked = SOON if task.created_at <= model.created_at else 0.0
                    with self._elsewhere(task.key):
                        await self._exchange.have(
                            model.blob, owner=model.owner, holds="model", asset=model.key, unasked=unasked
                        )
                path = scratch / "inputs" / name / str(number)
                await asyncio.to_thread(lay, self._blobs, model.blob, path)
                paths.append(path)
            if paths:
                inputs[name] = tuple(paths) if declared.multiple else paths[0]
        return inputs

    async def _parameters(self, task: Task, scratch: Path) -> Path:
        growth = growth_of(await self._following.read(lambda log: need(log.records, Plan, task.plan)))
        assert task.stage
        told = Parameters(
            experiment=growth.experiment,
            stage=task.stage,
            round=task.round,
            site=task.worker,
            sites=tuple(sorted(growth.sites)),
        )
        path = scratch / "inputs" / PARAMETERS
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(told))
        return path

    async def _done(self, done: TaskDone, task: Task, beginning: Beginning) -> None:
        if not await self._commit(task, done, await beginning.unsaid()):
            raise Unavailable(materials.DELETED)
        await self._hand_on(task, done)

    async def _fail(self, task: Task, reason: str, beginning: Beginning) -> None:
        await asyncio.to_thread(self._keep_log, task.key, f"{reason}\n")
        failed = TaskFailed(key=task.key, error="EXECUTION_ERROR", log=True)
        await self._commit(task, failed, await beginning.unsaid())

    async def _projected(self, task: Task) -> None:
        """Return once the log has this attempt, so that the next is counted after it."""

        async def counted() -> bool:
            now = await self._following.read(lambda log: need(log.records, Task, task.key))
            return now.attempt > task.attempt or now.status in ENDED

        await self._following.until(counted)

    async def _job(self, task: Task, scratch: Path) -> tuple[Function, Job]:
        """The task's function, and the task with everything it needs at hand; waits for what is still on its way."""
        function, dataset, models = await self._following.read(lambda log: _needed(log, task))
        here = await self._exchange.has(function.archive, owner=function.owner)
        with nullcontext() if here else self._elsewhere(task.key):
            bundle = await self._bundles.have(self._exchange, function)
        # A sandbox has its inputs read-only; a plain process of this node's user could write to the store's files.
        lay = materials.give if self._pool.level == "plain" else materials.lend
        inputs = await self._inputs(task, function, models, scratch, lay=lay)
        if task.stage:
            inputs[PARAMETERS] = await self._parameters(task, scratch)
        opener: Path | None = None
        places: list[Path] = []
        if dataset is not None:
            opener = scratch / "inputs" / "opener.py"
            await asyncio.to_thread(lay, self._blobs, dataset.opener, opener)
            keys = [each.asset for each in task.inputs if function.inputs[each.identifier].kind == "ASSET_DATA_SAMPLE"]
            channel = self._following.channel
            places = await self._following.database.aread(lambda connection: samples.folders(connection, channel, keys))
        log = self.log_of(task.key)
        log.parent.mkdir(parents=True, exist_ok=True)
        (scratch / "outputs").mkdir()
        return function, Job(
            task_key=task.key,
            plan_key=task.plan,
            rank=task.rank,
            bundle=bundle,
            inputs=inputs,
            opener=opener,
            samples=tuple(places),
            mounts=await self._mounts(task),
            outputs={name: scratch / "outputs" / name for name in task.outputs},
            log=log,
            seconds=86_400,
        )

    async def _mounts(self, task: Task) -> tuple[Path, ...]:
        """The data that an experiment's tasks see here, so that all its stages can share a sandbox.

        They are stages of one bundle, and the experiment names this organization's samples for it.
        """

        def found(log: Log) -> tuple[Path, ...]:
            growth = need(log.records, Plan, task.plan).growth
            site = growth.sites.get(self._following.organization) if growth and task.stage else None
            keys = site.samples if site else ()
            return tuple(samples.folders(log.connection, self._following.channel, keys))

        return await self._following.read(found)

    async def _commit(self, task: Task, event: TaskDone | TaskFailed, before: tuple[TaskStarted, ...] = ()) -> bool:
        """Keep what became of the task, once, and say it after what is still to be said: one row, one transaction.

        False when an output is not in the store any more: it was the same as one that was released, and deleted.
        """
        blobs = [each.blob for each in event.outputs.values() if each.blob] if isinstance(event, TaskDone) else []

        def commit(connection: Connection) -> bool:
            if connection.execute(commit_of(self._following.channel, task.key)).first() is not None:
                return True
            if any(self._blobs.size(Digest(blob)) is None for blob in blobs):
                return False
            row = {
                "channel": self._following.channel,
                "task": task.key,
                "outcome": msgspec.json.encode(event),
            }
            connection.execute(insert(schema.commits).values(row))
            self._following.say(connection, [*before, event], {})
            return True

        committed = await self._following.database.awrite(commit)
        self._following.said()
        return committed

    async def _hand_on(self, task: Task, done: TaskDone) -> None:
        """Send outputs at once to the organizations whose tasks are known to need them."""

        def consumers(log: Log) -> dict[str, list[str]]:
            found: dict[str, set[str]] = {}
            for child in log.children(task.key):
                if child.worker != self._following.organization and child.status not in ENDED:
                    for each in child.inputs:
                        if each.parent == task.key:
                            found.setdefault(done.outputs[each.output].blob, set()).add(child.worker)
            return {blob: sorted(names) for blob, names in found.items() if blob}

        for blob, names in (await self._following.read(consumers)).items():
            with self._elsewhere(task.key):
                try:
                    await self._exchange.send(blob, names, task=task.key)
                except ComityError as error:
                    self._log.info("will be asked for", blob=blob, reason=str(error))

    def _keep_log(self, task: str, text: str) -> None:
        path = self.log_of(task)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)


def _kind(error: Exception) -> Literal["BUILD_ERROR", "EXECUTION_ERROR", "INTERNAL_ERROR"]:
    """What a task has failed of that did not run."""
    if isinstance(error, BuildFailed):
        return "BUILD_ERROR"
    return "EXECUTION_ERROR" if isinstance(error, InvalidInput | NotFound | Conflict) else "INTERNAL_ERROR"


def _needed(log: Log, task: Task) -> tuple[Function, Dataset | None, dict[str, list[Model]]]:
    """The function, dataset and models of a task, from the records."""
    function = need(log.records, Function, task.function)
    dataset: Dataset | None = None
    models: dict[str, list[Model]] = {}
    for each in task.inputs:
        kind = function.inputs[each.identifier].kind
        if kind == "ASSET_DATA_MANAGER":
            dataset = need(log.records, Dataset, each.asset)
        if kind != "ASSET_MODEL":
            continue
        if each.asset:
            model = need(log.records, Model, each.asset)
        else:
            found = made(log.records, need(log.records, Task, each.parent), each.output)
            if found is None:
                raise NotFound(f"task {each.parent} left no output {each.output}")
            model = found
        if not model.blob:
            raise NotFound(f"the model {model.key} was released")
        models.setdefault(each.identifier, []).append(model)
    return function, dataset, models


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
