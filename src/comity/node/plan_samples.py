"""The data samples of an organization that the tasks of a plan name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from comity.adapters.sql.log import Log
from comity.domain.records import Plan, Task
from comity.node import samples

PLANS = 64
"""Whose samples are remembered."""

MOST = 1000
"""Samples that the sandbox of a plan is given beyond those of a task."""


@final
@dataclass(slots=True)
class Found:
    """What is known of a plan."""

    size: int = -1
    """Tasks that the plan had when it was looked at."""
    read: int = 0
    """Tasks of the organization among them."""
    folders: tuple[Path, ...] = ()


@final
class PlanSamples:
    """Looks them up again as plans grow."""

    def __init__(self, organization: str) -> None:
        self._organization = organization
        self._found: dict[str, Found] = {}  # the plan asked for last comes last

    def of(self, log: Log, plan: Plan) -> tuple[Path, ...]:
        """The folders of the samples; none when they are more than a sandbox is given."""
        found = self._found.pop(plan.key, None) or Found()
        size = sum(plan.counts.values())
        if size != found.size:
            here = {"plan": [plan.key], "worker": [self._organization]}
            _, tasks = log.records.search(Task, here, order="created_at", offset=found.read)
            named = dict.fromkeys(each.asset for task in tasks for each in task.inputs if each.asset)
            new = samples.places(log.connection, log.channel, list(named))
            found = Found(size, found.read + len(tasks), tuple(dict.fromkeys((*found.folders, *new))))
        self._found[plan.key] = found
        while len(self._found) > PLANS:
            del self._found[next(iter(self._found))]
        return found.folders if len(found.folders) <= MOST else ()
