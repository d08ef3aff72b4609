"""Metrics at every site, and over all sites from the sum of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from comity.engine.experiment import Experiment
from comity.engine.history import Scores
from comity.values.contribution import Contribution
from comity.values.errors import InvalidInput
from comity.values.metric import Metric
from comity.values.model import Model
from comity.values.rows import Rows, missing_said
from comity.values.site import Site
from comity.values.strategy import Memory
from comity.values.tree import Array


def evaluate(
    experiment: Experiment,
    model: Model | None,
    state: Any,
    *,
    sites: Iterable[Site],
    memory_of: Callable[[str], Memory],
) -> tuple[Scores, dict[str, Scores]]:
    """(metrics over all test rows, metrics by site). Sites without test rows are left out."""
    predict = experiment.strategy.predict if model is None else model.predict
    totals: dict[str, Contribution] = {}
    by_site: dict[str, Scores] = {}
    for site in sites:
        if site.test is None or not len(site.test):
            continue
        try:
            with missing_said(site.test, f"test rows of site {site.name!r}"):
                predictions = predict(experiment.strategy.model(state, memory_of(site.name)), site.test.x)
                parts = {metric.name: _part(metric, predictions, site.test) for metric in experiment.measures}
            by_site[site.name] = {metric.name: metric.finish(parts[metric.name]) for metric in experiment.measures}
        except Exception as error:
            error.add_note(f"while evaluating at site {site.name!r}")
            raise
        totals = {name: totals[name] + part if totals else part for name, part in parts.items()}
    pooled = {metric.name: metric.finish(totals[metric.name]) for metric in experiment.measures} if totals else {}
    return pooled, by_site


def _part(metric: Metric, predictions: Array, rows: Rows) -> Contribution:
    try:
        part = metric.local(predictions, rows)
    except InvalidInput as error:
        raise InvalidInput(f"metric {metric.name}: {error}") from error
    # A function of the user's own may be NaN where the rows are to blame, and would be left out.
    if not part.weight and np.isnan(np.asarray(predictions)).any():
        raise InvalidInput(f"metric {metric.name}: the predictions hold NaN")
    return part
