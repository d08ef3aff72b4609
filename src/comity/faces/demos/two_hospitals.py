"""Two hospitals with unlike patients train a classifier of ultrasound images together.

Data: BreastMNIST (Yang et al., "MedMNIST v2", Scientific Data 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from torch.nn.functional import cross_entropy

from comity import metrics
from comity.data import two_hospitals
from comity.engine.experiment import Experiment
from comity.engine.run import Run
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites
from comity.engine.tuning import cross_validate
from comity.faces.demos.networks import small_cnn
from comity.faces.demos.outcome import Method, Outcome, mean_scores
from comity.frameworks.torch import Model
from comity.strategies import FedAvg
from comity.values.model import Train
from comity.values.optimizer import SGD

SEEDS = range(5)

EPOCH = Train(optimizer=SGD(lr=0.02, momentum=0.9), batch_size=16, epochs=1)

EXPERIMENT = Experiment(
    model=Model(small_cnn, cross_entropy),
    train=EPOCH,
    strategy=FedAvg(),
    metrics=[metrics.auc, metrics.balanced_accuracy],
    rounds=30,
    evaluate_every=30,
)
"""30 rounds of one epoch; without a federation 30 epochs in one go, so that momentum is kept."""

ALONE = replace(EXPERIMENT, rounds=1, evaluate_every=1, train=replace(EPOCH, epochs=30))

SERVER_MOMENTUM = [f"strategy.server_momentum={momentum}" for momentum in (0.0, 0.5, 0.9)]
"""The sites' own momentum begins anew with every round of eight steps; the server can keep some of it."""

NOTES = (
    "120 images each, 80 % malignant in hospital A and 20 % in B; measured on the 156 official test images (27 %), so "
    "that the standard error of one AUC is about .04.",
    "Server momentum is chosen for each seed by cross-validation on its training images.",
    "Balanced accuracy and not accuracy, which a model wins that takes the test images' mix for granted.",
)


def demo(watch: Callable[[Sequence[str]], Iterator[str]]) -> Outcome:
    """Hospital A alone, B alone, federated, and pooled, over five seeds that also deal the images."""
    runs: dict[str, list[Run]] = {"A alone": [], "B alone": [], "Federated": [], "Federated, plain": [], "pooled": []}
    for step in watch([f"{method}; seed {seed}" for seed in SEEDS for method in runs]):
        method, _, seed = step.partition("; seed ")
        dealt, plain = two_hospitals(seed=int(seed)), replace(EXPERIMENT, seed=int(seed))
        sites = Sites(dealt)
        if method == "Federated":
            search = cross_validate(plain, dealt, SERVER_MOMENTUM, metric="auc", folds=3)
            run = simulate(search.best, sites, Simulation())
        elif method == "Federated, plain":
            run = simulate(plain, sites, Simulation())
        else:
            rows = sites.pooled() if method == "pooled" else sites.load(f"Hospital {method[0]}")
            run = simulate(replace(ALONE, seed=int(seed)), Sites([rows]), Simulation(tests=sites))
        runs[method].append(run)
    shown = replace(runs["Federated"][0].experiment, evaluate_every=1)
    return Outcome(
        demo="two-hospitals",
        title="Breast ultrasound, two hospitals",
        metric="AUC, mean over 5 seeds",
        headline="pooled_test",
        data="breastmnist",
        methods=[_method(name, made) for name, made in runs.items()],
        notes=NOTES,
        run=simulate(shown, Sites(two_hospitals()), Simulation(baselines=("local", "pooled"))),
        shown="Federated",
    )


def _method(name: str, runs: Sequence[Run]) -> Method:
    (_, auc), (_, balanced) = (mean_scores(runs, metric) for metric in ("auc", "balanced_accuracy"))
    kind = "alone" if name.endswith("alone") else "pooled" if name == "pooled" else "federated"
    return Method(name=name, kind=kind, pooled_test=auc, more={"balanced accuracy": balanced})
