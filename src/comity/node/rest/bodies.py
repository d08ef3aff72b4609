"""What clients send, decoded strictly; fields that are not known are ignored, as Substra's clients expect."""

from __future__ import annotations

from typing import Any, TypeVar, final
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from comity.adapters.openapi import Moment
from comity.domain.events import (
    DatasetRegistered,
    FunctionInput,
    FunctionOutput,
    FunctionRegistered,
    Growth,
    TaskAdded,
    TaskInput,
    TaskOutput,
)
from comity.domain.words import Identifier, Key, OrganizationId, Permission
from comity.node.accounts.roles import Right
from comity.node.registering import Labels
from comity.values.digest import Digest
from comity.values.errors import DecodeError

T = TypeVar("T")


@final
class Permissions(Struct, frozen=True):
    """Who may process and download."""

    public: bool = False
    authorized_ids: tuple[OrganizationId, ...] = ()

    @property
    def permission(self) -> Permission:
        """As events hold it."""
        return Permission(public=self.public, authorized=tuple(sorted({*self.authorized_ids})))


@final
class NewDataset(Struct, frozen=True):
    """POST /data_manager/"""

    name: str
    permissions: Permissions
    logs_permission: Permissions = Permissions()
    metadata: dict[str, str] | None = None

    @property
    def labels(self) -> Labels:
        """Its texts."""
        return Labels(name=self.name, metadata=self.metadata or {})

    def event(self, key: str, *, opener: Digest, description: Digest) -> DatasetRegistered:
        """The dataset as an event, but for its texts."""
        return DatasetRegistered(
            key=key,
            name="",
            opener=opener,
            description=description,
            permission=self.permissions.permission,
            logs_permission=self.logs_permission.permission,
        )


@final
class NewSamples(Struct, frozen=True):
    """POST /data_sample/; the paths are of this node's own files."""

    data_manager_keys: tuple[Key, ...] = ()
    path: str | None = None
    paths: tuple[str, ...] | None = None


@final
class NewFunction(Struct, frozen=True):
    """POST /function/"""

    name: str
    permissions: Permissions
    metadata: dict[str, str] | None = None
    inputs: dict[Identifier, FunctionInput] | None = None
    outputs: dict[Identifier, FunctionOutput] | None = None

    @property
    def labels(self) -> Labels:
        """Its texts."""
        return Labels(name=self.name, metadata=self.metadata or {})

    def event(self, key: str, *, archive: Digest, description: Digest) -> FunctionRegistered:
        """The function as an event, but for its texts."""
        return FunctionRegistered(
            key=key,
            name="",
            archive=archive,
            description=description,
            inputs=self.inputs or {},
            outputs=self.outputs or {},
            permission=self.permissions.permission,
        )


@final
class NewPlan(Struct, frozen=True):
    """POST /compute_plan/; the tasks that the stock client sends along come again by themselves."""

    key: Key
    name: str
    tag: str | None = None
    metadata: dict[str, str] | None = None
    growth: Growth | None = None
    """Of an experiment, whose rounds this node conducts."""

    @property
    def labels(self) -> Labels:
        """Its texts."""
        return Labels(name=self.name, tag=self.tag or "", metadata=self.metadata or {})


@final
class NewTaskInput(Struct, frozen=True):
    """One input of a new task."""

    identifier: Identifier
    asset_key: Key | None = None
    parent_task_key: Key | None = None
    parent_task_output_identifier: Identifier | None = None


@final
class NewTaskOutput(Struct, frozen=True):
    """One output of a new task."""

    permissions: Permissions
    transient: bool | None = None


@final
class NewTask(Struct, frozen=True):
    """One task of POST /task/bulk_create/; its rank is not taken from the client."""

    key: Key
    compute_plan_key: Key
    function_key: Key
    worker: OrganizationId | None = None
    tag: str | None = None
    metadata: dict[str, str] | None = None
    inputs: list[NewTaskInput] | None = None
    outputs: dict[Identifier, NewTaskOutput] | None = None
    required: bool = True

    @property
    def labels(self) -> Labels:
        """Its texts."""
        return Labels(tag=self.tag or "", metadata=self.metadata or {})

    def event(self, worker: str) -> TaskAdded:
        """The task as an event, but for its texts."""
        inputs = [
            TaskInput(
                identifier=each.identifier,
                asset=each.asset_key or "",
                parent=each.parent_task_key or "",
                output=each.parent_task_output_identifier or "",
            )
            for each in self.inputs or ()
        ]
        outputs = {
            name: TaskOutput(permission=each.permissions.permission, transient=bool(each.transient))
            for name, each in (self.outputs or {}).items()
        }
        return TaskAdded(
            key=self.key,
            plan=self.compute_plan_key,
            function=self.function_key,
            worker=worker,
            inputs=tuple(inputs),
            outputs=outputs,
            required=self.required,
        )


@final
class NewTasks(Struct, frozen=True):
    """POST /task/bulk_create/"""

    tasks: list[NewTask]


@final
class Name(Struct, frozen=True):
    """PUT of anything that has a name."""

    name: str


@final
class NewToken(Struct, frozen=True):
    """POST /api-token/; without scopes the token may do all that its user may."""

    expires_at: Moment
    note: str = ""
    scopes: tuple[Right, ...] | None = None


def decoded(body: bytes, kind: type[T]) -> T:
    """The body as JSON of this kind; raises DecodeError.

    >>> decoded(b'{"name": "heart", "else": 1}', Name)
    Name(name='heart')
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise DecodeError(f"the request's body cannot be read: {error}") from error


def form(body: bytes) -> dict[str, list[str]]:
    """The fields of an urlencoded form; raises DecodeError, for zero bytes too, which no database takes as text.

    >>> form(b"a=1&a=2")
    {'a': ['1', '2']}
    """
    if b"%00" in body or b"\0" in body:
        raise DecodeError("the form holds a zero byte; leave it out")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=20_000)
    except ValueError as error:
        raise DecodeError(f"the form cannot be read: {error}") from error


def keys(given: Any) -> tuple[Key, ...]:
    """Keys of a form; raises DecodeError."""
    try:
        return msgspec.convert(given, tuple[Key, ...])
    except msgspec.ValidationError as error:
        raise DecodeError(f"these are no keys: {error}") from error
