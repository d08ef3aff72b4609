"""Who was in the training rows? LiRA against models that hospitals send, and against their average.

Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022: see
`comity.privacy.attacks.membership`. Shadow models are the attacker's own federations, of images it has, dealt anew for
each and trained by the experiment that it attacks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, final

import numpy as np

from comity import metrics
from comity.engine.experiment import Experiment
from comity.faces.demos.privacy.leaving import Seen, seen
from comity.faces.demos.privacy.settings import SIDE, Setting, deal
from comity.frameworks.numpy import Linear
from comity.metrics.mean import Mean
from comity.privacy.attacks import Separation, logits, memberships, separation
from comity.strategies import FedAvg
from comity.values import tree
from comity.values.errors import InvalidInput
from comity.values.model import Train
from comity.values.optimizer import SGD
from comity.values.rows import Rows
from comity.values.tree import Array, Tree

CLIP = 5.0

TARGETS, SHADOWS = 16, 128
"""Federations that are attacked, and that the attacker trains."""

PLAIN = Experiment(
    model=Linear(features=SIDE**2, loss="logistic"),
    train=Train(optimizer=SGD(lr=0.15), batch_size=0, steps=20),
    strategy=FedAvg(),
    metrics=[metrics.auc, metrics.balanced_accuracy],
    rounds=5,
    evaluate_every=5,
)
"""Long enough that 78 images at a hospital are learnt by heart where nothing prevents it."""


def experiment(setting: Setting) -> Experiment:
    """What is attacked: the same in every setting, but for its privacy."""
    return replace(PLAIN, privacy=setting.privacy(CLIP))


@final
@dataclass(frozen=True, kw_only=True)
class Federation:
    """One federation that was trained: who was where, and how sure its models are of every image's label."""

    owner: Array
    """The hospital that has the image, or -1 (n,)."""
    parts: Array
    """`logits` by the model that each hospital sent in each round (rounds, hospitals, n)."""
    total: Array
    """Those by the average that all were sent next (rounds, 1, n)."""
    auc: float
    balanced_accuracy: float
    """Of the last average, on test images."""


def federation(setting: Setting, train: Rows, test: Rows, seed: int) -> Federation:
    """A federation of images dealt by the seed, as one who sees what leaves the hospitals knows it."""
    dealt = deal(train, test, seed)
    made = replace(experiment(setting), seed=seed)
    rounds = list(seen(made, dealt.sites))
    predictions = made.predict(rounds[-1].after, test.x)
    auc, balanced = (_measured(metric, predictions, test) for metric in made.measures)
    return Federation(
        owner=dealt.owner,
        parts=np.stack([[_sure(made, _sent(each, site.name), train) for site in dealt.sites] for each in rounds]),
        total=np.stack([[_sure(made, each.after, train)] for each in rounds]),
        auc=auc,
        balanced_accuracy=balanced,
    )


@final
@dataclass(frozen=True, kw_only=True)
class Found:
    """How well members are told by models of one kind."""

    last: Separation
    """By those of the last round, as published."""
    all: Separation
    """By those of all rounds, their scores added."""


@final
@dataclass(frozen=True, kw_only=True)
class Members:
    """How well the members are found in one setting."""

    setting: Setting
    epsilon: float | None
    parts: Found
    """Each hospital's own images among those of none, by the models that it sent."""
    total: Found
    """All hospitals' images among those of none, by their averages."""
    auc: float
    balanced_accuracy: float
    """On test images, means over the federations attacked."""

    @property
    def best(self) -> Separation:
        """What tells more, by the last round."""
        return max(self.parts.last, self.total.last, key=lambda made: made.auc)


def attacked(setting: Setting, targets: Sequence[Federation], shadows: Sequence[Federation]) -> Members:
    """LiRA against all targets; whoever is in none of a target's hospitals is no member of it."""
    return Members(
        setting=setting,
        epsilon=_epsilon(setting, targets[0]),
        parts=_found(targets, shadows, lambda each: each.parts, _belongs),
        total=_found(targets, shadows, lambda each: each.total, _anywhere),
        auc=fmean(each.auc for each in targets),
        balanced_accuracy=fmean(each.balanced_accuracy for each in targets),
    )


def _found(
    targets: Sequence[Federation],
    shadows: Sequence[Federation],
    sure: Callable[[Federation], Array],
    has: Callable[[Federation], Array],
) -> Found:
    """sure: of a federation, how sure its models are (rounds, k, n); has: which rows each of the k saw (k, n)."""
    under_attack, known = (np.concatenate([sure(each) for each in some], axis=1) for some in (targets, shadows))
    members, inside = (np.concatenate([has(each) for each in some]) for some in (targets, shadows))
    others, outside = (
        np.concatenate([np.broadcast_to(each.owner == -1, has(each).shape) for each in some])
        for some in (targets, shadows)
    )
    scores = [memberships(*of_round, inside, outside) for of_round in zip(under_attack, known, strict=True)]
    together = np.sum(scores, axis=0)
    return Found(
        last=separation(scores[-1][members], scores[-1][others]),
        all=separation(together[members], together[others]),
    )


def _belongs(federation: Federation) -> Array:
    """Which images each hospital has (hospitals, n)."""
    return federation.owner == np.arange(federation.parts.shape[1])[:, np.newaxis]


def _anywhere(federation: Federation) -> Array:
    """Which images any hospital has (1, n)."""
    return federation.owner[np.newaxis] >= 0


def _sent(round: Seen, name: str) -> Tree:
    """The model that a site sent in the round, or what its masked numbers are as one."""
    return tree.add(round.before, round.parts[name].mean())


def _sure(made: Experiment, params: Tree, rows: Rows) -> Array:
    return logits(made.predict(params, rows.x), rows.targets)


def _measured(metric: Any, predictions: Array, test: Rows) -> float:
    if isinstance(metric, Mean):
        raise InvalidInput(f"the lab measures metrics that are summed, not {metric.name}")
    return float(metric.finish(metric.local(predictions, test)))


def _epsilon(setting: Setting, target: Federation) -> float | None:
    made = experiment(setting)
    if (dp := made.record_dp) is None or made.train is None:
        return None
    rows = int((target.owner == 0).sum())
    return dp.statement(dp.mechanism(rows, made.train, made.trainings)).epsilon
