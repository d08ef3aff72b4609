"""Settings chosen by cross-validation on training rows, without moving any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from comity.engine.experiment import Experiment
from comity.engine.settings import with_setting
from comity.engine.simulate import Simulation, simulate
from comity.engine.sites import Sites
from comity.engine.stopping import best_index
from comity.values.errors import InvalidInput
from comity.values.rows import Rows
from comity.values.seed import derive
from comity.values.site import Site
from comity.values.table import Table
from comity.values.tree import Array


@final
@dataclass(frozen=True, kw_only=True)
class Search:
    """What a cross-validation found."""

    best: Experiment
    table: Table
    """Each setting and its metric over all held-out rows, mean over the folds; the chosen one is marked."""


def cross_validate(
    experiment: Experiment,
    sites: Sequence[Site],
    settings: Sequence[str],
    *,
    metric: str,
    folds: int = 5,
    repeats: int = 1,
) -> Search:
    """The experiment with the setting that does best on rows held out of every site's training rows.

    settings: fields of the experiment by their path, e.g. ["train.optimizer.lr=0.001", "train.optimizer.lr=0.01"];
    the value is JSON, or text when it is not.
    Each site deals its own rows into folds (a person's rows, by `Rows.ids`, stay together), so no row
    moves; a fold is a federated run that is measured on everybody's held-out rows. Each repeat deals and
    trains anew, which calms the choice. Test rows are not looked at.

    Raises InvalidInput when a site has fewer rows than folds.
    """
    if not settings or folds < 2:
        raise InvalidInput(f"give at least one setting and two folds, not {len(settings)} and {folds}")
    if repeats < 1:
        raise InvalidInput(f"repeats must be at least 1, not {repeats}")
    goal = experiment.metric(metric).goal
    seeds = [derive(experiment.seed, "repeat", repeat) for repeat in range(repeats)]
    split = {seed: [_fold(site, folds, seed) for site in sites] for seed in seeds}
    means: list[float] = []
    for setting in settings:
        # The held-out rows say how good a setting is; so they may not also say when to stop.
        tried = replace(with_setting(experiment, setting), best=None, stop=None, evaluate_every=experiment.rounds)
        runs = [
            simulate(replace(tried, seed=seed), Sites([site[k] for site in split[seed]]), Simulation())
            for seed in seeds
            for k in range(folds)
        ]
        means.append(float(np.mean([run.series(metric)[1][-1] for run in runs])))
    best = best_index(means, goal)
    if best is None:
        raise InvalidInput(f"{metric} is not defined on the held-out rows of any setting; take fewer folds")
    rows = [(s, m, "chosen" if i == best else None) for i, (s, m) in enumerate(zip(settings, means, strict=True))]
    times = f", {repeats} times" if repeats > 1 else ""
    title = f"{folds}-fold cross-validation on training rows{times}"
    table = Table(title, ("setting", metric, ""), rows)
    return Search(best=with_setting(experiment, settings[best]), table=table)


def _fold(site: Site, folds: int, seed: int) -> list[Site]:
    groups = _groups(site.train)
    count = int(groups.max()) + 1 if len(groups) else 0
    if count < folds:
        raise InvalidInput(f"site {site.name!r} has {count} rows or persons, too few for {folds} folds")
    dealt = np.random.default_rng(derive(seed, "folds", site.name)).permutation(count) % folds
    held = dealt[groups]  # (n,)
    return [Site(site.name, site.train.take(held != k), site.train.take(held == k)) for k in range(folds)]


def _groups(rows: Rows) -> Array:
    if rows.ids is None:
        return np.arange(len(rows))
    return np.unique(rows.ids, return_inverse=True)[1]
