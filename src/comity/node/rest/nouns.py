"""What the API answers, by the names and the kinds that Substra's clients expect."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeAlias, TypedDict, TypeVar

from msgspec import Meta

from comity.adapters.openapi import REFERENCE
from comity.domain.states import FunctionStatus, PlanStatus, TaskStatus
from comity.domain.words import AssetKind
from comity.node.overview import Member

T = TypeVar("T")

ASSETS = ("Dataset", "Sample", "Model", "Performance")
"""What a task takes and leaves."""


class Refusal(TypedDict, total=False):
    """Why a request is not answered: the reason, or the reasons by the fields of a login."""

    detail: str
    non_field_errors: list[str]
    username: list[str]
    password: list[str]


class Nothing(TypedDict):
    """It is done."""


class Page(TypedDict, Generic[T]):
    """A part of a list, and where the parts beside it are."""

    count: int
    next: str | None
    previous: str | None
    results: list[T]


class File(TypedDict):
    """A blob: its SHA-256, and where it can be downloaded."""

    checksum: str
    storage_address: str


class Permission(TypedDict):
    """Who may."""

    public: bool
    authorized_ids: list[str]


class Permissions(TypedDict):
    """Who may process and download an asset."""

    process: Permission
    download: Permission


class Organization(TypedDict):
    """A member of the channel."""

    id: str
    address: str
    creation_date: str | None
    is_current: bool


class Dataset(TypedDict):
    """A `data_manager`."""

    key: str
    name: str
    owner: str
    permissions: Permissions
    logs_permission: Permission
    opener: File
    description: File
    metadata: dict[str, str]
    creation_date: str | None
    withdrawn_date: str | None
    data_sample_keys: list[str]


class Sample(TypedDict):
    """A `data_sample`."""

    key: str
    owner: str
    data_manager_keys: list[str]
    creation_date: str | None


class FunctionInput(TypedDict):
    """What a function takes under a name."""

    kind: AssetKind
    optional: bool
    multiple: bool


class FunctionOutput(TypedDict):
    """What a function leaves under a name."""

    kind: AssetKind
    multiple: bool


class Function(TypedDict):
    """A `function`."""

    key: str
    name: str
    owner: str
    permissions: Permissions
    metadata: dict[str, str]
    inputs: dict[str, FunctionInput]
    outputs: dict[str, FunctionOutput]
    description: File
    archive: File
    status: FunctionStatus
    creation_date: str | None


class Plan(TypedDict):
    """A `compute_plan`; its counts are of required tasks, durations in seconds."""

    key: str
    name: str
    owner: str
    tag: str
    metadata: dict[str, str]
    creator: str
    status: PlanStatus
    creation_date: str | None
    start_date: str | None
    end_date: str | None
    estimated_end_date: str | None
    duration: int
    failed_task_key: str | None
    task_count: int
    waiting_builder_slot_count: int
    building_count: int
    waiting_parent_tasks_count: int
    waiting_executor_slot_count: int
    executing_count: int
    done_count: int
    failed_count: int
    canceled_count: int


class TaskInput(TypedDict):
    """One input of a task."""

    identifier: str
    asset_key: str | None
    parent_task_key: str | None
    parent_task_output_identifier: str | None


class TaskOutput(TypedDict):
    """What becomes of one output of a task."""

    permissions: Permissions
    transient: bool


class Task(TypedDict):
    """A `task`, with its whole function."""

    key: str
    function: Function
    compute_plan_key: str
    owner: str
    worker: str
    rank: int
    tag: str
    metadata: dict[str, str]
    status: TaskStatus
    error_type: str | None
    creation_date: str | None
    start_date: str | None
    end_date: str | None
    duration: int
    logs_permission: Permission
    inputs: list[TaskInput]
    outputs: dict[str, TaskOutput]
    required: bool
    stage: str | None
    round: int | None
    waiting_for: str | None
    ruled: dict[str, str] | None
    """The rule of its worker's policy that let it run on its data, the policy's digest and its ledger's root."""
    refused: str | None
    """Why its worker's policy refused it."""


