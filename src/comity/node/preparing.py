"""What a task needs to run, found in the records and laid out as files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, final

import msgspec

from comity.adapters.execution.job import Job
from comity.adapters.execution.pool import Pool
from comity.adapters.sql.log import Log
from comity.domain.events import Growth, TaskInput
from comity.domain.records import Dataset, Function, Model, Plan, Task, need
from comity.domain.rounds import growth_of, sites_of
from comity.domain.tasks import made
from comity.engine.parameters import PARAMETERS, Parameters
from comity.node import materials, samples
from comity.node.bundles import Bundles
from comity.node.exchange import SOON, Exchange
from comity.node.plan_samples import PlanSamples
from comity.ports.blobs import Blobs
from comity.values.errors import NotFound

Lay: TypeAlias = Callable[[Blobs, str, Path], None]
"""Puts a blob where a task finds it."""

Elsewhere: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Within it, other nodes are waited for."""

Inputs: TypeAlias = dict[str, Path | tuple[Path, ...]]

LONGEST = 86_400
"""Seconds that a task may take."""


@final
@dataclass(frozen=True, slots=True)
class Needed:
    """What a task needs, as the records have it."""

    function: Function
    dataset: Dataset | None
    samples: Sequence[str]
    models: Mapping[str, Sequence[Model]]
    """By input."""
    seen: Sequence[Path]
    """Folders of all data samples that its plan's tasks name here: they can share a sandbox."""
    growth: Growth | None
    """Of the experiment that it is a stage of."""
    missed: bool
    """Whether the experiment's last rounds had to do without this organization."""


@final
@dataclass(frozen=True, slots=True)
class Preparing:
    """Lays out one channel's tasks at one node, each in a folder of its own."""

    exchange: Exchange
    bundles: Bundles
    pool: Pool
    plans: PlanSamples

    async def begin(self, task: Task, folder: Path) -> Needed:
        """What the task needs, when its folder is empty; raises NotFound for a model that is gone."""

        def begun(log: Log) -> Needed:
            shutil.rmtree(folder, ignore_errors=True)
            if task.outputs:
                (folder / "outputs").mkdir(parents=True)
            return self._needed(log, task)

        return await self.exchange.following.read(begun)

    async def job(self, task: Task, needed: Needed, folder: Path, *, log: Path, elsewhere: Elsewhere) -> Job:
        """The task with everything it needs at hand; waits, `elsewhere`, for what is still on its way."""
        # A sandbox has its inputs read-only; a plain process of this node's user could write to the store's files.
        lay = materials.give if self.pool.level == "plain" else materials.lend
        bundle = self.bundles.at_hand(self.exchange, needed.function)
        if bundle is None:
            with elsewhere():
                bundle = await self.bundles.have(self.exchange, needed.function)
        inputs = await self.inputs(task, needed, folder, lay=lay, elsewhere=elsewhere)
        opener: Path | None = None
        if needed.dataset is not None:
            opener = folder / "inputs" / "opener.py"
            await asyncio.to_thread(lay, self.exchange.blobs, needed.dataset.opener, opener)
        taken, seen = await self._samples(needed)
        if needed.growth is not None:
            inputs[PARAMETERS] = path = folder / "inputs" / PARAMETERS
            await asyncio.to_thread(_write, path, _parameters(task, needed.growth))
        return Job(
            task_key=task.key,
            plan_key=task.plan,
            rank=task.rank,
            bundle=bundle,
            inputs=inputs,
            opener=opener,
            samples=taken,
            mounts=seen,
            outputs={name: folder / "outputs" / name for name in task.outputs},
            log=log,
            seconds=LONGEST,
        )

    async def inputs(self, task: Task, needed: Needed, folder: Path, *, lay: Lay, elsewhere: Elsewhere) -> Inputs:
        """The models that a task takes, each as a file; waits for what is still on its way."""
        inputs: Inputs = {}
        for name, models in needed.models.items():
            paths: list[Path] = []
            for number, model in enumerate(models):
                if not await self.exchange.has(model.blob, owner=model.owner):
                    # Its owner hands it on to every task that it knew of when it made it.
                    unasked = SOON if task.created_at <= model.created_at else 0.0
                    with elsewhere():
                        await self.exchange.have(
                            model.blob, owner=model.owner, holds="model", asset=model.key, unasked=unasked
                        )
                path = folder / "inputs" / name / str(number)
                await asyncio.to_thread(lay, self.exchange.blobs, model.blob, path)
                paths.append(path)
            inputs[name] = tuple(paths) if needed.function.inputs[name].multiple else paths[0]
        return inputs

    async def _samples(self, needed: Needed) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        """(the folders of its samples, those that the sandbox of its plan sees)."""
        site = needed.growth.sites.get(self.exchange.following.organization) if needed.growth else None
        if not needed.samples and not needed.seen and site is None:
            return (), ()

        def found(log: Log) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
            taken = samples.folders(log.connection, log.channel, needed.samples)
            seen = samples.folders(log.connection, log.channel, site.samples if site else ())
            # What is gone is missed by the tasks that take it, and by no other.
            return tuple(taken), (*seen, *(each for each in needed.seen if each.is_dir()))

        return await self.exchange.following.read(found)

    def _needed(self, log: Log, task: Task) -> Needed:
        function = need(log.records, Function, task.function)
        dataset: Dataset | None = None
        keys: list[str] = []
        models: dict[str, list[Model]] = {}
        for each in task.inputs:
            match function.inputs[each.identifier].kind:
                case "ASSET_DATA_MANAGER":
                    dataset = need(log.records, Dataset, each.asset)
                case "ASSET_DATA_SAMPLE":
                    keys.append(each.asset)
                case "ASSET_MODEL":
                    model = _model(log, each)
                    models.setdefault(each.identifier, []).append(model)
        plan = need(log.records, Plan, task.plan)
        growth = growth_of(plan) if task.stage else None
        seen = () if task.stage else self.plans.of(log, plan)
        return Needed(function, dataset, keys, models, seen, growth, task.worker in plan.absent)


def _model(log: Log, taken: TaskInput) -> Model:
    if taken.asset:
        model = need(log.records, Model, taken.asset)
    else:
        found = made(log.records, need(log.records, Task, taken.parent), taken.output)
        if found is None:
            raise NotFound(f"task {taken.parent} left no output {taken.output}")
        model = found
    if not model.blob:
        raise NotFound(f"the model {model.key} was released")
    return model


def _parameters(task: Task, growth: Growth) -> Parameters:
    assert task.stage
    return Parameters(
        experiment=growth.experiment,
        stage=task.stage,
        round=task.round,
        site=task.worker,
        sites=tuple(sorted(growth.sites)),
        selected=len(sites_of(growth, task.round)) if task.stage == "local" else len(growth.sites),
        masked=growth.masking is not None,
    )


def _write(path: Path, parameters: Parameters) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(parameters))
