"""Six regions fit one Cox model of breast-cancer survival, exactly.

Data and published figures: FLamby's Fed-TCGA-BRCA (Ogier du Terrail et al., NeurIPS 2022; figures are
the means over seeds 42 to 46 in owkin/FLamby @ edacf54, results_benchmark_fed_tcga_brca).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from comity import metrics
from comity.data import brca
from comity.engine.experiment import Experiment
from comity.engine.run import Run
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites
from comity.faces.demos.outcome import Method, Outcome, mean_scores
from comity.strategies.cox import CoxRegression
from comity.values.table import Table

PENALTIES = (0.001, 0.01, 0.03)
CHOSEN = 0.01

POOLED = "pooled Cox, l2 0.01"

PUBLISHED = {
    "FLamby pooled": 0.7041,
    "FLamby FedAvg": 0.7353,
    "FLamby SCAFFOLD": 0.6995,
    "FLamby FedAdam, its best": 0.8421,
}
"""Pooled-test C-index, mean over seeds."""

NOTES = (
    "The published figures are of all test rows.",
    "The federated fit adds each region's gradient and Hessian, so it equals a pooled Cox model stratified by region; "
    "it is deterministic and has no learning rate.",
    "The penalties were not chosen on training rows: all three are shown. There are 32 test events in all and only 1 "
    "to 3 in each of Midwest, Europe and Canada, so that the mean of sites rests on few pairs.",
)


def experiment(l2: float) -> Experiment:
    """Exact Cox over sites until nothing moves any more."""
    return Experiment(strategy=CoxRegression(l2=l2, ties="breslow"), metrics=[metrics.concordance], rounds=30)


def demo(watch: Callable[[Sequence[str]], Iterator[str]]) -> Outcome:
    """Each region alone, everybody's rows in one place, and the exact federated fit with three penalties."""
    sites = Sites(brca())
    runs: dict[str, Run] = {}
    alone = {f"{name} alone": name for name in sites.given_order}
    federated = {f"Federated Cox, l2 {l2:g}": l2 for l2 in PENALTIES}
    for name in watch([*alone, POOLED, *federated]):
        if name in alone:
            runs[name] = simulate(experiment(CHOSEN), Sites([sites.load(alone[name])]), Simulation(tests=sites))
        elif name == POOLED:
            runs[name] = simulate(experiment(CHOSEN), Sites([sites.pooled()]), Simulation(tests=sites))
        else:
            runs[name] = simulate(experiment(federated[name]), sites, Simulation())
    shown = f"Federated Cox, l2 {CHOSEN:g}"
    return Outcome(
        demo="survival",
        title="Breast-cancer survival, six regions",
        metric="C-index",
        headline="pooled_test",
        data="brca",
        methods=[
            *(_method(name, run) for name, run in runs.items()),
            *(Method(name=name, kind="literature", published=figure) for name, figure in PUBLISHED.items()),
        ],
        notes=NOTES,
        run=replace(runs[shown], baselines={**{alone[name]: runs[name] for name in alone}, "pooled": runs[POOLED]}),
        shown=shown,
        tables=[strongest(runs[shown].table())],
    )


def strongest(coefficients: Table) -> Table:
    """The five columns that move the hazard most."""
    ranked = sorted(coefficients.records(), key=lambda row: -abs(float(row["coefficient"] or 0.0)))
    rows = [(row["column"], row["coefficient"], row["hazard ratio"]) for row in ranked[:5]]
    return Table(f"Largest coefficients, l2 {CHOSEN:g}", ("column", "coefficient", "hazard ratio"), rows)


def _method(name: str, run: Run) -> Method:
    mean, pooled = mean_scores([run], metrics.concordance.name)
    kind = "alone" if name.endswith("alone") else "pooled" if name == POOLED else "federated"
    return Method(name=name, kind=kind, mean_over_sites=mean, pooled_test=pooled)
