"""What the events of a channel have made so far: one record for each noun, and where records are kept.

A record is replaced, never changed. Times are the `ordered_at` of the entry that made or changed it.
"""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter
from typing import Any, ClassVar, Literal, Protocol, TypeAlias, TypeVar, final

import msgspec

from comity.domain.events import (
    Admission,
    Aggregate,
    FunctionInput,
    FunctionOutput,
    Growth,
    Ruled,
    TaskInput,
    TaskOutput,
)
from comity.domain.states import FunctionStatus, TaskStatus
from comity.domain.words import Permission, Stage
from comity.values.errors import NotFound
from comity.values.keys import PublicKeys


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing of a channel, known by its key."""

    key: str
    index: ClassVar[tuple[str, ...]] = ()
    """Fields that records of this kind are looked up by."""


R = TypeVar("R", bound=Record)


@final
class Channel(Record, frozen=True, kw_only=True):
    """The channel itself; its key is `channel`."""

    digest: str
    founder: str
    hub: str
    name: str
    admission: Admission
    rules: int = 1
    closed: bool = False
    created_at: int
    ordered_at: int
    """Of the last leaf."""


@final
class Organization(Record, frozen=True, kw_only=True):
    """A member, or one that was; its key is its id."""

    index = ("status",)
    status: Literal["member", "removed"]
    keys: PublicKeys
    epoch: int = 0
    sequence: int = 0
    """Of its next statement."""
    previous: str = ""
    """Digest of its last statement."""
    seen: int = 0
    """Size of the log that it last said it had verified."""
    ordered_at: int = 0
    """Of its last entry: a hub that shows it another log must withhold what it writes, which shows as silence."""
    rules: int = 1
    """The highest version of the rules that it supports."""
    created_at: int


@final
class Invitation(Record, frozen=True, kw_only=True):
    """Its key is the digest of the secret that joins."""

    index = ("organization",)
    organization: str
    expires: int
    used: bool = False


@final
class Vote(Record, frozen=True, kw_only=True):
    """A member's word for a change that needs several; its key is `subject|author`."""

    index = ("subject",)
    subject: str
    author: str
    epoch: int = 0
    """Of the author's keys when it was given."""
    spent: bool = False
    """Whether it has counted for a decision."""


@final
class Dataset(Record, frozen=True, kw_only=True):
    index = ("owner", "opener", "description")
    owner: str
    name: str
    opener: str
    description: str
    permission: Permission
    logs_permission: Permission
    metadata: str = ""
    created_at: int
    withdrawn_at: int = 0


@final
class DataSample(Record, frozen=True, kw_only=True):
    index = ("owner",)
    owner: str
    manifest: str
    created_at: int


@final
class SampleOf(Record, frozen=True, kw_only=True):
    """That a sample belongs to a dataset; its key is `dataset|sample`."""

    index = ("dataset", "sample")
    dataset: str
    sample: str


@final
class Function(Record, frozen=True, kw_only=True):
    index = ("owner", "archive", "description", "status")
    owner: str
    name: str
    archive: str
    description: str
    inputs: dict[str, FunctionInput]
    outputs: dict[str, FunctionOutput]
    permission: Permission
    metadata: str = ""
    status: FunctionStatus = "FUNCTION_STATUS_WAITING"
    created_at: int
    building_at: int = 0
    ready_at: int = 0
    durations: dict[str, int] = {}
    locked: tuple[str, ...] = ()


@final
class Approval(Record, frozen=True, kw_only=True):
    """What an organization said of an archive; its key is `organization|archive`."""

    index = ("archive", "organization")
    organization: str
    archive: str
    approved: bool
    by: str
    reason: str = ""
    at: int


@final
class PolicyOf(Record, frozen=True, kw_only=True):
    """What an organization said of its policy last; its key is the organization."""

    digest: str
    content: str = ""
    at: int


@final
class Plan(Record, frozen=True, kw_only=True):
    index = ("owner", "grows_at")
    owner: str
    name: str
    tag_text: str = ""
    metadata: str = ""
    creator: str = ""
    created_at: int
    started_at: int = 0
    ended_at: int = 0
    cancelled_at: int = 0
    counts: dict[TaskStatus, int] = {}
    """Required tasks by status."""
    failed_task: str = ""
    growth: Growth | None = None
    complete: bool = True
    """Whether no more tasks will come."""
    grows_at: str = ""
    """Its owner, until a growing plan has ended."""
    rounds_added: int = 0
    rounds_closed: int = 0
    measuring: tuple[int, ...] = ()
    """Rounds whose measurements are not closed."""
    memories: dict[str, str] = {}
    """By site, the last task whose part was included: its memory goes on."""
    superseded: tuple[str, ...] = ()
    """Tasks whose memory nobody will take up again, once the state that follows is there."""
    absent: tuple[str, ...] = ()
    """Sites that the last round was closed without, and whose part in it had not failed."""


