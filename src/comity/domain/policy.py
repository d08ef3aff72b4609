"""An owner's policy: who may run what on which of its datasets. A pure decision over what a task asks for.

Rules are tried in their order; the first that is about this dataset and whoever asks, and whose demands are met,
allows. Without one it is refused: nothing is allowed by being left out. Code of other organizations waits for a
steward's word besides (`domain.assets`), and permissions in the log hold whatever a policy says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, TypeAlias, final

import msgspec
from msgspec import Meta

from comity.domain.events import Count, PolicyChanged, Positive
from comity.domain.membership import Act, member
from comity.domain.records import Draft, PolicyOf
from comity.domain.words import Identifier
from comity.values.errors import InvalidInput

Hours: TypeAlias = Annotated[str, Meta(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]-([01][0-9]|2[0-3]):[0-5][0-9])?\Z")]
"""From one minute of the day to another, e.g. "20:00-06:00", by the node's clock; empty for any."""

Sandbox: TypeAlias = Literal["plain", "bubblewrap"]

Unit: TypeAlias = Literal["record", "site"]
"""Whose data an ε is of: a row's, or all that a site has."""

LEVELS: Sequence[Sandbox] = ("plain", "bubblewrap")
"""How tasks are held in, the loosest first."""

LIMITS: Mapping[Unit, str] = {
    "record": "co.privacy.RecordDP, nor SiteDP under SecureSum",
    "site": "co.privacy.SiteDP under SecureSum",
}
"""What an experiment needs, so that its ε is not infinite."""

SPENT_WITHOUT_END = math.inf, 0.0
"""(ε, δ) where nothing limits them."""

OWN = "own"
"""What allows an organization's own tasks."""

PERMISSIONS = "permissions"
"""What allows where there is no policy: the permissions in the log, and a steward's word on the code."""


@final
class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who may run what, on which datasets, if what."""

    id: Identifier
    """What decisions in the log call it."""
    organizations: tuple[str, ...] = ("*",)
    """Who may ask: names, or patterns such as `hospital-*`."""
    datasets: tuple[str, ...] = ("*",)
    """On which: names, patterns or keys."""
    tasks: Literal["experiments", "any"] = "experiments"
    """Whether only experiments' rounds run, or any function that a steward lets in."""
    secure_sum: bool = False
    """Whether contributions and scores have to be summed securely."""
    least: Annotated[int, Meta(ge=1, le=1000)] = 1
    """The fewest sites whose sum may be opened, the aggregator's own not counted; in the clear, that a round has."""
    epsilon: Annotated[float, Meta(gt=0)] = math.inf
    """The largest ε of differential privacy; without such a thing in the experiment it is infinite."""
    delta: Annotated[float, Meta(gt=0, lt=1)] | None = None
    """The largest δ; given with `epsilon`."""
    unit: Unit = "record"
    """Whose data epsilon and delta are of."""
    colluding: Annotated[int, Meta(ge=0, le=40)] = 0
    """How many sites, at least, may tell others their noise before ε is more, where sites noise a masked sum."""
    rounds: Positive | None = None
    """The most rounds of an experiment."""
    metrics: tuple[str, ...] = ("*",)
    """Names or patterns of what may be measured. Where ε is of the whole site, by this rule or by the dataset's budget,
    `*` is nothing: what is measured is summed without noise, so that an owner has to name what may be beside ε."""
    site_metrics: bool = True
    """Whether what is measured at this site alone may be shown."""
    digits: Annotated[int, Meta(ge=0, le=17)] | None = None
    """Digits after the point that performances of tasks here are rounded to; None for all."""
    smallest_count: Count = 0
    """A whole number above 0 and below this one may not leave in the clear: it counts too few."""
    repeats: Positive | None = None
    """How often one organization may run the same experiment on a dataset."""
    sandbox: Sandbox = "plain"
    """How tasks are held in, at least."""
    hours: Hours = ""

    def __post_init__(self) -> None:
        if math.isfinite(self.epsilon) != (self.delta is not None):
            raise InvalidInput(f"the rule {self.id!r} must give epsilon and delta, or neither")
        if self.hours and self.hours[:5] == self.hours[6:]:
            raise InvalidInput(f"the rule {self.id!r} is never open by hours = {self.hours!r}; leave it out for always")


