"""Four hospitals predict heart disease: FLamby's benchmark, and a federated run that is well tuned.

Ogier du Terrail et al., "FLamby: Datasets and Benchmarks for Cross-Silo Federated Learning in
Realistic Healthcare Settings", NeurIPS 2022. Published figures are the means over seeds 42 to 46 in
owkin/FLamby @ edacf54, flamby/results/results_benchmark_fed_heart_disease.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean

from comity import metrics
from comity.data import heart
from comity.engine.experiment import Experiment
from comity.engine.run import Run
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites
from comity.engine.tuning import cross_validate
from comity.faces.demos.outcome import Method, Outcome, mean_scores
from comity.frameworks.numpy import Linear
from comity.strategies import Cyclic, FedAdagrad, FedAdam, FedAvg, FedProx, FedYogi, Scaffold
from comity.values.model import Train
from comity.values.optimizer import SGD, Adam
from comity.values.site import Site
from comity.values.strategy import Strategy

SEEDS = range(42, 47)
STRATEGIES: dict[str, tuple[Strategy, float, float]] = {
    "FedAvg": (FedAvg(), 0.001, 0.6850),
    "FedProx": (FedProx(mu=0.01), 0.001, 0.6850),
    "SCAFFOLD": (Scaffold(), 0.001, 0.6840),
    "FedAdam": (FedAdam(server_lr=0.01), 0.01, 0.7255),
    "FedYogi": (FedYogi(server_lr=0.01), 0.003162, 0.7314),
    "FedAdagrad": (FedAdagrad(server_lr=0.316228), 0.003162, 0.7314),
    "Cyclic": (Cyclic(shuffled=True), 0.01, 0.7180),
}
"""Strategy, the learning rate FLamby chose for it, and the accuracy FLamby published (mean of four centres)."""

ALONE = {"Cleveland alone": 0.7221, "Hungary alone": 0.6287, "Switzerland alone": 0.5670, "VA alone": 0.6366}
"""FLamby's published accuracy of one hospital's model, mean of the four centres' tests."""

POOLED = 0.7353

MODEL = Linear(features=13, loss="logistic")

LONG = Experiment(
    model=MODEL,
    train=Train(optimizer=Adam(0.001), batch_size=4, epochs=50),
    strategy=FedAvg(),
    metrics=[metrics.accuracy, metrics.auc, metrics.log_loss],
)
"""How FLamby trains without a federation: Adam, 50 epochs."""

TUNED = "FedAvg, cross-validated"

GRID = [f"train.optimizer.lr={lr}" for lr in (0.001, 0.002, 0.005, 0.01, 0.02)]

NOTES = (
    "Learning rates are FLamby's but for the last row, whose rate has the least log loss in "
    "cross-validation on training rows, which each hospital standardized once, before they were folded.",
    "As in FLamby, the mean of sites is of features that each hospital standardized by itself, all test rows are of "
    "features standardized by everybody's training rows. The published figures are means of sites.",
    "Cyclic visits one hospital a round, in an order drawn anew for each cycle as in FLamby. Its model is that of the "
    "hospital that came last, so that it depends on the draw more than the others do.",
    "A seed's standard deviation is .01 to .03 and one Swiss test patient is 6 points there: differences under .02 "
    "mean nothing.",
)


def experiment(strategy: Strategy, lr: float) -> Experiment:
    """FLamby's recipe: 13 features, linear + sigmoid, cross-entropy, batches of 4, 15 rounds of 100 steps."""
    return Experiment(
        model=MODEL,
        train=Train(optimizer=SGD(lr), batch_size=4, steps=100),
        strategy=strategy,
        metrics=[metrics.accuracy, metrics.auc, metrics.log_loss],
        rounds=15,
        evaluate_every=15,
    )


def hospitals() -> list[Site]:
    """The sites of the run that is shown, for a network of them."""
    return heart()


def demo(watch: Callable[[Sequence[str]], Iterator[str]]) -> Outcome:
    """Each hospital alone, pooled, every strategy, and FedAvg with a learning rate chosen on training rows.

    `watch` is handed the names of the methods and yields them one by one, e.g. through a progress bar.
    """
    sites, same_scale = heart(), heart(standardize="pooled")
    runs: dict[str, list[Run]] = {}
    plain = experiment(FedAvg(), 0.001)
    [search] = [
        cross_validate(plain, sites, GRID, metric="log_loss", repeats=3) for _ in watch(["cross-validating the rate"])
    ]
    for name in watch([*ALONE, "pooled", *STRATEGIES, TUNED]):
        if name in ALONE:
            runs[name] = _runs(LONG, [site for site in sites if name == f"{site.name} alone"], tests=sites)
        elif name == "pooled":
            runs[name] = _runs(LONG, [Sites(same_scale).pooled()], tests=sites)
        elif name in STRATEGIES:
            strategy, lr, _ = STRATEGIES[name]
            runs[name] = _runs(experiment(strategy, lr), sites, tests=sites)
        else:
            runs[name] = _runs(search.best, sites, tests=sites)
    published = {**ALONE, "pooled": POOLED, **{name: figure for name, (_, _, figure) in STRATEGIES.items()}}
    shown = replace(search.best, seed=SEEDS[0], evaluate_every=1)
    return Outcome(
        demo="heart",
        title="Heart disease, four hospitals",
        metric="accuracy, mean over seeds 42 to 46",
        headline="mean_over_sites",
        data="heart",
        methods=[_method(name, made, same_scale, published.get(name)) for name, made in runs.items()],
        notes=NOTES,
        run=simulate(shown, Sites(sites), Simulation(baselines=("local", "pooled"))),
        shown=TUNED,
        run_note=f"seed {SEEDS[0]}, all test rows, each hospital's own scale",
        tables=[search.table],
    )


def _runs(recipe: Experiment, sites: Sequence[Site], tests: Sequence[Site]) -> list[Run]:
    how = Simulation(tests=Sites(tests))
    return [simulate(replace(recipe, seed=seed), Sites(sites), how) for seed in SEEDS]


def _method(name: str, runs: Sequence[Run], same_scale: Sequence[Site], published: float | None) -> Method:
    mean, _ = mean_scores(runs, "accuracy")
    pooled = fmean(run.evaluate(same_scale)[0]["accuracy"] for run in runs)
    kind = "alone" if name in ALONE else "pooled" if name == "pooled" else "federated"
    return Method(name=name, kind=kind, mean_over_sites=mean, pooled_test=pooled, published=published)
