"""The experiment that settings stand for, and the hospitals that it is run over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from comity.data.partition import hospitals
from comity.engine.experiment import Experiment
from comity.engine.simulate import FEDERATED
from comity.engine.sites import POOLED, Sites
from comity.faces.playground.data_sets import DataSet
from comity.faces.playground.settings import Settings
from comity.frameworks import numpy as linear
from comity.metrics import auc, balanced_accuracy
from comity.privacy.secure_sum import SecureSum
from comity.values.model import Model, Train
from comity.values.optimizer import SGD
from comity.values.rows import Rows
from comity.values.site import Site

METRICS = (auc, balanced_accuracy)

VALIDATION = "Validation"


def model_of(data: DataSet) -> Model:
    """The model of a data set; raises ImportError where what it needs is not installed."""
    if data.kind == "table":
        return linear.Linear(features=data.features, loss="logistic")
    from torch.nn.functional import cross_entropy

    from comity.faces.demos.networks import small_cnn
    from comity.frameworks import torch

    return torch.Model(small_cnn, cross_entropy)


def experiment_of(settings: Settings, *, seed: int) -> Experiment:
    """The experiment of one seed."""
    data = settings.data_set
    return Experiment(
        model=model_of(data),
        train=Train(optimizer=SGD(lr=data.lr), batch_size=data.batch_size, epochs=1),
        strategy=settings.offered.strategy,
        metrics=METRICS,
        rounds=settings.rounds,
        seed=seed,
        privacy=[SecureSum()] if settings.secure_sum else [],
    )


def dealt(settings: Settings, rows: Rows, *, seed: int) -> Sequence[Site]:
    """The hospitals of one seed, without test rows."""
    return hospitals(rows, wanted=settings.hospitals, seed=seed, test_fraction=0)


def methods(settings: Settings) -> tuple[str, ...]:
    """The ways to train that are compared, each a run of its own; a hospital's name is for that hospital alone."""
    return (FEDERATED, *settings.names, POOLED)


def arranged(
    settings: Settings, method: str, *, seed: int, rows: Rows, validation: Rows
) -> tuple[Experiment, Sites, Sites | None]:
    """(experiment, sites that train, sites that measure unless the same) of one method under one seed.

    All methods are measured on the same rows. Under a secure sum each hospital holds these and gives its sums of them,
    masked, since a metric of one place would have nobody to hide among.
    """
    experiment, sites = experiment_of(settings, seed=seed), dealt(settings, rows, seed=seed)
    tests = Sites([Site(VALIDATION, test=validation)])
    if method == FEDERATED:
        if settings.secure_sum:
            return experiment, Sites([replace(site, test=validation) for site in sites]), None
        return experiment, Sites(sites), tests
    alone = Sites(sites)
    trained = alone.pooled() if method == POOLED else alone.load(method)
    return replace(experiment, privacy=()), Sites([trained]), tests
