"""Every event that a channel's log can hold.

Fields at their default are left out, so that a new field keeps old digests. A field that this version does
not know is ignored here and kept byte for byte in the log; an event that it does not know needs a higher
version of the rules.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, final

import msgspec
from msgspec import Meta

from comity.domain.words import BlobDigest, Identifier, Key, Number, OrganizationId, Permission, Pinned, Stage, Text
from comity.values.keys import PublicKeys

Version: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Positive: TypeAlias = Annotated[int, Meta(ge=1, le=2**53 - 1)]
Key32: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9+/]{43}=\Z")]
"""An Ed25519 public key, base64."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag=str):
    """One fact. Its author is that of the entry, its time the entry's `ordered_at`."""


# Membership


@final
class Admission(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who admits, removes and readmits organizations: the founder alone, or so many of the members."""

    members: Annotated[int, Meta(ge=0, le=1000)] = 0
    """0: the founder alone."""


@final
class ChannelCreated(Event, frozen=True, kw_only=True, tag="channel_created"):
    """The first event of a log, and the only one of its entry; the entry's digest names the channel."""

    keys: PublicKeys
    """Of the founder, who is the author."""
    hub: Key32
    """With which the hub signs checkpoints."""
    name: Text
    admission: Admission = Admission()
    nonce: Annotated[str, Meta(max_length=100)]
    """Makes the channel's digest its own."""


@final
class OrganizationInvited(Event, frozen=True, kw_only=True, tag="organization_invited"):
    organization: OrganizationId
    token: BlobDigest
    """Of the secret that joins."""
    expires: Milliseconds


@final
class OrganizationAdmitted(Event, frozen=True, kw_only=True, tag="organization_admitted"):
    organization: OrganizationId
    keys: PublicKeys


@final
class OrganizationReadmitted(Event, frozen=True, kw_only=True, tag="organization_readmitted"):
    """An organization that lost its keys goes on with new ones."""

    organization: OrganizationId
    keys: PublicKeys


@final
class OrganizationRemoved(Event, frozen=True, kw_only=True, tag="organization_removed"):
    organization: OrganizationId
    reason: Text = ""


@final
class KeyRotated(Event, frozen=True, kw_only=True, tag="key_rotated"):
    """The author's later entries are signed with new keys."""

    keys: PublicKeys
    proof: str
    """The new key's signature of the channel and the author's next epoch, base64."""


@final
class HubReplaced(Event, frozen=True, kw_only=True, tag="hub_replaced"):
    hub: Key32


@final
class RulesSupported(Event, frozen=True, kw_only=True, tag="rules_supported"):
    version: Version


@final
class RulesRaised(Event, frozen=True, kw_only=True, tag="rules_raised"):
    version: Version


@final
class ChannelClosed(Event, frozen=True, kw_only=True, tag="channel_closed"):
    reason: Text = ""


@final
class Redacted(Event, frozen=True, kw_only=True, tag="redacted"):
    """Texts that are to be deleted wherever they lie."""

    texts: Annotated[tuple[BlobDigest, ...], Meta(min_length=1)]


# Assets


@final
class DatasetRegistered(Event, frozen=True, kw_only=True, tag="dataset_registered"):
    key: Key
    name: Text
    opener: BlobDigest
    description: BlobDigest
    permission: Permission = Permission()
    logs_permission: Permission = Permission()
    metadata: Text = ""


@final
class Sample(msgspec.Struct, frozen=True, omit_defaults=True):
    key: Key
    manifest: BlobDigest
    """Of the names, sizes and digests of its files, salted by its owner."""


@final
class SamplesRegistered(Event, frozen=True, kw_only=True, tag="samples_registered"):
    samples: Annotated[tuple[Sample, ...], Meta(min_length=1)]
    datasets: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=10)]


@final
class SamplesLinked(Event, frozen=True, kw_only=True, tag="samples_linked"):
    samples: Annotated[tuple[Key, ...], Meta(min_length=1)]
    datasets: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=10)]


@final
class DatasetWithdrawn(Event, frozen=True, kw_only=True, tag="dataset_withdrawn"):
    key: Key
    reason: Text = ""