class Part(TypedDict):
    """A site's part in a round, its latest attempt."""

    task: str
    site: str
    status: TaskStatus
    attempts: int
    included: bool
    size: int | None
    """Bytes of its contribution, as a file; null while there is none."""
    waiting_for: str | None
    refused: str | None
    """Why its organization's policy refused it."""


class Policy(TypedDict):
    """What an organization said of its policy last."""

    organization: str
    digest: str | None
    content: dict[str, Any] | None
    """The policy; null for none, or where it was redacted."""
    date: str


class Explained(TypedDict):
    """What a site's policy would say of an experiment."""

    organization: str
    dataset: str
    allowed: bool
    rule: str | None
    """That would allow it; `permissions` where there is no policy."""
    reasons: list[str]
    """Why it would be refused, rule by rule."""
    policy: str | None
    """The digest of the policy that was asked."""


class Spent(TypedDict):
    """Of differential privacy; ε is null where a run has spent without end."""

    epsilon: float | None
    delta: float


class Budget(TypedDict):
    """What one of this organization's datasets has to spend, and what experiments have spent."""

    dataset: str
    name: str
    unit: Literal["record", "site"]
    """Whose data it is of: each record's, or all that the site has."""
    budget: Spent | None
    charged: Spent
    reserved: Spent
    root: str
    """The digest of the last line, as the log has it with the task that added it."""
    lines: list[dict[str, Any]]


class MaskedSum(TypedDict):
    """A round's sum by secure aggregation."""

    protocol: Literal["SA-1"]
    status: Literal["open", "closed"]
    roster: list[str]
    """Who may take part in it."""
    root: str | None
    """Of its terms, its inputs' commitments and what came out; null while nothing has."""
    clipped: int
    """How many numbers the sites clipped, all together."""
    reason: str
    """Why none came out."""


class Round(TypedDict):
    """One round of an experiment, and what was measured of the state after it."""

    number: int
    closed: bool
    parts: list[Part]
    state: str | None
    """Key of the model that holds the state after it."""
    start_date: str | None
    end_date: str | None
    sum: MaskedSum | None
    """Of its contributions; null for one in the clear."""
    scores: MaskedSum | None
    """Of what its metrics take."""
    pooled: dict[str, float | None] | None
    """Of each metric the figure over all sites, null where there was nothing to measure; null until it is measured."""
    sites: dict[str, dict[str, float | None]]


class Rounds(TypedDict):
    """How an experiment stands."""

    key: str
    name: str
    status: PlanStatus
    version: int
    """Of this answer: it grows when something changes."""
    experiment: str
    organizations: list[str]
    aggregator: str
    planned: int
    """How many rounds there may be."""
    datasets: dict[str, str]
    """The key of each site's dataset."""
    continues: str | None
    """The plan whose rounds went before these."""
    waiting_for: list[str]
    """What keeps it from going on, in words."""
    failed: list[str]
    """Keys of tasks that have failed."""
    rounds: list[Round]


class Model(TypedDict):
    """A `model`; without an address once it was released."""

    key: str
    compute_task_key: str
    owner: str
    permissions: Permissions
    address: File | None
    creation_date: str | None


class Performance(TypedDict):
    """A performance as an output of its task; null where it is not finite."""

    channel: str
    compute_task_key: str
    compute_task_output_identifier: str
    performance_value: float | None
    creation_date: str | None


AnyAsset: TypeAlias = Annotated[
    Any, Meta(extra_json_schema={"anyOf": [{"$ref": REFERENCE.format(name=each)} for each in ASSETS]})
]
"""One of `ASSETS`: of these unions msgspec knows no schema."""


class Asset(TypedDict):
    """What goes into a task, or came out of it."""

    kind: AssetKind
    identifier: str
    asset: AnyAsset


