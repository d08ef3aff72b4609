"""Records as the nouns that clients expect: each is written in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import final

import msgspec

from comity.adapters.sql.log import Log
from comity.domain import sums
from comity.domain.events import TEXTS, TaskInput
from comity.domain.membership import CHANNEL
from comity.domain.plans import status_of
from comity.domain.records import (
    Channel,
    DataSample,
    Dataset,
    Draft,
    Function,
    Model,
    Organization,
    Performance,
    Plan,
    Record,
    SampleOf,
    Task,
    need,
)
from comity.domain.states import OVER
from comity.domain.tasks import waits_for_approval
from comity.domain.words import Permission
from comity.node.rest import nouns
from comity.node.rest.dates import date

REDACTED = "(redacted)"

EXTERNAL = "external"
"""Who created a plan of another organization: its users are its own."""

_METADATA = msgspec.json.Decoder(dict[str, str])


@final
class View:
    """One reading of a channel, for a caller at one organization."""

    def __init__(
        self, log: Log, organization: str, *, base: str, now: int, names: Callable[[Iterable[str]], dict[str, str]]
    ) -> None:
        self.log = log
        self.records = log.records
        self.organization = organization
        self._base = base
        self.now = now
        self._names = names
        self._texts: dict[str, str] = {}
        self._wanted: dict[str, set[str]] = {}
        """Commitments whose texts are not read yet, by the fields that they stand in."""
        self._functions: dict[str, nouns.Function] = {}
        self._creators: dict[str, str] = {}

    # Texts

    def learn(self, records: Iterable[Record]) -> None:
        """Many records are about to be written: the first text of a kind that is asked for brings all of that kind."""
        for each in records:
            for field in TEXTS:
                if (commitment := getattr(each, field, "")) and commitment not in self._texts:
                    self._wanted.setdefault(field, set()).add(commitment)

    def text(self, commitment: str) -> str:
        """The text, or that it was redacted."""
        if commitment not in self._texts:
            field = next((field for field, wanted in self._wanted.items() if commitment in wanted), "")
            wanted = self._wanted.pop(field, {commitment})
            self._texts |= dict.fromkeys(wanted, REDACTED) | self.log.texts(wanted) | {"": ""}
        return self._texts[commitment]

    def metadata(self, commitment: str) -> dict[str, str]:
        """Metadata; none where they were redacted, or another organization wrote something else."""
        try:
            return _METADATA.decode(self.text(commitment) or "{}")
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return {}

    @property
    def draft(self) -> Draft:
        """The records, for rules that only look."""
        return Draft(self.records)

    @property
    def channel(self) -> str:
        """The channel's name; empty until its first entry has come."""
        here = self.records.get(Channel, CHANNEL)
        return self.text(here.name) if here else ""

    # Nouns

    def organization_of(self, each: Organization) -> nouns.Organization:
        """A member of the channel; only this node has an address that clients can reach."""
        mine = each.key == self.organization
        return {
            "id": each.key,
            "address": self._base if mine else "",
            "creation_date": date(each.created_at),
            "is_current": mine,
        }

    def dataset(self, each: Dataset) -> nouns.Dataset:
        """A `data_manager`."""
        at = f"data_manager/{each.key}"
        return {
            "key": each.key,
            "name": self.text(each.name),
            "owner": each.owner,
            "permissions": _permissions(each.permission, each.owner),
            "logs_permission": _permission(each.logs_permission.including(each.owner)),
            "opener": self._file(each.opener, f"{at}/opener/"),
            "description": self._file(each.description, f"{at}/description/"),
            "metadata": self.metadata(each.metadata),
            "creation_date": date(each.created_at),
            "withdrawn_date": date(each.withdrawn_at),
            "data_sample_keys": [found.sample for found in self.records.find(SampleOf, "dataset", each.key)],
        }

    def sample(self, each: DataSample) -> nouns.Sample:
        """A `data_sample`."""
        return {
            "key": each.key,
            "owner": each.owner,
            "data_manager_keys": [found.dataset for found in self.records.find(SampleOf, "sample", each.key)],
            "creation_date": date(each.created_at),
        }

    def function(self, each: Function) -> nouns.Function:
        """A `function`."""
        at = f"function/{each.key}"
        return {
            "key": each.key,
            "name": self.function_name(each),
            "owner": each.owner,
            "permissions": _permissions(each.permission, each.owner),
            "metadata": self.metadata(each.metadata),
            "inputs": {
                name: {"kind": given.kind, "optional": given.optional, "multiple": given.multiple}
                for name, given in each.inputs.items()
            },
            "outputs": {name: {"kind": left.kind, "multiple": left.multiple} for name, left in each.outputs.items()},
            "description": self._file(each.description, f"{at}/description/"),
            "archive": self._file(each.archive, f"{at}/file/"),
            "status": each.status,
            "creation_date": date(each.created_at),
        }

    def function_name(self, each: Function) -> str:
        """What a function is called; the one that adds is every channel's and has a name of its own."""
        return sums.NAME if each.key == sums.SUM else self.text(each.name)

    def plan(self, each: Plan) -> nouns.Plan:
        """A `compute_plan`; its counts are of required tasks."""
        counts, status = each.counts, status_of(each)
        total, done = sum(counts.values()), counts.get("STATUS_DONE", 0)
        return {
            "key": each.key,
            "name": self.text(each.name),
            "owner": each.owner,
            "tag": self.text(each.tag_text),
            "metadata": self.metadata(each.metadata),
            "creator": self.creator(each),
            "status": status,
            "creation_date": date(each.created_at),
            "start_date": date(each.started_at),
            "end_date": date(each.ended_at),
            "estimated_end_date": date(self._estimated_end(each, done, total)),
            "duration": self.duration(each),
            "failed_task_key": each.failed_task or None,
            "task_count": total,
            "waiting_builder_slot_count": counts.get("STATUS_WAITING_FOR_BUILDER_SLOT", 0),
            "building_count": counts.get("STATUS_BUILDING", 0),
            "waiting_parent_tasks_count": counts.get("STATUS_WAITING_FOR_PARENT_TASKS", 0),
            "waiting_executor_slot_count": counts.get("STATUS_WAITING_FOR_EXECUTOR_SLOT", 0),
            "executing_count": counts.get("STATUS_EXECUTING", 0),
            "done_count": done,
            "failed_count": counts.get("STATUS_FAILED", 0),
            "canceled_count": counts.get("STATUS_CANCELED", 0),
        }

    def task(self, each: Task) -> nouns.Task:
        """A `task`, with its whole function."""
        return {
            "key": each.key,
            "function": self._function_of(each),
            "compute_plan_key": each.plan,
            "owner": each.owner,
            "worker": each.worker,
            "rank": each.rank,
            "tag": self.text(each.tag_text),
            "metadata": {**self.metadata(each.metadata), **({"round_idx": str(each.round)} if each.stage else {})},
            "status": each.status,
            "error_type": each.error or None,
            "creation_date": date(each.created_at),
            "start_date": date(each.started_at),
            "end_date": date(each.ended_at),
            "duration": self.duration(each),
            "logs_permission": _permission(each.logs_permission),
            "inputs": [_input(given) for given in each.inputs],
            "outputs": {
                name: {"permissions": _permissions(left.permission, each.owner), "transient": left.transient}
                for name, left in each.outputs.items()
            },
            "required": each.required,
            "stage": each.stage or None,
            "round": each.round if each.stage else None,
            "waiting_for": self.waiting_for(each),
            "ruled": None if each.ruled is None else msgspec.to_builtins(each.ruled),
            "refused": self.text(each.reason) if each.reason else None,
        }

    def model(self, each: Model) -> nouns.Model:
        """A `model`; it has no address once it was released."""
        return {
            "key": each.key,
            "compute_task_key": each.task,
            "owner": each.owner,
            "permissions": _permissions(each.permission, each.owner),
            "address": self._file(each.blob, f"model/{each.key}/file/") if each.blob else None,
            "creation_date": date(each.created_at),
        }

    def performance(self, each: Performance) -> nouns.Performance:
        """A performance as an output of its task."""
        return {
            "channel": self.channel,
            "compute_task_key": each.task,
            "compute_task_output_identifier": each.output,
            "performance_value": float(each.value),
            "creation_date": date(each.created_at),
        }

    # Parts of them

    def duration(self, each: Plan | Task) -> int:
        """Seconds from its start to its end, or to now."""
        return max(0, (each.ended_at or self.now) - each.started_at) // 1000 if each.started_at else 0

    def _estimated_end(self, each: Plan, done: int, total: int) -> int:
        if status_of(each) in OVER:
            return each.ended_at
        return each.started_at + (self.now - each.started_at) * total // done if each.started_at and done else 0

    def creator(self, each: Plan) -> str:
        if each.owner != self.organization:
            return EXTERNAL
        if each.creator and each.creator not in self._creators:
            self._creators[each.creator] = self._names([each.creator]).get(each.creator, each.creator)
        return self._creators.get(each.creator, "")

    def _function_of(self, each: Task) -> nouns.Function:
        if each.function not in self._functions:
            self._functions[each.function] = self.function(need(self.records, Function, each.function))
        return self._functions[each.function]

    def waiting_for(self, each: Task) -> str | None:
        """What only a person can end: a steward of the worker has to approve of the function."""
        if each.status != "STATUS_WAITING_FOR_BUILDER_SLOT":
            return None
        function = need(self.records, Function, each.function)
        return f"approval by {each.worker}" if waits_for_approval(self.draft, each, function) else None

    def _file(self, blob: str, path: str) -> nouns.File:
        return {"checksum": blob.removeprefix("sha256:"), "storage_address": self._base + path}


def _permission(permission: Permission) -> nouns.Permission:
    return {"public": permission.public, "authorized_ids": list(permission.authorized)}


def _permissions(permission: Permission, owner: str) -> nouns.Permissions:
    made = _permission(permission.including(owner))
    return {"process": made, "download": made}


def _input(given: TaskInput) -> nouns.TaskInput:
    return {
        "identifier": given.identifier,
        "asset_key": given.asset or None,
        "parent_task_key": given.parent or None,
        "parent_task_output_identifier": given.output or None,
    }
