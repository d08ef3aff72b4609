"""Who was in the training rows? LiRA against models that hospitals send, and against their average.

Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022: see
`comity.privacy.attacks.membership`. Shadow models are the attacker's own federations, of images it has, dealt anew for
each and trained by the experiment that it attacks.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    """`logits` by the model that each hospital sent in the last round (hospitals, n)."""
    total: Array
    """Those by the average that all are sent (n,)."""
    auc: float
    balanced_accuracy: float
    """Of the average, on test images."""


def federation(setting: Setting, train: Rows, test: Rows, seed: int) -> Federation:
    """A federation of images dealt by the seed, as one who sees what leaves the hospitals knows it."""
    dealt = deal(train, test, seed)
    made = replace(experiment(setting), seed=seed)
    *_, last = seen(made, dealt.sites)
    predictions = made.predict(last.after, test.x)
    auc, balanced = (_measured(metric, predictions, test) for metric in made.measures)
    return Federation(
        owner=dealt.owner,
        parts=np.stack([_sure(made, _sent(last, site.name), train) for site in dealt.sites]),
        total=_sure(made, last.after, train),
        auc=auc,
        balanced_accuracy=balanced,
    )


@final
@dataclass(frozen=True, kw_only=True)
class Members:
    """How well the members are found in one setting."""

    setting: Setting
    epsilon: float | None
    parts: Separation
    """Each hospital's own images among those of none, by the model that it sent."""
    total: Separation
    """All hospitals' images among those of none, by their average."""
    auc: float
    balanced_accuracy: float
    """On test images, means over the federations attacked."""

    @property
    def best(self) -> Separation:
        """What tells more."""
        return max(self.parts, self.total, key=lambda made: made.auc)


def attacked(setting: Setting, targets: Sequence[Federation], shadows: Sequence[Federation]) -> Members:
    """LiRA against all targets; whoever is in none of a target's hospitals is no member of it."""
    total = memberships(
        np.stack([each.total for each in targets]),
        np.stack([each.total for each in shadows]),
        inside := np.stack([each.owner >= 0 for each in shadows]),
        ~inside,
    )
    belongs, nobody = (np.concatenate([each(f) for f in shadows]) for each in (_belongs, _nobody))
    parts = memberships(
        np.concatenate([each.parts for each in targets]),
        np.concatenate([each.parts for each in shadows]),
        belongs,
        nobody,
    )
    of_parts, of_none = (np.concatenate([each(f) for f in targets]) for each in (_belongs, _nobody))
    member = np.stack([each.owner >= 0 for each in targets])
    return Members(
        setting=setting,
        epsilon=_epsilon(setting, targets[0]),
        parts=separation(parts[of_parts], parts[of_none]),
        total=separation(total[member], total[~member]),
        auc=fmean(each.auc for each in targets),
        balanced_accuracy=fmean(each.balanced_accuracy for each in targets),
    )


def _belongs(federation: Federation) -> Array:
    """Which images each hospital has (hospitals, n)."""
    return federation.owner == np.arange(len(federation.parts))[:, np.newaxis]


def _nobody(federation: Federation) -> Array:
    """Which images no hospital has (hospitals, n)."""
    return np.broadcast_to(federation.owner == -1, federation.parts.shape)


def _sent(last: Seen, name: str) -> Tree:
    """The model that a site sent in the round, or what its masked numbers are as one."""
    return tree.add(last.before, last.parts[name].mean())


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