class MeasuredTask(TypedDict):
    """The task that measured."""

    key: str
    function_key: str
    rank: int
    round_idx: str | None
    worker: str


class Measured(TypedDict):
    """A performance of a plan; null where it is not finite."""

    compute_task: MeasuredTask
    identifier: str
    perf: float | None


class Measurements(TypedDict):
    """All that a plan measured."""

    count: int
    next: None
    previous: None
    results: list[Measured]
    compute_plan_statistics: Statistics


class Statistics(TypedDict):
    """Which ranks and rounds the tasks of a plan have, measured or not."""

    compute_tasks_distinct_ranks: list[int]
    compute_tasks_distinct_rounds: list[str]


class Judged(TypedDict):
    """A function of another organization, and what was said of it here; null where nothing was."""

    function: Function
    approved: bool | None
    by: str | None
    reason: str | None
    date: str | None
    waiting_tasks: int


class Before(TypedDict):
    """The last function of the same name that was approved."""

    function: Function
    files: dict[str, str]


class Review(Judged):
    """What a steward reads before the word is given: sources by their paths."""

    files: dict[str, str]
    locked: list[str]
    """What its owner's node installed where its requirements name no versions."""
    before: Before | None


class Withdrawn(TypedDict):
    """The models that were made from a dataset."""

    models: list[Model]


class Redacted(TypedDict):
    """The commitments of the texts that were deleted."""

    redacted: list[str]


class Entry(TypedDict):
    """An entry of the log in words."""

    place: int
    date: str | None
    author: str
    epoch: int
    sequence: int
    id: str
    digest: str
    previous: str | None
    seen: int
    signature: str
    events: list[dict[str, Any]]


class Entries(TypedDict):
    """Entries, the latest first, and the place before which there may be more."""

    size: int
    before: int
    results: list[Entry]


class Leaf(TypedDict):
    """A leaf of the log, and salt and text of what it commits to."""

    leaf: dict[str, Any]
    texts: dict[str, tuple[str, str]]


class Leaves(TypedDict):
    """Leaves as they stand in the log."""

    results: list[Leaf]


class Checkpoint(TypedDict):
    """The hub's signed note; empty before the first."""

    checkpoint: str


class Network(TypedDict):
    """The channel at a glance, as this node sees it."""

    organization: str
    channel: str
    digest: str
    hub: str
    connected: bool
    trouble: str | None
    broken: str | None
    sandbox: str
    """How well this node holds tasks in."""
    sandbox_trouble: str | None
    """Why that is less than it should be, and what to do."""
    log_size: int
    outbox: int
    """What this node has still to say."""
    letters: int | None
    """That wait for it at the hub."""
    parcels: int | None
    """Of its own, that others have not fetched from the hub."""
    parcel_bytes: int | None
    organizations: list[Member]


class Config(TypedDict):
    """What Substra's clients ask a node for."""

    model_export_enabled: bool


class Info(TypedDict, total=False):
    """What a node is; from `channel` on for those who are known."""

    host: str
    organization_id: str
    organization_name: str
    config: Config
    auth: dict[str, Any]
    channel: str
    version: str
    orchestrator_version: str
    user: str
    user_role: Literal["ADMIN", "USER"]


class Token(TypedDict):
    """A token as far as it is known: its secret was shown once."""

    id: str
    created_at: str
    expires_at: str


class NotedToken(Token):
    """A token for programs."""

    note: str


class Issued(Token):
    """A new token, with its secret."""

    token: str


class NotedIssued(Issued):
    """A new token for programs."""

    note: str


class Tokens(TypedDict):
    """One's own tokens, and those of logins."""

    tokens: list[NotedToken]
    implicit_tokens: list[Token]


class Live(TypedDict):
    """That the process answers."""

    live: bool


class Ready(TypedDict):
    """Whether every channel is followed and its hub can be reached."""

    ready: bool