@final
class Task(Record, frozen=True, kw_only=True):
    index = ("plan", "function", "worker", "status", "owner", "waits_on", "optional_in")
    plan: str
    function: str
    owner: str
    worker: str
    inputs: tuple[TaskInput, ...] = ()
    outputs: dict[str, TaskOutput] = {}
    required: bool = True
    tag_text: str = ""
    metadata: str = ""
    rank: int = 0
    logs_permission: Permission = Permission()
    status: TaskStatus
    waiting: int = 0
    """How many parents are not done."""
    waits_on: str = ""
    """Its function, until it begins or ends: so a build or a word on it finds the tasks that it moves, and no other."""
    optional_in: str = ""
    """Its plan, while it is optional and has not ended."""
    created_at: int
    started_at: int = 0
    ended_at: int = 0
    attempt: int = 0
    sandbox: str = ""
    error: str = ""
    log: bool = False
    reason: str = ""
    """Why its worker's policy refused it."""
    policy: str = ""
    """The digest of that policy."""
    ruled: Ruled | None = None
    """By what its worker's policy let it run."""
    durations: dict[str, int] = {}
    stage: Stage | Literal[""] = ""
    round: int = 0
    gathers: bool = False
    """Whether it still waits to be told which parts it takes."""


@final
class MaskedSum(Record, frozen=True, kw_only=True):
    """A sum that is opened and nothing else of its parts; its key is that of the task that gathers them."""

    index = ("status",)
    plan: str
    aggregator: str
    status: Literal["open", "closed"] = "open"
    roster: dict[str, PublicKeys]
    """Who may take part, with their keys when it was opened."""
    included: tuple[str, ...] = ()
    """Tasks whose outputs are in the sum, once it is closed; none when it did not come out."""
    root: str = ""
    clipped: int = 0
    reason: str = ""
    created_at: int
    ended_at: int = 0


@final
class Child(Record, frozen=True, kw_only=True):
    """That a task takes what another leaves behind, by the parent's key or a model's; its key is `parent|child`."""

    index = ("parent",)
    parent: str
    child: str


@final
class Takers(Record, frozen=True, kw_only=True):
    """How many tasks take what another leaves behind; its key is that task's."""

    total: int = 0
    open: int = 0
    """Those that have not ended, and may need it still."""


@final
class Model(Record, frozen=True, kw_only=True):
    """A model that a task left behind."""

    index = ("task", "owner", "blob", "due")
    task: str
    output: str
    owner: str
    blob: str
    """Empty once it was released."""
    released: str = ""
    """The blob that it was, from then on."""
    due: str = ""
    """Its owner, while it is to be released."""
    size: int
    permission: Permission
    aggregate: Aggregate | None = None
    created_at: int


@final
class Performance(Record, frozen=True, kw_only=True):
    """A number that a task left behind; its key is `task|output`."""

    index = ("task", "plan")
    task: str
    plan: str
    output: str
    value: str
    created_at: int


AnyRecord: TypeAlias = (
    Channel
    | Organization
    | Invitation
    | Vote
    | Dataset
    | DataSample
    | SampleOf
    | Function
    | Approval
    | PolicyOf
    | Plan
    | Task
    | MaskedSum
    | Child
    | Takers
    | Model
    | Performance
)

KINDS: tuple[type[Record], ...] = AnyRecord.__args__


class Records(Protocol):
    """Where the records of one channel are kept."""

    def get(self, kind: type[R], key: str) -> R | None:
        """The record, or None."""
        ...

    def find(self, kind: type[R], field: str, value: str) -> Iterable[R]:
        """The records whose indexed field has this value, in the order of their keys; later puts do not touch them."""
        ...

    def put(self, record: Record) -> None:
        """Keep a record in place of the one of its kind and key."""
        ...


@final
class RecordsInMemory:
    """Records in dictionaries."""

    def __init__(self) -> None:
        self.held: dict[type[Record], dict[str, Any]] = {kind: {} for kind in KINDS}
        self._keys: dict[tuple[type[Record], str, str], set[str]] = {}
        """Of the records of a kind whose field has a value."""

    def get(self, kind: type[R], key: str) -> R | None:
        return self.held[kind].get(key)

    def find(self, kind: type[R], field: str, value: str) -> Iterable[R]:
        held = self.held[kind]
        return [held[key] for key in sorted(self._keys.get((kind, field, value), ()))]

    def put(self, record: Record) -> None:
        kind, key = type(record), record.key
        before = self.held[kind].get(key)
        for field in kind.index:
            value = getattr(record, field)
            if before is not None and (old := getattr(before, field)) != value:
                self._keys[kind, field, old].discard(key)
            self._keys.setdefault((kind, field, value), set()).add(key)
        self.held[kind][key] = record


@final
class Draft:
    """Records as they will be once an entry is applied; nothing reaches those below until then."""

    def __init__(self, under: Records) -> None:
        self._under = under
        self._over = RecordsInMemory()
        self.changed: dict[tuple[type[Record], str], Any] = {}
        """Every record that was put, as it is now."""

    def get(self, kind: type[R], key: str) -> R | None:
        found = self.changed.get((kind, key))
        return found if found is not None else self._under.get(kind, key)

    def find(self, kind: type[R], field: str, value: str) -> Iterable[R]:
        kept = [each for each in self._under.find(kind, field, value) if (kind, each.key) not in self.changed]
        return sorted([*kept, *self._over.find(kind, field, value)], key=attrgetter("key"))

    def put(self, record: Record) -> None:
        self._over.put(record)
        self.changed[type(record), record.key] = record


def need(records: Records, kind: type[R], key: str) -> R:
    """The record; raises NotFound."""
    found = records.get(kind, key)
    if found is None:
        raise NotFound(f"there is no {kind.__name__.lower()} {key}")
    return found
