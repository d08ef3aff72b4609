"""Metrics at every site, and over all sites from the sum of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from comity.engine.experiment import Experiment
from comity.engine.history import Scores
from comity.values.contribution import Contribution, gather
from comity.values.errors import ComityError
from comity.values.model import Model
from comity.values.site import Site
from comity.values.strategy import Memory


def evaluate(
    experiment: Experiment,
    model: Model | None,
    state: Any,
    *,
    sites: Iterable[Site],
    memory_of: Callable[[str], Memory],
) -> tuple[Scores, dict[str, Scores]]:
    """(metrics over all test rows, metrics by site). Sites without test rows are left out."""
    parts: dict[str, list[Contribution]] = {metric.name: [] for metric in experiment.measures}
    by_site: dict[str, Scores] = {}
    for site in sites:
        if site.test is None or not len(site.test):
            continue
        params = experiment.strategy.model(state, memory_of(site.name))
        try:
            predict = experiment.strategy.predict if model is None else model.predict
            predictions = predict(params, site.test.x)
            local = {metric.name: metric.local(predictions, site.test) for metric in experiment.measures}
        except ComityError as error:
            error.add_note(f"while evaluating at site {site.name!r}")
            raise
        for metric in experiment.measures:
            parts[metric.name].append(local[metric.name])
        by_site[site.name] = {metric.name: metric.finish(local[metric.name]) for metric in experiment.measures}
    pooled = (
        {metric.name: metric.finish(gather(parts[metric.name])) for metric in experiment.measures} if by_site else {}
    )
    return pooled, by_site
