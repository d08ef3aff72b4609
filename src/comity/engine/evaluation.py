"""Metrics at every site, and over all sites from the sum of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from comity.engine.experiment import Experiment
from comity.engine.history import Scores
from comity.engine.stages import measured
from comity.values.contribution import Contribution
from comity.values.model import Model
from comity.values.site import Site
from comity.values.strategy import Memory


def parts_by_site(
    experiment: Experiment,
    model: Model | None,
    state: Any,
    *,
    sites: Iterable[Site],
    memory_of: Callable[[str], Memory],
) -> dict[str, Contribution]:
    """Every metric's sums of each site that has test rows, as one contribution that can be added to the others'."""
    made: dict[str, Contribution] = {}
    for site in sites:
        try:
            parts = measured(experiment, state, memory_of(site.name), site=site, model=model)
        except Exception as error:
            error.add_note(f"while evaluating at site {site.name!r}")
            raise
        if parts:
            held = {name: {"total": part.total, "weight": np.array(part.weight)} for name, part in parts.items()}
            made[site.name] = Contribution({str(at): held[m.name] for at, m in enumerate(experiment.measures)}, 1)
    return made


def finished(experiment: Experiment, total: Contribution) -> Scores:
    """The metrics of the sum of what `parts_by_site` gives."""
    made: dict[str, float] = {}
    for at, metric in enumerate(experiment.measures):
        held: Mapping[str, Any] = total.total[str(at)]  # pyright: ignore[reportAssignmentType]
        made[metric.name] = metric.finish(Contribution(held["total"], float(held["weight"])))
    return made


def evaluate(
    experiment: Experiment,
    model: Model | None,
    state: Any,
    *,
    sites: Iterable[Site],
    memory_of: Callable[[str], Memory],
) -> tuple[Scores, dict[str, Scores]]:
    """(metrics over all test rows, metrics by site). Sites without test rows are left out."""
    totals: dict[str, Contribution] = {}
    by_site: dict[str, Scores] = {}
    for site in sites:
        try:
            parts = measured(experiment, state, memory_of(site.name), site=site, model=model)
            if not parts:
                continue
            by_site[site.name] = {metric.name: metric.finish(parts[metric.name]) for metric in experiment.measures}
        except Exception as error:
            error.add_note(f"while evaluating at site {site.name!r}")
            raise
        totals = {name: totals[name] + part if totals else part for name, part in parts.items()}
    pooled = {metric.name: metric.finish(totals[metric.name]) for metric in experiment.measures} if totals else {}
    return pooled, by_site