@final
class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What all experiments of all organizations together may spend on a dataset, for ever."""

    dataset: str
    """Its name or key."""
    epsilon: Annotated[float, Meta(gt=0)]
    delta: Annotated[float, Meta(gt=0, lt=1)]
    unit: Unit = "record"
    """Whose data they are of: each of its records', or all that the site has in it."""


@final
class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An organization's rules, in their order, and its datasets' budgets."""

    rule: tuple[Rule, ...] = ()
    budget: tuple[Budget, ...] = ()

    def __post_init__(self) -> None:
        for what, names in (("rule", [each.id for each in self.rule]), ("budget", [b.dataset for b in self.budget])):
            for name in names:
                if names.count(name) > 1 or (what == "rule" and name in (OWN, PERMISSIONS)):
                    raise InvalidInput(f"two {what}s are called {name!r}, or it is a name that comity uses itself")


@final
@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be run on a dataset."""

    owner: str
    """Of the dataset, whose policy decides."""
    organization: str
    """Who asks."""
    dataset: str
    """Its key."""
    name: str
    """What it is called."""
    experiment: bool
    """Whether it is an experiment's round."""
    masked: bool = False
    """Whether its sums are masked."""
    cohort: int = 1
    """How many sites a sum needs."""
    spends: Mapping[Unit, tuple[float, float]] = field(default_factory=dict[Unit, tuple[float, float]])
    """(ε, δ) of a record and of a site; infinite where nothing is said."""
    colluding: int | None = None
    """How many sites may tell others their noise; None where sites add none."""
    rounds: int = 1
    metrics: Sequence[str] = ()
    shows_metrics: bool = True
    """Whether what is measured at this site alone is an output."""
    repeats: int = 0
    """How often the organization has run the same experiment on it before."""
    sandbox: Sandbox = "plain"
    minute: int = 0
    """Of the day, by the clock of the owner's node."""


@final
@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What a policy says."""

    rule: str = ""
    """That allows; empty when none does."""
    reasons: tuple[str, ...] = ()
    """Why none does."""
    digits: int | None = None
    smallest_count: int = 0

    @property
    def allowed(self) -> bool:
        """Whether it may be run."""
        return bool(self.rule)


def policy_changed(records: Draft, act: Act, event: PolicyChanged) -> None:
    """What the author's node decides by from here on, which it says for others to read; no rule of the log reads it."""
    member(records, act.author)
    records.put(PolicyOf(key=act.author, digest=event.digest, content=event.content, at=act.at))


def read_policy(document: Mapping[str, Any]) -> Policy:
    """The policy that a TOML document holds; raises InvalidInput, naming what is wrong, for anything else."""
    try:
        return msgspec.convert(document, Policy)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidInput(f"this is no policy: {error}") from error


def decide(policy: Policy, asked: Asked) -> Ruling:
    """Whether a task may run, and by which rule; else why not, by each rule that is about it."""
    if asked.organization == asked.owner:
        return Ruling(rule=OWN)
    about = [rule for rule in policy.rule if _is_about(rule, asked)]
    budget = budget_of(policy, dataset=asked.dataset, name=asked.name)
    reasons: list[str] = []
    for rule in about:
        missing = [*_missing(rule, asked), *_missing_privacy(rule, asked, budget)]
        if not missing:
            return Ruling(rule=rule.id, digits=rule.digits, smallest_count=rule.smallest_count)
        reasons += [f"rule {rule.id}: {each}" for each in missing]
    if not about:
        reasons.append(f"no rule is about {asked.organization} and the dataset {asked.name or asked.dataset}")
    return Ruling(reasons=tuple(reasons))


