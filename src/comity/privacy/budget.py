"""What of a dataset's privacy is spent: an append-only account at its owner, of one unit, across runs and users.

Rules. A run reserves all that it may spend before its first training begins, or does not begin. What a training
releases is charged once, when it is committed, against its run's reserve; one that is committed again after a crash is
known. A run that ends without having released anything frees what it reserved. One that has released something has
spent it all: when it stopped may hang on what it had released, and no accountant of a fixed number of steps answers for
that. Entries are only ever added.

Runs add up by basic composition, ε and δ each (Dwork and Roth 2014, theorem 3.16), which holds however later runs are
chosen for what earlier ones gave. Within a run, whose noise was fixed before it began, its accountant composes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias, final

from comity.privacy.accounting import SampledGaussian, epsilon
from comity.privacy.statement import Unit
from comity.values import bounds
from comity.values.errors import Conflict, Forbidden, NotFound

Accountant: TypeAlias = Callable[[SampledGaussian, float], float]
"""ε at δ of a mechanism."""

SLACK = 1e-9
"""Sums of floats are off by so little, as a part; a budget that is spent to the last is not overspent by it."""


def by_pld(mechanism: SampledGaussian, delta: float) -> float:
    """ε by privacy loss distributions."""
    return epsilon(
        delta,
        noise_multiplier=mechanism.noise_multiplier,
        sampling_rate=mechanism.sampling_rate,
        steps=mechanism.steps,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """A run may spend so much: all of its trainings together."""

    run: str
    mechanism: SampledGaussian
    """Of one training."""
    trainings: int
    delta: float

    def __post_init__(self) -> None:
        bounds.count("trainings", self.trainings, least=1)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Charged:
    """A training of a run was committed, and its output may be seen."""

    run: str
    training: str
    """Its task and attempt: what is committed once."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run begins no further training."""

    run: str


Entry: TypeAlias = Reserved | Charged | Ended


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Privacy that is gone, or reserved."""

    epsilon: float
    delta: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(epsilon=self.epsilon + other.epsilon, delta=self.delta + other.delta)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The account of a dataset and unit: what there is, and every entry so far, in order.

    >>> budget = Budget(dataset="heart", unit="record", epsilon=3.0, delta=1e-3)
    >>> training = SampledGaussian(10.0, 1.0, 4)
    >>> budget = budget.reserve(Reserved(run="r", mechanism=training, trainings=5, delta=1e-4))
    >>> round(budget.spent().epsilon, 2)
    1.49
    >>> budget.charge("r", "first").end("r").entries[-1]
    Ended(run='r')
    """

    dataset: str
    unit: Unit
    epsilon: float
    delta: float
    entries: tuple[Entry, ...] = ()
    accountant: Accountant = by_pld

    def reserve(self, asked: Reserved) -> Budget:
        """With the run's reserve; raises Forbidden, saying by how much, where it would overspend."""
        if any(isinstance(each, Reserved) and each.run == asked.run for each in self.entries):
            raise Conflict(f"the run {asked.run} has reserved what it may spend of {self.dataset} already")
        before, more = self.spent(), self._of(asked, asked.trainings)
        after = before + more
        for name, has, spent, wanted, would in (
            ("ε", self.epsilon, before.epsilon, more.epsilon, after.epsilon),
            ("δ", self.delta, before.delta, more.delta, after.delta),
        ):
            if would > has * (1 + SLACK):
                raise Forbidden(
                    f"this run may spend {name} = {wanted:.4g} of {self.dataset!r} for each {self.unit}; of {has:.4g} "
                    f"{spent:.4g} is spent or reserved, so it would overspend by {would - has:.4g}"
                )
        return replace(self, entries=(*self.entries, asked))

    def charge(self, run: str, training: str) -> Budget:
        """With a committed training charged; as it is where that training was charged before.

        Raises NotFound where the run has reserved nothing, and Conflict where all that it reserved is charged, or it
        has ended: its output may not be seen then.
        """
        charged = self._trainings(run)
        if training in charged:
            return self
        reserved = self._reserved(run)
        if any(isinstance(each, Ended) and each.run == run for each in self.entries):
            raise Conflict(f"the run {run} has ended, so its training {training} cannot be charged to {self.dataset!r}")
        if len(charged) >= reserved.trainings:
            raise Conflict(
                f"the run {run} has reserved {reserved.trainings} trainings on {self.dataset!r}, which are all charged"
            )
        return replace(self, entries=(*self.entries, Charged(run=run, training=training)))

    def end(self, run: str) -> Budget:
        """With nothing more to come of a run, whose reserve is free again where it has released nothing.

        As it is where the run has ended before. Raises NotFound where it has reserved nothing.
        """
        self._reserved(run)
        if any(isinstance(each, Ended) and each.run == run for each in self.entries):
            return self
        return replace(self, entries=(*self.entries, Ended(run=run)))

    def spent(self) -> Spent:
        """By all runs that have released something, or still may."""
        ended = {each.run for each in self.entries if isinstance(each, Ended)}
        total = Spent(epsilon=0.0, delta=0.0)
        for each in self.entries:
            if isinstance(each, Reserved) and (each.run not in ended or self._trainings(each.run)):
                total += self._of(each, each.trainings)
        return total

    def left(self) -> Spent:
        """What a further run may spend at most."""
        spent = self.spent()
        return Spent(epsilon=max(self.epsilon - spent.epsilon, 0.0), delta=max(self.delta - spent.delta, 0.0))

    def _of(self, reserved: Reserved, trainings: int) -> Spent:
        together = replace(reserved.mechanism, steps=reserved.mechanism.steps * trainings)
        return Spent(epsilon=self.accountant(together, reserved.delta), delta=reserved.delta)

    def _reserved(self, run: str) -> Reserved:
        for each in self.entries:
            if isinstance(each, Reserved) and each.run == run:
                return each
        raise NotFound(f"the run {run} has reserved nothing of {self.dataset!r}, so it may not train on it")

    def _trainings(self, run: str) -> dict[str, None]:
        return {each.training: None for each in self.entries if isinstance(each, Charged) and each.run == run}