@final
class Renamed(Event, frozen=True, kw_only=True, tag="renamed"):
    kind: Literal["dataset", "function", "plan"]
    key: Key
    name: Text


@final
class FunctionInput(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: Literal["ASSET_DATA_SAMPLE", "ASSET_DATA_MANAGER", "ASSET_MODEL"]
    multiple: bool = False
    optional: bool = False


@final
class FunctionOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    kind: Literal["ASSET_MODEL", "ASSET_PERFORMANCE"]
    multiple: bool = False
    form: Literal["opaque", "tree"] = "opaque"
    """Of a model: a tree is decoded strictly where it is made; what is opaque no node ever decodes."""


@final
class FunctionRegistered(Event, frozen=True, kw_only=True, tag="function_registered"):
    key: Key
    name: Text
    archive: BlobDigest
    description: BlobDigest
    inputs: dict[Identifier, FunctionInput] = {}
    outputs: dict[Identifier, FunctionOutput] = {}
    permission: Permission = Permission()
    metadata: Text = ""


@final
class FunctionBuilding(Event, frozen=True, kw_only=True, tag="function_building"):
    key: Key


@final
class FunctionReady(Event, frozen=True, kw_only=True, tag="function_ready"):
    key: Key
    durations: dict[Identifier, Count] = {}
    """Microseconds by step."""
    locked: Annotated[tuple[Pinned, ...], Meta(max_length=1000)] = ()
    """What was installed for it where its requirements name no versions: all others install the same."""


@final
class FunctionFailed(Event, frozen=True, kw_only=True, tag="function_failed"):
    key: Key


@final
class FunctionCancelled(Event, frozen=True, kw_only=True, tag="function_cancelled"):
    key: Key


@final
class FunctionApproved(Event, frozen=True, kw_only=True, tag="function_approved"):
    """The author lets functions of this archive run at its node."""

    archive: BlobDigest
    by: Annotated[str, Meta(max_length=100)]
    """The user, by an id that only the author's node resolves, or `policy`."""


@final
class FunctionRefused(Event, frozen=True, kw_only=True, tag="function_refused"):
    archive: BlobDigest
    by: Annotated[str, Meta(max_length=100)]
    reason: Text = ""


@final
class PolicyChanged(Event, frozen=True, kw_only=True, tag="policy_changed"):
    """The author's policy from here on: what its node decides by."""

    digest: BlobDigest | Literal[""] = ""
    """Of its canonical JSON; empty for none."""
    content: Text = ""


# Plans and tasks


@final
class SiteData(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an organization brings to an experiment."""

    dataset: Key
    samples: Annotated[tuple[Key, ...], Meta(min_length=1)]


@final
class Stop(msgspec.Struct, frozen=True, omit_defaults=True):
    """Stop once a metric has not improved by more than `min_delta` for `patience` evaluations."""

    metric: Identifier
    goal: Literal["max", "min"]
    patience: Positive
    min_delta: Number = "0.0"


@final
class SiteNoise(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What each site adds to its own part of a masked sum; the numbers are those of `co.privacy.SiteDP`."""

    epsilon: Number = "inf"
    """What all rounds together may spend; infinite where the noise is given by its multiplier."""
    multiplier: Number = "0.0"
    """Of the clip, the standard deviation of the noise on a sum; 0 where it follows from epsilon."""
    delta: Number
    clip: Number
    """The largest norm of a site's floats."""
    arrays: BlobDigest
    """Of names and shapes of a contribution's arrays, fixed before any data are looked at: sites give no others."""
    colluding: Annotated[int, Meta(ge=0, le=40)] = 0


@final
class Masking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an experiment's sums are masked by its sites; the numbers are those of `co.privacy.SecureSum`."""

    bits: Literal[16, 32, 64] = 64
    clip: Number
    norm: Number = "inf"
    max_weight: Positive
    least: Annotated[int, Meta(ge=3, le=40)] = 3
    metric_limit: Number
    exact: bool = False
    """Whether floats that are too large are refused, since the sums are themselves the result."""
    noise: SiteNoise | None = None
    """What sites add to contributions, and not to metrics; None for nothing."""


@final
class Growth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a plan grows: the rounds of an experiment."""

    experiment: Annotated[str, Meta(min_length=2, max_length=500_000)]
    """Canonical JSON; what it names as callables lies in the functions' archive."""
    sites: Annotated[dict[OrganizationId, SiteData], Meta(min_length=1, max_length=1000)]
    """A site is called as its organization."""
    aggregator: OrganizationId
    """Whose node sums and steps."""
    functions: dict[Stage, Key]
    rounds: Positive
    selected: tuple[tuple[OrganizationId, ...], ...] = ()
    """Who takes part in each round; all in every round when empty."""
    quorum: Number = "1"
    """The least a round needs: a number of sites, or below 1 the share of those selected."""
    sees_each: bool = False
    """Whether the step takes the contributions themselves, not their sum."""
    finishes: bool = False
    """Whether a step says, by a performance `finished`, that nothing would change any more."""
    metrics: tuple[Identifier, ...] = ()
    """Performances that an evaluation leaves."""
    evaluate_every: Positive = 1
    keep: bool = False
    """Whether the state after every round is kept, since the best of them will be chosen."""
    stop: Stop | None = None
    deadline: Positive = 3_600_000
    """Milliseconds that a round waits for sites once they can begin, if its quorum is there."""
    retries: Annotated[int, Meta(ge=0, le=100)] = 0
    """How often a site's part that failed is tried again within a round."""
    start: Key = ""
    """Of a model that the first state is made from."""
    continues: Key = ""
    """A plan whose rounds go on in this one: `start` is then the state after them, whole."""
    after: Count = 0
    """How many rounds were done before; `rounds` counts them too."""
    memories: dict[OrganizationId, Key] = {}
    """The models that hold what sites remembered then."""
    masking: Masking | None = None
    """None where contributions are added in the clear."""


@final
class PlanRegistered(Event, frozen=True, kw_only=True, tag="plan_registered"):
    key: Key
    name: Text
    tag_text: Text = ""
    metadata: Text = ""
    creator: Annotated[str, Meta(max_length=100)] = ""
    """The user, by an id that only the author's node resolves."""
    growth: Growth | None = None
    """None for a plan whose tasks are all given."""


@final
class PlanCompleted(Event, frozen=True, kw_only=True, tag="plan_completed"):
    """A growing plan has all its tasks: it ends when they have ended."""

    key: Key


@final
class PlanCancelled(Event, frozen=True, kw_only=True, tag="plan_cancelled"):
    key: Key


@final
class TaskInput(msgspec.Struct, frozen=True, omit_defaults=True):
    """One input: an asset, or an output of a parent task."""

    identifier: Identifier
    asset: Key = ""
    parent: Key = ""
    output: Identifier = ""


@final
class Aggregate(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who may add an output to others', and how; which is no right to it by itself."""

    organizations: Annotated[tuple[OrganizationId, ...], Meta(min_length=1)]
    protocol: Literal["clear", "SA-1"] = "clear"
    """clear: the node that adds sees the parts. SA-1: it gets them masked, and opens nothing but their sum."""
    least: Positive = 1
    """How many parts a sum must have."""


@final
class TaskOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    permission: Permission = Permission()
    transient: bool = False
    private: bool = False
    """Whether not even the task's owner has it, unless the permission says so."""
    aggregate: Aggregate | None = None


@final
class TaskAdded(Event, frozen=True, kw_only=True, tag="task_added"):
    key: Key
    plan: Key
    function: Key
    worker: OrganizationId
    inputs: tuple[TaskInput, ...] = ()
    outputs: dict[Identifier, TaskOutput] = {}
    required: bool = True
    tag_text: Text = ""
    metadata: Text = ""
    stage: Stage | Literal[""] = ""
    """In a growing plan."""
    round: Count = 0
    """From 1 on; 0 for the first state."""
    gathers: bool = False
    """Whether it waits for `round_closed` to say which parts it takes."""


@final
class RoundClosed(Event, frozen=True, kw_only=True, tag="round_closed"):
    """The conductor's decision whose parts of a round go on: into the task that gathers them.

    A result that is ordered later, or is not included, is late: it stands in the log and is not used.
    """

    task: Key
    """That gathers."""
    included: tuple[Key, ...] = ()
    """Tasks whose outputs it takes; none when the round is given up, and the task then fails."""
    cause: Literal["all", "deadline", "failed"] = "all"
    """Everybody was there; or not within the deadline; or some have failed."""


@final
class SumOpened(Event, frozen=True, kw_only=True, tag="sum_opened"):
    """A masked sum may begin: by the organizations whose parts its task may take, with the keys that they have now."""

    task: Key
    """That gathers."""


@final
class SumClosed(Event, frozen=True, kw_only=True, tag="sum_closed"):
    """What came out of a masked sum at its aggregator: `round_closed` repeats who is in it."""

    task: Key
    included: tuple[Key, ...] = ()
    """Tasks whose outputs are in it; none when no sum came out."""
    root: BlobDigest = ""
    """Of its terms, the commitments of those in it, and the sum."""
    clipped: Count = 0
    """How many numbers the sites clipped, all together."""
    reason: Text = ""
    """Why none came out."""


@final
class Ruled(msgspec.Struct, frozen=True, omit_defaults=True):
    """By what a data owner's node let a task run on its data."""

    rule: Identifier
    policy: BlobDigest | Literal[""] = ""
    """The digest of the policy that the rule is of; empty for none."""
    ledger: BlobDigest | Literal[""] = ""
    """The root of the dataset's ledger once this run's ε was reserved in it, or charged."""


@final
class TaskStarted(Event, frozen=True, kw_only=True, tag="task_started"):
    key: Key
    attempt: Annotated[int, Meta(ge=1, le=1000)]
    sandbox: Literal["plain", "bubblewrap"] = "plain"
    ruled: Ruled | None = None
    """None for a task that takes no data of the worker's."""


@final
class OutputMade(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output that a task left behind: a model, or a performance."""

    key: Key = ""
    """Of the model."""
    blob: BlobDigest = ""
    size: Count = 0
    performance: Number = ""


@final
class TaskDone(Event, frozen=True, kw_only=True, tag="task_done"):
    key: Key
    outputs: dict[Identifier, OutputMade] = {}
    durations: dict[Identifier, Count] = {}
    """Microseconds by step."""
    ruled: Ruled | None = None
    """As of its commit."""


@final
class TaskFailed(Event, frozen=True, kw_only=True, tag="task_failed"):
    key: Key
    error: Literal["BUILD_ERROR", "EXECUTION_ERROR", "INTERNAL_ERROR"]
    log: bool = False
    """Whether the worker keeps a log of it."""
    policy: BlobDigest | Literal[""] = ""
    """The digest of the policy that refused it."""
    reason: Text = ""
    """Why it was refused."""


@final
class TaskCancelled(Event, frozen=True, kw_only=True, tag="task_cancelled"):
    key: Key


@final
class OutputsReleased(Event, frozen=True, kw_only=True, tag="outputs_released"):
    """Transient outputs whose blobs the author has deleted."""

    models: Annotated[tuple[Key, ...], Meta(min_length=1)]


AnyEvent: TypeAlias = (
    ChannelCreated
    | OrganizationInvited
    | OrganizationAdmitted
    | OrganizationReadmitted
    | OrganizationRemoved
    | KeyRotated
    | HubReplaced
    | RulesSupported
    | RulesRaised
    | ChannelClosed
    | Redacted
    | DatasetRegistered
    | SamplesRegistered
    | SamplesLinked
    | DatasetWithdrawn
    | Renamed
    | FunctionRegistered
    | FunctionBuilding
    | FunctionReady
    | FunctionFailed
    | FunctionCancelled
    | FunctionApproved
    | FunctionRefused
    | PolicyChanged
    | PlanRegistered
    | PlanCompleted
    | PlanCancelled
    | TaskAdded
    | RoundClosed
    | SumOpened
    | SumClosed
    | TaskStarted
    | TaskDone
    | TaskFailed
    | TaskCancelled
    | OutputsReleased
)

TEXTS = ("name", "tag_text", "metadata", "reason", "content")
"""Fields that hold the commitment of a text."""


def texts_of(event: AnyEvent) -> list[Text]:
    """The commitments that stand in an event."""
    return [text for field in TEXTS if (text := getattr(event, field, ""))]