def budget_of(policy: Policy, *, dataset: str, name: str) -> Budget | None:
    """A dataset's budget; None where it has none."""
    return next((each for each in policy.budget if each.dataset in (dataset, name)), None)


def _is_about(rule: Rule, asked: Asked) -> bool:
    dataset = asked.dataset in rule.datasets or (bool(asked.name) and _matches(asked.name, rule.datasets))
    return _matches(asked.organization, rule.organizations) and (dataset or "*" in rule.datasets)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _missing(rule: Rule, asked: Asked) -> list[str]:
    """What the rule demands and is not met."""
    said: list[str] = []
    if rule.tasks == "experiments" and not asked.experiment:
        said.append("only experiments may run")
    if rule.secure_sum and not asked.masked:
        said.append("contributions have to be summed securely; add co.privacy.SecureSum() to privacy")
    if asked.cohort < rule.least:
        said.append(f"a sum needs {rule.least} sites at least, and this one may be opened with {asked.cohort}")
    if rule.rounds is not None and asked.rounds > rule.rounds:
        said.append(f"{rule.rounds} rounds are the most, and this has {asked.rounds}")
    if odd := [name for name in asked.metrics if not _matches(name, rule.metrics)]:
        said.append(f"{', '.join(odd)} may not be measured; {', '.join(rule.metrics)} may")
    if not rule.site_metrics and asked.shows_metrics and asked.metrics:
        said.append("metrics of this site alone may not be shown; add co.privacy.SecureSum() to privacy")
    if rule.repeats is not None and asked.repeats >= rule.repeats:
        said.append(f"the same was run {asked.repeats} times already, and may be {rule.repeats} times")
    if LEVELS.index(asked.sandbox) < LEVELS.index(rule.sandbox):
        said.append(f"tasks have to be held in by {rule.sandbox}, and this node reaches {asked.sandbox}")
    if rule.hours and not _within(rule.hours, asked.minute):
        said.append(f"it is open {rule.hours}, and now it is {asked.minute // 60:02}:{asked.minute % 60:02}")
    return said


def _missing_privacy(rule: Rule, asked: Asked, budget: Budget | None) -> list[str]:
    """What of differential privacy the rule demands, or the dataset's budget, and is not met."""
    said: list[str] = []
    limited = math.isfinite(rule.epsilon)
    if limited:
        epsilon, delta = asked.spends.get(rule.unit, SPENT_WITHOUT_END)
        of = f" of a {rule.unit}"
        if epsilon > rule.epsilon:
            has = f"ε = {epsilon:g}" if math.isfinite(epsilon) else f"no {LIMITS[rule.unit]}"
            said.append(f"ε{of} may be {rule.epsilon:g} at most, and this has {has}")
        elif rule.delta is not None and delta > rule.delta:
            said.append(f"δ{of} may be {rule.delta:g} at most, and this has {delta:g}")
    if asked.colluding is not None and asked.colluding < rule.colluding:
        said.append(
            f"noise must be enough when {rule.colluding} sites tell theirs, and this is for {asked.colluding}; say "
            f"colluding={rule.colluding} in co.privacy.SiteDP"
        )
    of_site = (limited and rule.unit == "site") or (budget is not None and budget.unit == "site")
    named = [each for each in rule.metrics if each != "*"]
    if of_site and (exact := [name for name in asked.metrics if not _matches(name, named)]):
        said.append(
            f"ε of a site does not cover {', '.join(exact)}, whose sums have no noise; leave metrics out, or have the "
            "owner name them in the rule"
        )
    return said


def _within(hours: str, minute: int) -> bool:
    begin, end = (60 * int(each[:2]) + int(each[3:]) for each in hours.split("-"))
    return begin <= minute < end if begin <= end else minute >= begin or minute < end
