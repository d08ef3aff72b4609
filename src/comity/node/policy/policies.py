"""One channel's policy at one node: what it lets run, decided before a task starts and once more before its commit.

The file is looked at for every decision, so that the stricter answer wins from the moment it is saved; one that cannot
be read refuses everything. What it holds is said in the log, where all members may read it.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import msgspec
import structlog
from sqlalchemy import Connection

from comity.adapters.sql.log import Log
from comity.domain.events import PolicyChanged, Ruled, TaskDone, TaskFailed
from comity.domain.plans import status_of
from comity.domain.policy import (
    LIMITS,
    OWN,
    PERMISSIONS,
    SPENT_WITHOUT_END,
    Asked,
    Budget,
    Policy,
    Ruling,
    Sandbox,
    budget_of,
    decide,
    read_policy,
)
from comity.domain.records import Dataset, Function, Plan, PolicyOf, Task, need
from comity.domain.states import ENDED, OVER
from comity.domain.words import SALT, written
from comity.node.following import Following
from comity.node.policy import ledger
from comity.node.policy.asked import asked_of, repeats
from comity.privacy.budget import Line
from comity.values.asset_key import is_key
from comity.values.digest import canonical, digest
from comity.values.errors import ComityError, Forbidden, InvalidInput

FILE = "policy.toml"

GONE = 10.0
"""Seconds after which a file that is not there any more is taken to be gone: an editor may be saving it."""

LOOK = 2.0
"""Seconds between two looks at the file, for what is said of it; decisions look themselves."""

UNCHARGED = ("evaluate",)
"""Stages that spend no budget: they read test rows, which record-level differential privacy does not protect."""


@final
@dataclass(frozen=True)
class Held:
    """What the file holds."""

    policy: Policy | None
    """None where there is no file."""
    digest: str = ""
    trouble: str = ""
    """Why it cannot be read."""


@final
@dataclass(frozen=True)
class Allowed:
    """What is said of a decision, and what it asks of the outputs."""

    ruled: Ruled | None = None
    digits: int | None = None
    smallest_count: int = 0
    reason: str = ""
    """Why it is refused; empty when it is allowed."""
    policy: str = ""
    """The digest of the policy that refuses."""


@final
class Policies:
    """`run` says what changes; the rest decides."""

    def __init__(self, following: Following, folder: Path, sandbox: Callable[[], Sandbox], clock: Callable[[], int]):
        self._following = following
        self._path = folder / FILE
        self._sandbox = sandbox
        self._clock = clock
        self._read: tuple[tuple[int, int, int] | None, Held] | None = None
        self._missed: float | None = None
        """Since when the file is not there, by this process's clock."""
        self._reserves = True
        """Whether there may be something to give back."""
        self._log = structlog.get_logger().bind(organization=following.organization)

    def now(self) -> Held:
        """What the file holds now."""
        try:
            known = self._path.stat()
            mark = (known.st_mtime_ns, known.st_size, known.st_ino)
        except FileNotFoundError:
            self._missed = self._missed or time.monotonic()
            return Held(None)
        except OSError as error:
            return Held(None, trouble=f"{FILE} cannot be read: {error}")
        self._missed = None
        if self._read is None or self._read[0] != mark:
            self._read = (mark, read_file(self._path))
        return self._read[1]

    async def start(self, task: Task, dataset: Dataset | None) -> Allowed:
        """Whether a task may start on a dataset, if it takes one; what it may spend is reserved then."""
        return await self._decided(task, dataset, reserves=True)

    async def commit(self, task: Task, dataset: Dataset | None) -> Allowed:
        """Whether what a task has made may leave, by what the policy is now."""
        return await self._decided(task, dataset, reserves=False)

    async def still(self, task: Task) -> str:
        """Why what a task has left may go into no masked sum any more, by what the policy is now; empty if it may."""
        taken = [each.asset for each in task.inputs if each.asset]
        found = await self._following.read(lambda log: [log.records.get(Dataset, each) for each in taken])
        dataset = next((each for each in found if each is not None), None)
        return (await self._decided(task, dataset, reserves=False)).reason

    def charged(self, connection: Connection, task: Task, event: TaskDone | TaskFailed) -> TaskDone | TaskFailed:
        """What is said of a task, once its run is charged for it within the transaction of its commit."""
        if not isinstance(event, TaskDone) or event.ruled is None or task.stage in UNCHARGED:
            return event
        channel, taken, ruled = self._following.channel, {each.asset for each in task.inputs}, event.ruled
        for dataset in ledger.datasets_of(connection, channel, task.plan):
            if dataset in taken:
                root = ledger.follow(
                    connection, channel, run=task.plan, dataset=dataset, does="charge", at=self._clock()
                )
                ruled = msgspec.structs.replace(ruled, ledger=root or "")
        return msgspec.structs.replace(event, ruled=ruled)

    async def run(self) -> None:
        """Say what the policy becomes, and give back what ended runs have reserved, until cancelled."""
        while True:
            try:
                await self._say(self.now())
                await self._release()
            except ComityError as error:
                self._log.info("policy not said", reason=str(error))
            await asyncio.sleep(LOOK)

    async def _decided(self, task: Task, dataset: Dataset | None, *, reserves: bool) -> Allowed:
        if dataset is None:
            return Allowed()
        held = self.now()
        if held.trouble:
            return Allowed(reason=held.trouble)
        if held.policy is None:
            known = await self._following.read(lambda log: log.records.get(PolicyOf, dataset.owner))
            if known is not None and known.digest:
                return Allowed(
                    reason=f"{FILE} is not there any more; until the log says so, in a few seconds, nothing is allowed"
                )
            rule = OWN if task.owner == dataset.owner else PERMISSIONS
            return Allowed(Ruled(rule=rule))
        policy = held.policy

        def found(log: Log) -> tuple[Asked, Plan]:
            plan = need(log.records, Plan, task.plan)
            name = log.texts([dataset.name]).get(dataset.name, "")
            asked = asked_of(task, plan, need(log.records, Function, task.function), dataset, name=name)
            if any(rule.repeats for rule in policy.rule):
                asked = replace(asked, repeats=repeats(log.records, plan, dataset.key))
            return asked, plan

        asked, plan = await self._following.read(found)
        if not asked.name and any(not is_key(each.dataset) for each in policy.budget):
            return Allowed(reason=f"the name of the dataset {dataset.key} was deleted; name its budget by this key")
        ruling = decide(policy, replace(asked, sandbox=self._sandbox(), minute=minute()))
        if not ruling.allowed:
            return Allowed(reason=refusal(dataset.owner, ruling), policy=held.digest)
        root = ""
        if (
            budget := budget_of(policy, dataset=dataset.key, name=asked.name)
        ) is not None and task.stage not in UNCHARGED:
            try:
                root = await self._reserved(asked, plan, budget) if reserves else ""
            except Forbidden as error:
                return Allowed(reason=f"{dataset.owner}: {error}", policy=held.digest)
        ruled = Ruled(rule=ruling.rule, policy=held.digest, ledger=root)
        return Allowed(ruled, digits=ruling.digits, smallest_count=ruling.smallest_count)

    async def _reserved(self, asked: Asked, plan: Plan, budget: Budget) -> str:
        """The ledger's root once the run's ε is reserved; raises Forbidden where it would overspend."""
        epsilon, _ = asked.spends.get(budget.unit, SPENT_WITHOUT_END)
        if not math.isfinite(epsilon):
            raise Forbidden(
                f"the dataset has a privacy budget of ε = {budget.epsilon:g} for each {budget.unit}, and what has no "
                f"{LIMITS[budget.unit]} spends without end"
            )
        lines = [
            Line(
                dataset=asked.dataset,
                run=plan.key,
                organization=plan.owner,
                does="reserve",
                epsilon=epsilon,
                delta=delta,
                at=self._clock(),
                before="",
                unit=unit,
            )
            for unit, (epsilon, delta) in asked.spends.items()
        ]
        if status_of(plan) in OVER:
            raise Forbidden(f"the plan {plan.key} is over")
        channel, self._reserves = self._following.channel, True

        def reserve(connection: Connection) -> str:
            """The line that the budget is of, and with it that of the other unit, should it be of that one day."""
            roots = [
                ledger.add(connection, channel, line, budget if line.unit == budget.unit else None) for line in lines
            ]
            return roots[-1]

        return await self._following.database.awrite(reserve)

    async def _say(self, held: Held) -> None:
        """Say what the policy is, unless that is known."""
        if held.trouble:
            return self._log.error("refuses everything", reason=held.trouble)
        if self._missed is not None and time.monotonic() - self._missed < GONE:
            return
        me = self._following.organization
        known = await self._following.read(lambda log: log.records.get(PolicyOf, me))
        if (known.digest if known else "") == held.digest:
            return
        text, texts = written("" if held.policy is None else content(held.policy), os.urandom(SALT))
        await self._following.insist([PolicyChanged(digest=held.digest, content=text)], texts)

    async def _release(self) -> None:
        """Give back what runs have reserved that ended without a commit."""
        channel, at = self._following.channel, self._clock()

        def release(connection: Connection) -> None:
            log = Log(connection, channel)
            for dataset, run in ledger.reserved(connection, channel):
                if _is_over(log, run, self._following.organization):
                    ledger.follow(connection, channel, run=run, dataset=dataset, does="release", at=at)

        if not self._reserves:
            return
        if await self._following.database.aread(lambda connection: bool(ledger.reserved(connection, channel))):
            await self._following.database.awrite(release)
        else:
            self._reserves = False


def _is_over(log: Log, run: str, organization: str) -> bool:
    """Whether a run is over, and nothing of it is under way here."""
    plan = log.records.get(Plan, run)
    if plan is None or status_of(plan) not in OVER:
        return False
    return all(each.status in ENDED for each in log.records.find(Task, "plan", run) if each.worker == organization)


def read_file(path: Path) -> Held:
    """What a file holds; with its trouble where that is no policy."""
    try:
        policy = read_policy(tomllib.loads(path.read_text()))
    except (OSError, ValueError, InvalidInput) as error:
        return Held(None, trouble=f"{path.name} cannot be read, so nothing may run here: {error}")
    return Held(policy, digest(content(policy).encode()))


def content(policy: Policy) -> str:
    """The policy as canonical JSON, what is at its default left out."""
    return canonical(msgspec.to_builtins(policy)).decode()


def refusal(owner: str, ruling: Ruling) -> str:
    """Why a policy refuses, in a sentence."""
    return f"the policy of {owner} refuses it: {'; '.join(ruling.reasons)}"


def minute() -> int:
    """Of the day, by this machine's clock and zone."""
    now = time.localtime()
    return 60 * now.tm_hour + now.tm_min
